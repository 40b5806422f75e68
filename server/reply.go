package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// The headers of answers are sent in lower case: on error answers Smartcar's Java
// SDK looks for them with that spelling and no other (docs/api.md).
const (
	headerRequestID  = "sc-request-id"
	headerDataAge    = "sc-data-age"
	headerFetchedAt  = "sc-fetched-at"
	headerUnitSystem = "sc-unit-system"
	headerRetryAfter = "retry-after"
)

// maxBody bounds every request body, in bytes.
const maxBody = 64 << 10

// guard is what every request passes: it gets an id and a bounded body, one
// trailing slash is taken off its path, a path that is not clean is refused
// instead of redirected, a panic becomes an error answer, and the answer is counted
// for the listener.
func (s *Server) guard(l listener, next http.Handler, fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()[headerRequestID] = []string{uuid.NewString()}
		t := &tracker{ResponseWriter: w}
		began := time.Now()
		defer func() { s.Metrics.answered(l, t, time.Since(began)) }()
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.Log.Error().Str("event", "http.panic").Str("request", requestID(w)).Str("method", r.Method).Str("path", r.URL.Path).
				Any("panic", p).Bytes("stack", debug.Stack()).Msg("a handler panicked")
			if t.status != 0 {
				panic(http.ErrAbortHandler) // the answer is cut, so that nobody takes it for whole
			}
			fail(t, r, errPanic)
		}()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		r, ok := withoutSlash(r)
		if !ok {
			fail(t, r, errNoPath)
			return
		}
		next.ServeHTTP(t, r)
	})
}

var (
	errPanic  = errors.New("a handler panicked")
	errNoPath = fmt.Errorf("this path: %w", webhook.ErrNotFound)
)

// tracker knows whether an answer has begun, and with which status; 0 means not.
type tracker struct {
	http.ResponseWriter
	status int
	// endless is true of a stream, whose time is the caller's choice.
	endless bool
}

func (t *tracker) WriteHeader(status int) {
	t.status = cmp.Or(t.status, status)
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracker) Write(b []byte) (int, error) {
	t.status = cmp.Or(t.status, http.StatusOK)
	return t.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (t *tracker) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// withoutSlash returns the request with one trailing slash less in its path, and
// false where the mux would redirect, because a redirected POST loses its body.
func withoutSlash(r *http.Request) (*http.Request, bool) {
	escaped := r.URL.EscapedPath()
	if trimmed, ok := strings.CutSuffix(escaped, "/"); ok && trimmed != "" {
		u := *r.URL
		u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
		c := *r
		c.URL = &u
		r, escaped = &c, trimmed
	}
	return r, escaped != "" && escaped[0] == '/' && path.Clean(escaped) == escaped
}

// requestID returns the id that guard gave the request.
func requestID(w http.ResponseWriter) string {
	var raw map[string][]string = w.Header() // not canonical, on purpose
	if ids := raw[headerRequestID]; len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// write sends an answer, JSON unless the header says another type. Header keys are
// lower case and stay so on HTTP/1.1.
func write(w http.ResponseWriter, status int, header map[string]string, body []byte) {
	h := w.Header()
	h["content-type"] = []string{"application/json"}
	for k, v := range header {
		h[k] = []string{v}
	}
	h["Content-Type"] = nil // or net/http would add a guess of its own
	h["cache-control"] = []string{"no-store"}
	h.Set("Content-Length", strconv.Itoa(len(body))) // under this spelling net/http looks for it
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone: nobody is left to tell
}

// writeJSON sends v as the admin API does: compact, nothing escaped for HTML.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	write(w, status, nil, b.Bytes())
	return nil
}

// readBody returns the request's body. A body over the limit or not UTF-8 is a
// [*webhook.Invalid].
func readBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &webhook.Invalid{Field: "body", Value: "more than " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes",
			Allowed: "at most " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes"}
	}
	if err != nil {
		return nil, &webhook.Invalid{Field: "body", Value: "cut off", Allowed: "a whole JSON object", Why: err.Error()}
	}
	if !utf8.Valid(b) {
		return nil, &webhook.Invalid{Field: "body", Value: "invalid bytes", Allowed: "JSON in UTF-8"}
	}
	return b, nil
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, nil, []byte(`{"status":"ok"}`))
}

// readyz answers 200 when the daemon can do its work, else 503 and the conditions that keep
// it from that, in few words: whoever may ask is not told of files.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	answer := struct {
		Status   string   `json:"status"`
		NotReady []string `json:"not_ready,omitempty"`
	}{Status: "ready"}
	status := http.StatusOK
	for _, c := range s.Health.Unready(r.Context()) {
		answer.Status, status = "not ready", http.StatusServiceUnavailable
		answer.NotReady = append(answer.NotReady, c.Headline())
	}
	if err := writeJSON(w, status, answer); err != nil {
		s.adminError(w, r, err)
	}
}

// logError logs an error that is ours to look at; others are the caller's to know.
func (s *Server) logError(r *http.Request, id string, status int, err error) {
	if status < 500 || r.Context().Err() != nil || errors.Is(err, errPanic) {
		return
	}
	s.Log.Error().Str("event", "http.error").Str("request", id).Str("method", r.Method).Str("path", r.URL.Path).
		Int("status", status).Err(err).Msg("a request was not answered as it should be")
}

// errorLog takes what net/http has to say: handshakes and broken connections.
func (s *Server) errorLog() *log.Logger { return log.New(netLog{s}, "", 0) }

type netLog struct{ s *Server }

func (l netLog) Write(b []byte) (int, error) {
	l.s.Log.Debug().Str("event", "http.error").Msg(strings.TrimSpace(string(b)))
	return len(b), nil
}
