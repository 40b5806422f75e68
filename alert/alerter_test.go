package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/health"
	"plugbeat/webhook"
)

// site is the world of an alerter: what stands, what is remembered, what arrived.
type site struct {
	mu       sync.Mutex
	standing health.Facts
	memory   map[string][]byte
	got      []string    // bodies that arrived
	at       []time.Time // when
	status   int         // answered; 0 hangs
	header   http.Header // answered
}

func (s *site) set(ws ...health.WebhookFacts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standing = hooks(ws...)
}

func (s *site) answer(status int) { s.mu.Lock(); defer s.mu.Unlock(); s.status = status }

func (s *site) bodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *site) Load(_ context.Context, target string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memory[target], nil
}

func (s *site) Save(_ context.Context, target string, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory[target] = b
	return nil
}

// latency is what each answer of a target takes.
const latency = 20 * time.Millisecond

// RoundTrip is the target.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	b, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	status := s.status
	s.at = append(s.at, time.Now())
	if status >= 200 && status < 300 {
		s.got = append(s.got, string(b))
	}
	h := s.header.Clone()
	s.mu.Unlock()
	time.Sleep(latency)
	if status == 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("no"))}, nil
}

func newSite() *site { return &site{memory: map[string][]byte{}, status: 200, header: http.Header{}} }

func (s *site) alerter(edit func(*Target)) *Alerter {
	target := Target{Name: "t", Template: JSON, URL: webhook.Secret("https://target.example/secret-path"), Severity: health.Warning, Interval: time.Minute, Client: &http.Client{Transport: s}}
	if edit != nil {
		edit(&target)
	}
	return New(Options{Targets: []Target{target}, Memory: s, Log: zerolog.Nop(), From: Origin{"id", "box"}, Standing: func(context.Context) (health.Report, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return health.Judge(s.standing), nil
	}})
}

// start runs an alerter in the bubble; the returned function stops it.
func start(t *testing.T, a *Alerter) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-done }
}

func events(t *testing.T, body string) string {
	t.Helper()
	var m struct {
		Alerts []struct {
			Code     string
			Recovery bool
		} `json:"alerts"`
		More int `json:"more"`
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range m.Alerts {
		if a.Recovery {
			a.Code += "(over)"
		}
		out = append(out, a.Code)
	}
	if m.More > 0 {
		out = append(out, fmt.Sprintf("+%d", m.More))
	}
	return strings.Join(out, " ")
}

// The first alert leaves at once; what follows within the interval comes as one.
func TestIntervalAndDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.set(well())
		a := s.alerter(nil)
		defer start(t, a)()
		change := func(ws ...health.WebhookFacts) { s.set(ws...); a.Kick(); synctest.Wait() }
		change(opened())
		if got := s.bodies(); len(got) != 1 || events(t, got[0]) != "webhook.opened" {
			t.Fatalf("%q", got)
		}
		for _, w := range []health.WebhookFacts{well(), opened(), well(), disabled(webhook.Gone)} {
			time.Sleep(5 * time.Second)
			change(dead(w, 3))
		}
		time.Sleep(39 * time.Second)
		synctest.Wait()
		if got := s.bodies(); len(got) != 1 {
			t.Fatalf("before the interval was over: %q", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := s.bodies()
		if len(got) != 2 || events(t, got[1]) != "delivery.dead webhook.opened(over) webhook.disabled +2" {
			t.Fatalf("%q", got)
		}
		// What stands is not told again, however long it stands.
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := len(s.bodies()); n != 2 {
			t.Errorf("%d messages", n)
		}
		if st := a.States()[0]; st.Sent != 2 || st.Told != 4 || st.Folded != 2 || st.Waiting != 0 || !st.NextTry.IsZero() {
			t.Errorf("%+v", st)
		}
	})
}

