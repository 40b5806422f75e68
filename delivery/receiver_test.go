package delivery

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// receiver is a network that answers itself. It counts and checks.
type receiver struct {
	t  testing.TB
	mu sync.Mutex
	// answer is asked for each payload; challenges are answered rightly while well.
	answer     func(ctx context.Context, id string, n int) (int, error)
	well       bool
	think      time.Duration // before a challenge is answered
	challenges int
	seen       map[string]int
	order      []string
	at         []time.Time
	flying     int
	says       string // instead of "ok"
	most       int
	requests   []*http.Request // without their bodies, which are bodies
	bodies     [][]byte
}

var testToken = webhook.Secret("a management token for tests")

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.requests, r.bodies = append(r.requests, req), append(r.bodies, body)
	r.mu.Unlock()
	if got := map[string][]string(req.Header)[signing.HeaderSmartcar]; len(got) != 1 || got[0] != signing.Smartcar(testToken, body) {
		r.t.Errorf("SC-Signature %q", got)
	}
	reply := func(status int, body string, h http.Header) *http.Response {
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: req}
	}
	if c, ok := bytes.CutPrefix(body, []byte("challenge ")); ok {
		time.Sleep(locked(&r.mu, func() time.Duration { return r.think }))
		r.mu.Lock()
		defer r.mu.Unlock()
		r.challenges++
		if !r.well {
			return nil, io.EOF
		}
		b, _ := json.Marshal(map[string]string{"challenge": signing.AnswerOf(testToken, string(c))})
		return reply(200, string(b), nil), nil
	}
	id := map[string][]string(req.Header)[signing.HeaderID][0]
	r.mu.Lock()
	r.seen[id]++
	n := len(r.order)
	r.order = append(r.order, id)
	r.at = append(r.at, time.Now())
	r.flying++
	r.most = max(r.most, r.flying)
	answer := r.answer
	r.mu.Unlock()
	status, err := answer(req.Context(), id, n)
	r.mu.Lock()
	r.flying--
	r.mu.Unlock()
	if err == nil && req.Context().Err() != nil {
		err = req.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return reply(status, cmp.Or(locked(&r.mu, func() string { return r.says }), "ok"), nil), nil
}

func (r *receiver) set(answer func(ctx context.Context, id string, n int) (int, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func locked[T any](mu *sync.Mutex, get func() T) T {
	mu.Lock()
	defer mu.Unlock()
	return get()
}

func (r *receiver) sent() int           { return locked(&r.mu, func() int { return len(r.order) }) }
func (r *receiver) asked() int          { return locked(&r.mu, func() int { return r.challenges }) }
func (r *receiver) peak() int           { return locked(&r.mu, func() int { return r.most }) }
func (r *receiver) times(id string) int { return locked(&r.mu, func() int { return r.seen[id] }) }
func (r *receiver) ids() []string {
	return locked(&r.mu, func() []string { return slices.Clone(r.order) })
}
func (r *receiver) since(n int) time.Duration {
	return locked(&r.mu, func() time.Duration { return r.at[len(r.at)-1].Sub(r.at[n]) })
}

func (r *receiver) be(well bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.well = well
}
