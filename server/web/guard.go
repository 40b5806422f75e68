package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// maxBody bounds every request body, in bytes.
const maxBody = 64 << 10

// Answered is what became of one request.
type Answered struct {
	Status int // 0 where the caller was gone before an answer began
	// Endless is true of a stream, whose time is the caller's choice.
	Endless bool
	Took    time.Duration
}

// Guard is what every request passes: it gets an id and a bounded body, one trailing
// slash is taken off its path, a path that is not clean is refused instead of redirected,
// a panic becomes an error answer, and the answer is counted. fail writes error answers.
func (p *Replies) Guard(next http.Handler, fail func(http.ResponseWriter, *http.Request, error), count func(Answered)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()[HeaderRequestID] = []string{uuid.NewString()}
		t := &tracker{ResponseWriter: w}
		began := time.Now()
		defer func() { count(Answered{t.status, t.endless, time.Since(began)}) }()
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			p.Log.Error().Str("event", "http.panic").Str("request", RequestID(w)).Str("method", r.Method).Str("path", r.URL.Path).
				Any("panic", v).Bytes("stack", debug.Stack()).Msg("a handler panicked")
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
	status  int
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

// Endless says of an answer that it is a stream.
func Endless(w http.ResponseWriter) {
	if t, ok := w.(*tracker); ok {
		t.endless = true
	}
}

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
