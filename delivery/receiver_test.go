package delivery

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// answer is what a receiver does with a request after a time: a status, or where
// that is 0 an error.
type answer struct {
	status     int
	err        error
	after      time.Duration
	retryAfter time.Duration
}

var (
	errRefusedConnection = fmt.Errorf("dial tcp 192.0.2.1:80: %w", syscall.ECONNREFUSED)
	accept               = answer{status: 200, after: 100 * time.Millisecond}
	refusesConnections   = answer{err: errRefusedConnection, after: time.Millisecond}
	neverAnswers         = answer{after: time.Hour}
)

// failsWith is an answer with an error's status.
func failsWith(status int) answer { return answer{status: status, after: 100 * time.Millisecond} }

// request is one of a delivery that the receiver saw.
type request struct {
	at       time.Time
	message  string // its webhook-id
	vehicle  int
	number   int // counts the vehicle's deliveries from 0
	accepted bool
}

// receiver is a network and what is behind it.
type receiver struct {
	t  testing.TB
	mu sync.Mutex
	// payload answers a vehicle's delivery, challenge says whether a challenge is
	// answered, and rightly.
	payload   func(vehicle, number int, at time.Time) answer
	challenge func(at time.Time) bool

	requests   []request
	challenges []time.Time
	thinks     time.Duration // before a challenge is answered
	refuses    error         // what comes instead of a challenge's answer
	says       string        // the body of an answer
	heard      []*http.Request
	bodies     [][]byte
	inFlight   map[int]int // by vehicle
	most       int
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	if got := map[string][]string(req.Header)[signing.HeaderSmartcar]; len(got) != 1 || got[0] != signing.Smartcar(testToken, body) {
		r.t.Errorf("SC-Signature %q", got)
	}
	now := time.Now()
	connect := func() {
		here, there := net.Pipe()
		_ = there.Close()
		httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{Conn: here})
	}
	r.mu.Lock()
	r.heard, r.bodies = append(r.heard, req), append(r.bodies, body)
	r.mu.Unlock()
	reply := func(status int, h http.Header, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
	}
	if c, ok := bytes.CutPrefix(body, []byte("challenge ")); ok {
		r.mu.Lock()
		r.challenges = append(r.challenges, now)
		right, thinks, refuses := r.challenge(now), r.thinks, r.refuses
		r.mu.Unlock()
		if err := pause(req.Context(), thinks); err != nil || !right {
			return nil, cmp.Or(err, refuses)
		}
		b, _ := json.Marshal(map[string]string{"challenge": signing.AnswerOf(testToken, string(c))})
		return reply(200, nil, string(b))
	}
	var sent struct{ Vehicle, Number int }
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, err
	}
	r.mu.Lock()
	a := r.payload(sent.Vehicle, sent.Number, now)
	if bytes.Equal(body, testBody) {
		r.mu.Unlock()
		return reply(a.status, nil, "ok")
	}
	i := len(r.requests)
	r.requests = append(r.requests, request{now, map[string][]string(req.Header)[signing.HeaderID][0], sent.Vehicle, sent.Number, false})
	if r.inFlight[sent.Vehicle]++; r.inFlight[sent.Vehicle] > 1 {
		r.t.Errorf("%s: two requests of vehicle %d in flight", now, sent.Vehicle)
	}
	flying := 0
	for _, n := range r.inFlight {
		flying += n
	}
	r.most = max(r.most, flying)
	r.mu.Unlock()
	if !errors.Is(a.err, syscall.ECONNREFUSED) {
		connect()
	}
	err := pause(req.Context(), a.after)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight[sent.Vehicle]--
	if err != nil || a.status == 0 {
		return nil, cmp.Or(err, a.err)
	}
	r.requests[i].accepted = a.status/100 == 2
	h := http.Header{}
	if a.retryAfter > 0 {
		h.Set("Retry-After", fmt.Sprint(int(a.retryAfter.Seconds())))
	}
	return reply(a.status, h, r.says)
}

// pause is a sleep that the request's end cuts short.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func (r *receiver) sent() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

func (r *receiver) asked() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.challenges)
}

// times counts the requests of a delivery.
func (r *receiver) times(d webhook.Delivery) (n int) {
	for _, q := range r.sent() {
		if q.message == d.MessageID.String() {
			n++
		}
	}
	return n
}

// be sets how the receiver answers from now on.
func (r *receiver) be(payload answer, challenge bool) {
	r.set(func(int, int, time.Time) answer { return payload }, func(time.Time) bool { return challenge })
}

func (r *receiver) set(payload func(vehicle, number int, at time.Time) answer, challenge func(at time.Time) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.payload, r.challenge = payload, challenge
}

// safeLog is a log that may be read while it is written.
type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
