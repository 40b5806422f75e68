package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/egress"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

const (
	// bodyTime is how long after its headers the body of an answer is read. The body
	// decides nothing but a challenge.
	bodyTime = 2 * time.Second
	// bodyRead is how much of a body is read, which is far above a challenge's answer.
	bodyRead = 4 << 10
	// bodyKept is how much of it an attempt keeps: enough for an error's text.
	bodyKept = 512
	// idleTime is how long a connection is kept.
	idleTime = 30 * time.Second
)

// errInterrupted ends requests that outlive the grace time.
var errInterrupted = errors.New("plugbeat stopped")

// sender makes the requests of one webhook over connections of its own. Requests
// are HTTP/1.1, because HTTP/2 would lower the spelling of SC-Signature. It is
// safe for concurrent use.
type sender struct {
	d *Dispatcher

	mu           sync.Mutex
	client       http.RoundTripper
	callback     string
	allowPrivate bool
}

// roundTripper returns the webhook's connections, new ones once the callback or
// the consent to private addresses has changed.
func (x *sender) roundTripper(w *webhook.Webhook) http.RoundTripper {
	if x.d.Transport != nil {
		return x.d.Transport
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.client == nil || x.callback != w.CallbackURI || x.allowPrivate != w.AllowPrivate {
		x.closeLocked()
		x.client, x.callback, x.allowPrivate = newTransport(&x.d.Settings, x.d.Guard, w.AllowPrivate), w.CallbackURI, w.AllowPrivate
	}
	return x.client
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
	if kept, ok := x.client.(keeper); ok {
		kept.CloseIdleConnections()
	}
	x.client = nil
}

// keeper is a RoundTripper that keeps connections.
type keeper interface{ CloseIdleConnections() }

// send makes one POST to the callback and returns what came of it, as it is kept.
func (x *sender) send(ctx context.Context, w *webhook.Webhook, message uuid.UUID, body []byte) webhook.Attempt {
	a, _ := x.ask(ctx, w, message, body)
	return a
}

// ask is send that also returns the first 4 KiB of the answer's body as they came, for
// the judge of a challenge. They may hold secrets and are kept nowhere. A 2xx status is
// a success whatever the body does. An attempt that ctx ended is OutcomeInterrupted.
func (x *sender) ask(ctx context.Context, w *webhook.Webhook, message uuid.UUID, body []byte) (webhook.Attempt, []byte) {
	start := time.Now()
	a := webhook.Attempt{StartedAt: start.UTC().Round(0)}
	r, err := x.exchange(ctx, w, message, start, body)
	a.Duration = time.Since(start)
	address, connected := r.way.came()
	a.Status, a.Address = r.status, address
	if cause := context.Cause(ctx); err != nil && cause != nil {
		a.Outcome, a.Error = webhook.OutcomeInterrupted, "given up before an answer came"
		if errors.Is(cause, errInterrupted) {
			a.Error = errInterrupted.Error()
		}
		return a, nil
	}
	hide := func(text string) string { return clean(r.secrets.hide(text)) }
	var v Verdict
	if err == nil {
		v = ClassifyStatus(r.status, hide(webhook.Redact(r.header.Get("Location"))), len(body))
	} else if v = ClassifyError(err, connected); !egress.NotDialled(err) {
		x.network(&v, address)
	}
	a.Outcome, a.Error, a.Cause = v.Outcome, hide(v.Error), v.Cause
	a.ContentType, a.Body = hide(r.header.Get("Content-Type")), r.secrets.keep(r.header, r.body)
	if r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
		a.RetryAfter = retryAfter(r.header.Get("Retry-After"), time.Now())
	}
	return a, r.body
}

// network decides whether a network that failed is this machine's: it is where the
// machine has no address but loopback, and is not where the machine lacks only the
// receiver's family of addresses. dialled is the address of the request, if it came so far.
func (x *sender) network(v *Verdict, dialled string) {
	to, _ := netip.ParseAddrPort(dialled) //nolint:errcheck // the zero address if none was dialled
	switch {
	case to.Addr().Unmap().IsLoopback():
	case v.Outcome != webhook.OutcomeOurs && !x.d.Guard.HasWayTo(netip.Addr{}):
		v.Outcome, v.Cause = webhook.OutcomeOurs, "this machine has no address but loopback"
	case v.Network && x.d.Guard.HasWayTo(netip.Addr{}) && !x.d.Guard.HasWayTo(to.Addr()):
		v.Outcome = webhook.OutcomeUnreachable
		v.Cause = "the callback has an address of a family, IPv4 or IPv6, that this machine has no way to"
	}
}

