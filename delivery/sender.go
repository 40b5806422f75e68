package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"plugbeat/egress"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// Limits of an answer. Both are far above what any receiver needs.
const (
	// keptHeaders and keptHeaderBytes bound what an attempt records of the headers.
	keptHeaders     = 40
	keptHeaderBytes = 4 << 10
	idleTime        = 30 * time.Second
)

// errInterrupted ends requests that outlive the grace time.
var errInterrupted = errors.New("plugbeat stopped")

// heardFrom is when a receiver at a public address last answered, in unix nanoseconds.
// It tells a fault of this machine's network from a receiver's.
type heardFrom struct{ at atomic.Int64 }

func (h *heardFrom) note(address string, now time.Time) {
	if ap, err := netip.ParseAddrPort(address); err == nil && egress.Public(ap.Addr()) {
		h.at.Store(now.UnixNano())
	}
}

func (h *heardFrom) since(t time.Time) bool { return !t.IsZero() && h.at.Load() > t.UnixNano() }

// sender makes the requests of one webhook over connections of its own. Requests
// are HTTP/1.1, because HTTP/2 would lower the spelling of SC-Signature. It is
// safe for concurrent use.
type sender struct {
	s     *Settings
	guard *egress.Guard
	// heard is shared by all senders.
	heard *heardFrom
	token webhook.Secret
	// next is the management token that is to replace token; nil for none.
	next webhook.Secret
	// transport is nil in production; tests put their own network there.
	transport http.RoundTripper
	// around is Options.Around; it may be nil.
	around func(http.RoundTripper) http.RoundTripper
	// answered is told of every answer; see Options. It may be nil.
	answered func(host string, h http.Header, sent, received time.Time)

	mu           sync.Mutex
	client       http.RoundTripper
	callback     string
	allowPrivate bool
	// spelt are the spellings of the token and of the webhook's keys, which are keys.
	keys  [2]webhook.Secret
	spelt [][]byte
	// fault is when the network last failed these requests; zero once one was
	// answered.
	fault time.Time
}

// roundTripper returns the webhook's connections, new ones once the callback or
// the consent to private addresses has changed.
func (x *sender) roundTripper(w *webhook.Webhook) http.RoundTripper {
	if x.transport != nil {
		return x.transport
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.client == nil || x.callback != w.CallbackURI || x.allowPrivate != w.AllowPrivate {
		x.closeLocked()
		x.client, x.callback, x.allowPrivate = newTransport(x.s, x.guard, w.AllowPrivate), w.CallbackURI, w.AllowPrivate
	}
	return x.client
}

// spellings are those of the keys that sign what is sent to the webhook, its old one
// among them as long as it is kept.
func (x *sender) spellings(w *webhook.Webhook) [][]byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.spelt == nil || !bytes.Equal(x.keys[0], w.Key) || !bytes.Equal(x.keys[1], w.OldKey) {
		x.keys = [2]webhook.Secret{bytes.Clone(w.Key), bytes.Clone(w.OldKey)}
		x.spelt = spellings(x.token, x.next, w.Key, w.OldKey)
	}
	return x.spelt
}

func newTransport(s *Settings, guard *egress.Guard, allowPrivate bool) *http.Transport {
	// Connecting outlives the request it began for, whose own time ends first.
	t := guard.Transport(func(string) bool { return allowPrivate }, s.Timeout+time.Second)
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = s.InFlight, idleTime
	return t
}

func (x *sender) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closeLocked()
}

func (x *sender) closeLocked() {
	if c, ok := x.client.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	x.client = nil
}

// send makes one POST to the callback and returns what came of it, as it may be
// kept: secrets are taken out of the answer.
func (x *sender) send(ctx context.Context, w *webhook.Webhook, message uuid.UUID, body []byte) webhook.Attempt {
	a, _ := x.ask(ctx, w, message, body)
	return a
}

// ask is send that returns beside the attempt the beginning of the answer's body
// as it came, which is to be kept nowhere. The body is read for Settings.BodyTime
// after the headers; whatever it does, a 2xx status is a success. An attempt that
// ctx ended is OutcomeInterrupted.
func (x *sender) ask(ctx context.Context, w *webhook.Webhook, message uuid.UUID, body []byte) (webhook.Attempt, []byte) {
	start := time.Now()
	a := webhook.Attempt{StartedAt: start.UTC().Round(0)}
	answer, tried, err := x.exchange(ctx, w, message, start, body, &a)
	status := answer.status
	a.Duration = time.Since(start)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		a.Outcome, a.Error = webhook.OutcomeInterrupted, "given up before an answer came"
		if errors.Is(cause, errInterrupted) {
			a.Error = errInterrupted.Error()
		}
		return a, nil
	}
	v := ClassifyStatus(status, location(a.Header), len(body))
	if err != nil {
		v = ClassifyError(err, answer.connected)
	}
	x.blame(&v, status, a.Address, tried)
	if status == 0 && v.Outcome != webhook.OutcomeOurs && !egress.NotDialled(err) && !onLoopback(a.Address, w.CallbackURI) && !x.guard.Online() {
		v.Outcome, v.Cause = webhook.OutcomeOurs, "this machine has no address but loopback"
	}
	a.Status, a.Outcome, a.Error, a.Cause = status, v.Outcome, v.Error, v.Cause
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		if h := a.Header["Retry-After"]; len(h) > 0 {
			a.RetryAfter = retryAfter(h[0], time.Now())
		}
	}
	return a, answer.body
}

