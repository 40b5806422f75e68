// Package httpjson is a source, of type http, whose vehicles are in JSON documents of a
// server that the owner runs. A map says which member of which document tells what
// ([mapping.Vehicle]).
//
// It fetches the documents by itself and answers every read from memory: for the rest of
// plugbeat it is a source that pushes.
package httpjson

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// fetchTime is how long a document may take.
const fetchTime = 10 * time.Second

// maxDocument is the longest document of evcc that is read. evcc is asked for a part of its
// state, which has some hundred bytes a charge point.
const maxDocument = 1 << 20

// Source is a source of this kind.
type Source struct {
	*mapping.Fleet
	settings Settings
	deps     vehicle.Deps
	client   *http.Client
	header   http.Header
	password string

	mu      sync.Mutex
	problem vehicle.Problem // Code is empty while all is well
}

var (
	_ vehicle.Pusher   = (*Source)(nil)
	_ vehicle.Lister   = (*Source)(nil)
	_ vehicle.Reporter = (*Source)(nil)

	_ vehicle.Inspector = (*Source)(nil)
	_ vehicle.Rehearser = (*Settings)(nil)
)

// Push implements [vehicle.Pusher].
func (s *Source) Push(ctx context.Context, hint func(uuid.UUID)) error {
	var settling sync.WaitGroup
	defer settling.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	settling.Go(func() { s.Settle(ctx, hint) })
	every := time.NewTicker(s.settings.Every)
	defer every.Stop()
	for {
		s.fetchAll(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-every.C:
		}
	}
}

// fetchAll fetches every document once. One that fails leaves the others.
func (s *Source) fetchAll(ctx context.Context) {
	was := s.well()
	var failed error
	for _, path := range s.paths() {
		body, err := s.fetch(ctx, path)
		if err != nil {
			failed = err
			continue
		}
		if !was {
			s.Connected()
			was = true
		}
		if err := s.take(path, body); err != nil {
			failed = err
		}
	}
	if ctx.Err() != nil {
		return
	}
	s.told(failed)
	if was { // a document that fails for long keeps no value of the others back
		time.AfterFunc(s.settings.Settle+fetchTime/20, s.Arrived)
	}
}

// evccQuery has evcc answer with what the preset looks at, of every charge point.
const evccQuery = "[.loadpoints[]|{vehicleName,connected,charging,vehicleSoc,vehicleRange," +
	"effectiveLimitSoc,vehicleLimitSoc,vehicleDetectionActive}]"

// paths are those of the documents, "" for the url itself.
func (s *Source) paths() []string {
	if s.settings.Preset == evcc {
		return []string{"/api/state?jq=" + url.QueryEscape(evccQuery)}
	}
	return s.Topics()
}

// take takes one document.
func (s *Source) take(path string, body []byte) error {
	ms, err := s.settings.messages(path, body, time.Now())
	for _, m := range ms {
		s.note(m.Topic, s.Take(m.Topic, m.Payload, false))
	}
	return err
}

// messages are what a document says. evcc's is what its broker's topics say, a member each.
func (s *Settings) messages(path string, body []byte, at time.Time) (ms []mapping.Message, err error) {
	if s.Preset != evcc {
		return []mapping.Message{{Topic: path, Payload: body, At: at}}, nil
	}
	var points []map[string]json.RawMessage
	if err := json.Unmarshal(body, &points); err != nil {
		return nil, fmt.Errorf("%w of evcc's charge points: %w", errNotJSON, err)
	}
	for i, members := range points {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			ms = append(ms, mapping.Message{Topic: "evcc/loadpoints/" + strconv.Itoa(i+1) + "/" + name, Payload: members[name], At: at})
		}
	}
	return append(ms, mapping.Message{Topic: "evcc/updated", Payload: []byte(strconv.FormatInt(at.Unix(), 10)), At: at}), nil
}

// Rehearse implements [vehicle.Rehearser]. A line of the log is a document: its topic is the
// path, and the payload what the server answered.
func (s *Settings) Rehearse(log io.Reader) ([]vehicle.Heard, error) {
	documents, err := mapping.ReadLog(log)
	if err != nil {
		return nil, err
	}
	var all []mapping.Message
	for _, d := range documents {
		ms, err := s.messages(d.Topic, unwrapped(d.Payload), d.At)
		if err != nil {
			return nil, fmt.Errorf("the document of %s: %w", d.At.Format(time.RFC3339), err)
		}
		all = append(all, ms...)
	}
	return mapping.Try(s.maps(), s.Settle, all), nil
}

func (s *Source) note(topic string, vs []mapping.Verdict) {
	for _, v := range vs {
		if v.Refused != "" {
			s.deps.Log.Debug().Str("event", "source.refused").Str("vehicle", v.Vehicle).Str("input", v.Input).Str("topic", topic).
				Str("text", v.Refused).
				Msg("a message could not be taken")
		}
	}
}

// fetch returns one document.
func (s *Source) fetch(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, join(s.settings.URL, path), nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(r.Header, s.header)
	if s.settings.Username != "" {
		r.SetBasicAuth(s.settings.Username, s.password)
	}
	res, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	server := res.Header.Get("Server")
	s.Serves(r.URL.Host, server[:min(len(server), 80)])
	if res.StatusCode != http.StatusOK {
		return nil, &statusError{r.URL.Path, res.StatusCode, res.Header.Get("Location")}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxDocument:
		return nil, fmt.Errorf("%w: it is longer than %d bytes", errNotJSON, maxDocument)
	case !json.Valid(body):
		return nil, fmt.Errorf("%w: it begins with %.40q", errNotJSON, body)
	}
	return unwrapped(body), nil
}

// join puts the path of a document behind the url.
func join(base, path string) string {
	if path == "" {
		return base
	}
	return strings.TrimSuffix(base, "/") + path
}

// unwrapped is a document that an evcc before 0.207 put under result.
func unwrapped(body []byte) []byte {
	var old map[string]json.RawMessage
	if err := json.Unmarshal(body, &old); err == nil && len(old) == 1 && old["result"] != nil {
		return old["result"]
	}
	return body
}
