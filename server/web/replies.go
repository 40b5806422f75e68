package web

import (
	"errors"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/adminapi"
)

// Replies answers errors and logs what became of requests. All rooms share one, so that
// the bounds of its log hold for all of them together.
type Replies struct {
	Log zerolog.Logger
	Now func() time.Time
	// Doubted reports whether the clock cannot be believed. What the clock then says has
	// expired is refused for now and not for good.
	Doubted func() bool

	lines *Limits

	mu     sync.Mutex
	silent map[string]int // lines of each event that were left out since its last
}

// NewReplies returns a Replies.
func NewReplies(l zerolog.Logger, now func() time.Time) *Replies {
	return &Replies{Log: l, Now: now, Doubted: func() bool { return false }, lines: NewLimits(lineBurst, lineEvery), silent: map[string]int{}}
}

// Of what strangers bring about, lineBurst lines of an event are logged at once, then one
// every lineEvery.
const (
	lineBurst = 5
	lineEvery = 20 * time.Second
)

// Line reports whether one more line of an event that strangers bring about is logged, and
// how many were left out since the last.
func (p *Replies) Line(event string) (more int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines.Take(event, p.Now()) > 0 {
		p.silent[event]++
		return 0, false
	}
	more = p.silent[event]
	delete(p.silent, event)
	return more, true
}

// Refused logs that a request was refused for its token.
func (p *Replies) Refused(r *http.Request, why string) {
	more, ok := p.Line("http.refused")
	if !ok {
		return
	}
	from, _ := Caller(r)
	p.Log.Warn().Str("event", "http.refused").Str("from", from).Str("route", RouteName(r)).Str("why", why).Int("more", more).
		Msg("a request was refused for its token")
}

// RouteName names the route of a request as the table of routes does.
func RouteName(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	return r.Method + " " + Clip(r.URL.Path)
}

// APIError answers with an error of /api/v1.
func (p *Replies) APIError(w http.ResponseWriter, r *http.Request, err error) {
	e := APIErrorOf(err)
	e.RequestID = RequestID(w)
	p.LogError(r, e.RequestID, e.Status, err)
	if e.Status == http.StatusUnauthorized {
		w.Header()["www-authenticate"] = []string{"Bearer"}
	}
	if err := WriteJSON(w, e.Status, adminapi.Envelope{Error: e}); err != nil { // strings and numbers only
		Write(w, http.StatusInternalServerError, nil, []byte(`{"error":{"code":"internal","message":"internal error"}}`))
	}
}

// LogError logs an error that is ours to look at; others are the caller's to know.
func (p *Replies) LogError(r *http.Request, id string, status int, err error) {
	if status < 500 || r.Context().Err() != nil || errors.Is(err, errPanic) {
		return
	}
	p.Log.Error().Str("event", "http.error").Str("request", id).Str("method", r.Method).Str("path", r.URL.Path).
		Int("status", status).Err(err).Msg("a request was not answered as it should be")
}

// ErrorLog takes what net/http has to say: handshakes and broken connections.
func (p *Replies) ErrorLog() *log.Logger { return log.New(netLog{p}, "", 0) }

type netLog struct{ p *Replies }

func (l netLog) Write(b []byte) (int, error) {
	l.p.Log.Debug().Str("event", "http.error").Msg(strings.TrimSpace(string(b)))
	return len(b), nil
}