// blame takes a network fault for the receiver's, where one at a public address
// answered somebody since the same fault the time before: then our network works.
// The first fault in a row is always ours, but where the receiver is only at
// addresses of a family that this machine has none of.
func (x *sender) blame(v *Verdict, status int, address string, tried []netip.Addr) {
	now := time.Now()
	if status != 0 {
		x.heard.note(address, now)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case status != 0:
		x.fault = time.Time{}
	case v.Network:
		if only := x.guard.MissingFamily(tried); only != "" {
			v.Outcome, v.Cause = webhook.OutcomeUnreachable, "the callback has "+only
			return
		}
		if x.heard.since(x.fault) {
			v.Outcome, v.Cause = webhook.OutcomeUnreachable, "its name or its address is out of reach, while others answer"
		}
		x.fault = now
	}
}

// signsFor is the management token that keys SC-Signature for a webhook: the next one
// once its receiver has answered a challenge with that, since most receivers know one
// token and one header.
func (x *sender) signsFor(w *webhook.Webhook) webhook.Secret {
	if len(x.next) > 0 && w.TokenSeen.Fingerprint == signing.Fingerprint(x.next) {
		return x.next
	}
	return x.token
}

func (x *sender) request(ctx context.Context, w *webhook.Webhook, message uuid.UUID, at time.Time, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.CallbackURI, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// The spelling is the wire's: receivers behind some gateways compare case.
	if w.Signing != webhook.SignStandard {
		req.Header[signing.HeaderSmartcar] = []string{signing.Smartcar(x.signsFor(w), body)}
		if len(x.next) > 0 {
			req.Header[signing.HeaderSmartcarNext] = []string{signing.Smartcar(x.next, body)}
		}
	}
	if w.Signing != webhook.SignSmartcar {
		req.Header[signing.HeaderID] = []string{message.String()}
		req.Header[signing.HeaderTimestamp] = []string{strconv.FormatInt(at.Unix(), 10)}
		req.Header[signing.HeaderSignature] = []string{signing.StandardList(w.SigningKeys(at), message, at, body)}
	}
	req.Header["Content-Type"] = []string{"application/json"}
	req.Header["User-Agent"] = []string{x.s.UserAgent}
	return req, nil
}

// heard is what a receiver said: its status, 0 where it said nothing, and the
// beginning of the body as it came.
type heard struct {
	status    int
	connected bool
	body      []byte
}

// exchange makes the request and notes in the attempt what may be kept of its
// answer. Tried are the addresses it dialled. The error has no secrets in its text.
func (x *sender) exchange(ctx context.Context, w *webhook.Webhook, message uuid.UUID, at time.Time, body []byte, a *webhook.Attempt) (got heard, tried []netip.Addr, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	way := &trace{}
	deadline := time.AfterFunc(x.s.Timeout, func() { cancel(way.late(x.s.Timeout)) })
	defer deadline.Stop()
	ctx = way.follow(ctx)
	rt := x.roundTripper(w)
	if x.around != nil {
		rt = x.around(rt)
	}
	var req *http.Request
	var resp *http.Response
	for again := 0; ; again++ {
		req, err = x.request(ctx, w, message, at, body)
		if err != nil {
			return got, nil, err
		}
		resp, err = rt.RoundTrip(req)
		if err == nil && resp.StatusCode < 100 { // net/http takes any three digits
			_ = resp.Body.Close()
			err = fmt.Errorf("malformed HTTP status code %03d", resp.StatusCode)
		}
		if err == nil {
			if x.answered != nil {
				x.answered(req.URL.Host, resp.Header, at, time.Now())
			}
			break
		}
		if closedIdle(err) && again < 3 && ctx.Err() == nil {
			continue // nothing was written: the receiver has seen no attempt
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		a.Address, tried = way.dialled()
		got.connected = way.reached()
		return got, tried, redactorOf(req.Header, x.spellings(w)).error(err)
	}
	a.Address, tried = way.dialled()
	secrets := redactorOf(req.Header, x.spellings(w))
	got.status, a.Header = resp.StatusCode, secrets.headers(resp.Header)
	// The headers are in time, so the outcome stands. The body has a time of its
	// own, and what it does no longer matters.
	// After 101 it is the bare connection, which no context ends.
	if deadline.Stop() && resp.StatusCode != http.StatusSwitchingProtocols {
		bodyTime := time.AfterFunc(x.s.BodyTime, func() { cancel(nil) })
		got.body = readSome(resp.Body, x.s.BodyBytes)
		a.Body = secrets.body(resp.Header, got.body)
		a.Body = a.Body[:min(len(a.Body), x.s.BodyBytes)]
		bodyTime.Stop()
	}
	_ = resp.Body.Close()
	return got, tried, nil
}

// closedIdle reports whether a kept connection turned out to be closed before
// anything of the request was written. The transport itself repeats the other
// case in which nothing was written.
func closedIdle(err error) bool {
	return strings.Contains(err.Error(), "server closed idle connection")
}

// readSome reads at most n bytes, and one more so that a short body ends its
// connection's use cleanly.
func readSome(r io.Reader, n int) []byte {
	b, _ := io.ReadAll(io.LimitReader(r, int64(n)+1)) //nolint:errcheck // what came is what is kept
	if len(b) > n {
		b = b[:n]
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

// onLoopback reports whether a request went to this machine: by the address it
// dialled, or by its callback where it dialled none.
func onLoopback(address, callback string) bool {
	if ap, err := netip.ParseAddrPort(address); err == nil {
		return ap.Addr().Unmap().IsLoopback()
	}
	u, err := url.Parse(callback)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return strings.EqualFold(u.Hostname(), "localhost")
	}
	return ip.Unmap().IsLoopback()
}

func location(h map[string][]string) string {
	if l := h["Location"]; len(l) > 0 {
		return clean(l[0])
	}
	return ""
}