// A target that fails is tried after 10 s, 1, 5 and 15 minutes, and then every 15, and
// gets everything once it is back; a wait that it asks for is kept.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.answer(503)
		s.set(disabled(webhook.Exhausted))
		a := s.alerter(nil)
		defer start(t, a)()
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		s.mu.Lock()
		var waits []time.Duration
		for i := 1; i < len(s.at); i++ {
			waits = append(waits, s.at[i].Sub(s.at[i-1])-latency) // counted from the answer
		}
		s.mu.Unlock()
		want := []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 15 * time.Minute}
		if !slices.Equal(waits, want) {
			t.Errorf("%v, want %v", waits, want)
		}
		if st := a.States()[0]; st.Failed != 6 || st.Waiting != 1 || st.LastError != "it answered 503 Service Unavailable: no" || st.NextTry.IsZero() {
			t.Errorf("%+v", st)
		}
		s.set(well()) // it healed, and nobody was told that it was disabled
		s.answer(200)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		got := s.bodies()
		if len(got) != 1 || events(t, got[0]) != "webhook.disabled webhook.disabled(over)" {
			t.Fatalf("%q", got)
		}
		if st := a.States()[0]; st.LastError != "" || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
		s.answer(429)
		s.mu.Lock()
		s.header.Set("Retry-After", "600")
		s.at = nil
		s.mu.Unlock()
		s.set(opened())
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.at) != 2 || s.at[1].Sub(s.at[0]) < 10*time.Minute {
			t.Errorf("%v", s.at)
		}
	})
}

// A target that hangs is cut off, and holds nobody up.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := newSite(), newSite()
		bad.answer(0)
		a := good.alerter(nil)
		other := bad.alerter(func(t *Target) { t.Name = "hangs" })
		both := New(Options{Targets: []Target{other.Targets[0], a.Targets[0]}, Memory: good, Log: zerolog.Nop(), Standing: a.Standing})
		good.set(disabled(webhook.Gone))
		defer start(t, both)()
		if got := good.bodies(); len(got) != 1 {
			t.Errorf("%q", got)
		}
		time.Sleep(Timeout + time.Second)
		synctest.Wait()
		if st := both.States()[0]; st.LastError != "it did not answer within 10s" || st.Failed != 1 {
			t.Errorf("%+v", st)
		}
		began := time.Now()
		results, err := both.Test(t.Context(), "hangs")
		if err != nil || len(results) != 1 || results[0].Arrived || time.Since(began) != Timeout {
			t.Errorf("%+v, %v after %s", results, err, time.Since(began))
		}
	})
}

// A stop between a change and its sending loses nothing; what was told is not told again.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		s.set(well())
		start(t, s.alerter(nil))()
		s.answer(0)
		stop := start(t, s.alerter(nil))
		s.set(dead(disabled(webhook.Exhausted), 2))
		time.Sleep(LookEvery + time.Second)
		stop() // in the middle of the request
		s.answer(200)
		stop = start(t, s.alerter(nil))
		if got := s.bodies(); len(got) != 1 || events(t, got[0]) != "delivery.dead webhook.disabled" {
			t.Fatalf("%q", got)
		}
		stop()
		stop = start(t, s.alerter(nil))
		time.Sleep(time.Hour)
		stop()
		s.set(dead(well(), 2))
		stop = start(t, s.alerter(nil))
		defer stop()
		if got := s.bodies(); len(got) != 2 || events(t, got[1]) != "webhook.disabled(over)" {
			t.Fatalf("%q", got)
		}
	})
}

// Filters leave out an alert together with its recovery.
func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		a := s.alerter(func(t *Target) { t.Codes = []health.Code{health.WebhookDisabled} })
		s.set(well())
		defer start(t, a)()
		for _, w := range []health.WebhookFacts{opened(), well(), disabled(webhook.Gone), well(), disabled(webhook.ByOperator), well()} {
			time.Sleep(2 * time.Minute)
			s.set(w)
			a.Kick()
			synctest.Wait()
		}
		var got []string
		for _, b := range s.bodies() {
			got = append(got, events(t, b))
		}
		if want := []string{"webhook.disabled", "webhook.disabled(over)"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// A target that takes nothing is not told so; the other one is.
func TestOfItself(t *testing.T) {
	f := health.Facts{Now: noon, Alerts: []health.AlertFacts{{Name: "t", LastError: "it answered 403"}}}
	alerts, _ := Diff(nil, health.Judge(f), noon)
	if len(alerts) != 1 || alerts[0].Code != health.AlertFailed {
		t.Fatalf("%+v", alerts)
	}
	self, other := Target{Name: "t", Severity: health.Info}, Target{Name: "o", Severity: health.Info}
	if self.takes(alerts[0]) || !other.takes(alerts[0]) {
		t.Error("the wrong one is told")
	}
}
