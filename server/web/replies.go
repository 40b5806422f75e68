package web

import (
	"errors"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"plugbeat/adminapi"
)

// Replies answers errors and logs what became of requests. All rooms share one, so that
// the bounds of its log hold for all of them together.
type Replies struct {
	Log zerolog.Logger
	Now func() time.Time

	mu       sync.Mutex
	refusals *rate.Limiter
	silent   int // refusals since the last line
}

// NewReplies returns a Replies.
func NewReplies(l zerolog.Logger, now func() time.Time) *Replies {
	return &Replies{Log: l, Now: now, refusals: rate.NewLimiter(rate.Every(refusalEvery), refusalBurst)}
}

// refusalBurst refusals are logged at once, then one every refusalEvery.
const (
	refusalBurst = 5
	refusalEvery = 20 * time.Second
)

// Refused logs that a request was refused for its token, a few lines a minute
// whoever tries how often.
func (p *Replies) Refused(r *http.Request, why string) {
	p.mu.Lock()
	if !p.refusals.AllowN(p.Now(), 1) {
		p.silent++
		p.mu.Unlock()
		return
	}
	more := p.silent
	p.silent = 0
	p.mu.Unlock()
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
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
