package httpjson

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"plugbeat/vehicle"
)

var errNotJSON = errors.New("the document is no JSON")

// statusError is an answer that is no document.
type statusError struct {
	path     string
	status   int
	location string
}

// Error implements error.
func (e *statusError) Error() string { return fmt.Sprintf("%s is answered with %d", e.path, e.status) }

// problemOf says in words what is wrong with the server, and what to do.
func problemOf(err error, host string) vehicle.Problem {
	at := "the server " + host
	if bad, ok := errors.AsType[*statusError](err); ok {
		p := vehicle.Problem{Code: "unreachable", Text: fmt.Sprintf("%s answers %s with %d %s", at, bad.path, bad.status,
			http.StatusText(bad.status)), Remedy: "look at the server's log"}
		switch {
		case bad.status == http.StatusUnauthorized || bad.status == http.StatusForbidden:
			p.Code = "login_refused"
			p.Remedy = "set username and password_file, token_file or header_file to what the server takes, then restart plugbeat"
		case bad.status == http.StatusNotFound:
			p.Code, p.Remedy = "no_document", "check the url, and the paths that the maps name"
		case bad.location != "":
			p.Code, p.Remedy = "no_document", fmt.Sprintf("it leads to %.200q, which is not followed: set the url to where the document is",
				bad.location)
		}
		return p
	}
	if errors.Is(err, errNotJSON) {
		return vehicle.Problem{Code: "no_document", Text: at + ": " + err.Error(), Remedy: "check the url: it has to answer with JSON"}
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return vehicle.Problem{Code: "unreachable", Text: at + " cannot be reached: " + err.Error(),
		Remedy: "check that it runs, the host and the port"}
}

// well reports whether the last fetch was.
func (s *Source) well() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem.Code == "" && !s.LastMessage().IsZero()
}

// told notes how the documents were fetched; nil is well.
func (s *Source) told(err error) {
	var p vehicle.Problem
	if err != nil {
		u, _ := url.Parse(s.settings.URL)
		p = problemOf(err, u.Host)
		p.Since = time.Now().UTC()
		s.Disconnected()
	}
	s.mu.Lock()
	before := s.problem
	if p.Code == before.Code {
		p.Since = before.Since
	}
	s.problem = p
	s.mu.Unlock()
	switch p.Code {
	case before.Code:
	case "":
		s.deps.Log.Info().Str("event", "source.connected").Str("url", s.settings.URL).Msg("the server answers again")
	default:
		s.deps.Log.Error().Str("event", "source.unreachable").Str("url", s.settings.URL).Str("text", p.Text).Str("remedy",
			p.Remedy).Msg("the server does not serve us")
	}
}

// Problems implements [vehicle.Reporter].
func (s *Source) Problems(now time.Time) []vehicle.Problem {
	s.mu.Lock()
	p := s.problem
	s.mu.Unlock()
	if p.Code == "" {
		return s.Fleet.Problems(now)
	}
	return []vehicle.Problem{p}
}