// signsFor is the management token that keys SC-Signature for a webhook: the next one
// once its receiver has answered a challenge with that, since most receivers know one
// token and one header.
func (x *sender) signsFor(w *webhook.Webhook) webhook.Secret {
	if len(x.d.ManagementTokenNext) > 0 && w.TokenSeen.Fingerprint == signing.Fingerprint(x.d.ManagementTokenNext) {
		return x.d.ManagementTokenNext
	}
	return x.d.ManagementToken
}

func (x *sender) request(ctx context.Context, w *webhook.Webhook, message uuid.UUID, at time.Time, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.CallbackURI, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// The spelling is the wire's: receivers behind some gateways compare case.
	if w.Signing != webhook.SignStandard {
		req.Header[signing.HeaderSmartcar] = []string{signing.Smartcar(x.signsFor(w), body)}
		if len(x.d.ManagementTokenNext) > 0 {
			req.Header[signing.HeaderSmartcarNext] = []string{signing.Smartcar(x.d.ManagementTokenNext, body)}
		}
	}
	if w.Signing != webhook.SignSmartcar {
		req.Header[signing.HeaderID] = []string{message.String()}
		req.Header[signing.HeaderTimestamp] = []string{strconv.FormatInt(at.Unix(), 10)}
		req.Header[signing.HeaderSignature] = []string{signing.StandardList(w.SigningKeys(at), message, at, body)}
	}
	req.Header["Content-Type"] = []string{"application/json"}
	// The key with no value is not sent. It tells net/http that the request may be
	// repeated, which receivers know by its webhook-id.
	req.Header["Idempotency-Key"] = nil
	req.Header["User-Agent"] = []string{x.d.Settings.UserAgent}
	return req, nil
}

// reply is what came of a request.
type reply struct {
	// status is 0 where no answer came.
	status int
	header http.Header
	// body is the beginning of the answer's body as it came.
	body    []byte
	way     *trace
	secrets secrets
}

// exchange makes the request. net/http makes it once more when a kept connection drops
// it before the first byte of an answer.
func (x *sender) exchange(ctx context.Context, w *webhook.Webhook, message uuid.UUID, at time.Time, body []byte) (reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	connections := x.roundTripper(w)
	r := reply{way: &trace{}}
	deadline := time.AfterFunc(x.d.Settings.Timeout, func() { cancel(r.way.late(x.d.Settings.Timeout)) })
	defer deadline.Stop()
	followed := r.way.follow(ctx)
	if kept, ok := connections.(keeper); ok {
		followed = egress.RepeatOnNew(followed, kept)
	}
	req, err := x.request(followed, w, message, at, body)
	if err != nil {
		return r, err
	}
	r.secrets = spellings(req.Header, x.d.ManagementToken, x.d.ManagementTokenNext, w.Key, w.OldKey)
	if x.d.Around != nil {
		connections = x.d.Around(connections)
	}
	resp, err := connections.RoundTrip(req)
	if err == nil && resp.StatusCode < 100 { // net/http takes any three digits
		_ = resp.Body.Close()
		err = fmt.Errorf("malformed HTTP status code %03d", resp.StatusCode)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return r, err
	}
	if x.d.Answered != nil {
		x.d.Answered(req.URL.Host, resp.Header, at, time.Now())
	}
	r.status, r.header = resp.StatusCode, resp.Header
	// The headers came in time, so the outcome stands. The body has a time of its own.
	// After 101 it is the bare connection, which no context ends.
	if deadline.Stop() && resp.StatusCode != http.StatusSwitchingProtocols {
		late := time.AfterFunc(bodyTime, func() { cancel(nil) })
		r.body = readSome(resp.Body, bodyRead)
		late.Stop()
	}
	_ = resp.Body.Close()
	return r, nil
}

// readSome reads at most n bytes, and one more so that a short body ends its
// connection's use cleanly.
func readSome(r io.Reader, n int) []byte {
	b, _ := io.ReadAll(io.LimitReader(r, int64(n)+1)) //nolint:errcheck // what came is kept
	return b[:min(len(b), n)]
}
