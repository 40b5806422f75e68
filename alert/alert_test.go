package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/health"
	"plugbeat/webhook"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

var hookID = uuid.MustParse("0191b2a4-0000-7000-8000-000000000001")

// hook is a webhook of that name, after a change.
func hook(edit func(*health.WebhookFacts)) health.WebhookFacts {
	w := health.WebhookFacts{Webhook: webhook.Webhook{ID: hookID, Name: "home", Status: webhook.Active, Ledger: webhook.Ledger{Produced: 100, Delivered: 50}}}
	edit(&w)
	return w
}

func well() health.WebhookFacts { return hook(func(*health.WebhookFacts) {}) }

func disabled(r webhook.Reason) health.WebhookFacts {
	return hook(func(w *health.WebhookFacts) { w.Status, w.Reason = webhook.Disabled, r })
}

// failing has an open breaker that was opened so long ago and disables the webhook in so long.
func failing(opened, left time.Duration) health.WebhookFacts {
	return hook(func(w *health.WebhookFacts) { w.Breaker.OpenSince, w.DisabledAt = noon.Add(-opened), noon.Add(left) })
}

// opened has a breaker that has just opened, and is no error for as long as a test lasts.
func opened() health.WebhookFacts { return failing(0, 0) }

// dead is a webhook of whose deliveries n died.
func dead(w health.WebhookFacts, n uint64) health.WebhookFacts {
	w.Ledger.Dead, w.DeadToday = n, int(n) //nolint:gosec // small
	return w
}

func hooks(ws ...health.WebhookFacts) health.Facts { return health.Facts{Now: noon, Webhooks: ws} }

func source(edit func(*health.SourceFacts)) health.Facts {
	f := health.SourceFacts{Name: "cars", Configured: true}
	edit(&f)
	return health.Facts{Now: noon, Sources: []health.SourceFacts{f}}
}

func TestDiff(t *testing.T) {
	down := source(func(f *health.SourceFacts) { f.LastFault, f.LastFaultAt = "UPSTREAM", noon })
	for _, c := range []struct {
		name     string
		was, now health.Facts
		want     string
	}{
		{"nothing new", hooks(disabled(webhook.Gone)), hooks(disabled(webhook.Gone)), ""},
		{"well stays well", hooks(well()), hooks(well()), ""},
		{"a new thing that is well", hooks(), hooks(well()), ""},
		{"begins", hooks(well()), hooks(failing(time.Hour, 9*time.Hour)), "webhook.opened warning"},
		{"gets worse", hooks(failing(time.Hour, 9*time.Hour)), hooks(failing(6*time.Hour, 4*time.Hour)), "webhook.opened error"},
		{"gets less urgent", hooks(failing(6*time.Hour, 4*time.Hour)), hooks(failing(time.Hour, 9*time.Hour)), ""},
		{"another code", hooks(failing(9*time.Hour, time.Hour)), hooks(disabled(webhook.Exhausted)), "webhook.disabled error"},
		{"another reason", hooks(disabled(webhook.Exhausted)), hooks(disabled(webhook.ByOperator)), "webhook.disabled info"},
		{"healed", hooks(disabled(webhook.Exhausted)), hooks(well()), "webhook.disabled error: webhook home: it takes deliveries again"},
		{"closed", hooks(failing(time.Hour, 9*time.Hour)), hooks(well()), "webhook.opened warning: webhook home: it takes deliveries again"},
		{"removed while it failed", hooks(failing(time.Hour, 9*time.Hour)), hooks(), ""},
		{"not heard of since the start", down, source(func(*health.SourceFacts) {}), ""},
		{"heard of", down, source(func(f *health.SourceFacts) { f.LastOK = noon }), "source.down error: source cars: it gives values again"},
		{"losses grow", hooks(dead(well(), 2)), hooks(dead(well(), 5)), "delivery.dead error"},
		{"the first losses", hooks(well()), hooks(dead(well(), 1)), "delivery.dead error"},
		{"losses stand", hooks(dead(well(), 2)), hooks(dead(well(), 2)), ""},
		{"losses are a day old", hooks(dead(well(), 2)), hooks(hook(func(w *health.WebhookFacts) { w.Ledger.Dead = 2 })), ""},
		{"losses of a restored backup", hooks(dead(well(), 5)), hooks(dead(well(), 2)), ""},
	} {
		_, marks := Diff(map[string]Mark{}, health.Judge(c.was), noon)
		alerts, next := Diff(marks, health.Judge(c.now), noon)
		var got []string
		for _, a := range alerts {
			s := fmt.Sprintf("%s %s", a.Code, a.Severity)
			if a.Recovery {
				s += ": " + a.Text
			}
			got = append(got, s)
			if a.Recovery != (a.Remedy == "") || !a.At.Equal(noon) {
				t.Errorf("%s: %+v", c.name, a)
			}
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if again, _ := Diff(next, health.Judge(c.now), noon); len(again) > 0 {
			t.Errorf("%s: told twice: %+v", c.name, again)
		}
	}
	// The first look of a new target: what stands is told, what was lost before is not.
	alerts, _ := Diff(nil, health.Judge(hooks(dead(disabled(webhook.Gone), 7))), noon)
	if len(alerts) != 1 || alerts[0].Code != health.WebhookDisabled {
		t.Errorf("%+v", alerts)
	}
	// What was not heard of since the start is over once it is heard of to be well.
	_, marks := Diff(map[string]Mark{}, health.Judge(down), noon)
	_, marks = Diff(marks, health.Judge(source(func(*health.SourceFacts) {})), noon)
	alerts, _ = Diff(marks, health.Judge(source(func(f *health.SourceFacts) { f.LastOK = noon })), noon)
	if len(alerts) != 1 || !alerts[0].Recovery {
		t.Errorf("after a restart: %+v", alerts)
	}
}

// What targets were told by a version before this one is taken up: its keys, what it
// remembered of what was well, and events that are no more.
func TestOldMemory(t *testing.T) {
	id := hookID.String()
	var marks map[string]Mark
	old := `{"webhook/` + id + `":{"event":"webhook.disabled","stage":"exhausted","severity":"error"},"dead/` + id + `":{"event":"delivery.dead","severity":"error","count":3},
		"expired/` + id + `":{"event":"delivery.expired","severity":"error"},"store":{},"clock":{"event":"clock.off","severity":"error"},"vehicles/owner":{"event":"vehicle.needs_owner","stage":"2","severity":"error"}}`
	if err := json.Unmarshal([]byte(old), &marks); err != nil {
		t.Fatal(err)
	}
	alerts, next := Diff(marks, health.Judge(hooks(dead(disabled(webhook.Exhausted), 3))), noon)
	if len(alerts) != 0 {
		t.Errorf("nothing has changed: %+v", alerts)
	}
	if alerts, _ = Diff(next, health.Judge(hooks(dead(well(), 4))), noon); len(alerts) != 2 || alerts[0].Code != health.DeliveryDead || !alerts[1].Recovery || alerts[1].Subject != "webhook home" {
		t.Errorf("%+v", alerts)
	}
	marks["webhook/"+id] = Mark{Code: "webhook.warned", Severity: health.Error}
	if alerts, _ = Diff(marks, health.Judge(hooks(well())), noon); len(alerts) != 0 {
		t.Errorf("an event that is no more: %+v", alerts)
	}
	marks["webhook/"+id] = Mark{Code: health.WebhookDisabled, Severity: health.Error}
	if alerts, _ = Diff(marks, health.Judge(hooks(well())), noon); len(alerts) != 1 || alerts[0].Text != "webhook: it takes deliveries again" {
		t.Errorf("of a subject that was not remembered: %+v", alerts)
	}
}

// Of one thing that flaps the first and the last stay.
func TestFold(t *testing.T) {
	var waiting []Alert
	left := 0
	for i := range 7 {
		var n int
		waiting, n = fold(waiting, []Alert{{key: "k", Text: fmt.Sprint(i)}, {key: fmt.Sprint("other", i)}})
		left += n
	}
	if left != 5 || len(waiting) != 2+7 || waiting[0].Text != "0" || !slices.ContainsFunc(waiting, func(a Alert) bool { return a.Text == "6" }) {
		t.Errorf("%d left, %+v", left, waiting)
	}
}

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
			waits = append(waits, s.at[i].Sub(s.at[i-1]))
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
		if err != nil || len(results) != 1 || results[0].Err == nil || time.Since(began) != Timeout {
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

func TestTemplates(t *testing.T) {
	down := Alert{Code: health.WebhookDisabled, Severity: health.Error, Subject: "webhook hôme", Text: "503 <!channel> \x1b[31m\nnext", Remedy: "look at it", At: noon}
	up := Alert{Code: health.WebhookDisabled, Severity: health.Error, Recovery: true, Subject: "webhook hôme", Text: "well", At: noon}
	from := Origin{"id", "box"}
	h, body := compose(Ntfy, from, []Alert{down}, 0, 0, noon)
	if got := string(body); got != "12:00:00Z [error] webhook.disabled: 503 <!channel> [31m next; look at it" {
		t.Errorf("%q", got)
	}
	if got := h.Get("Title"); got != "=?utf-8?q?plugbeat_on_box:_webhook_h=C3=B4me_(webhook.disabled)?=" || h.Get("Priority") != "4" || h.Get("Tags") != "rotating_light" {
		t.Errorf("%v", h)
	}
	if h, _ = compose(Ntfy, from, []Alert{up}, 0, 0, noon); h.Get("Tags") != "white_check_mark" || h.Get("Priority") != "3" {
		t.Errorf("%v", h)
	}
	_, body = compose(Slack, from, []Alert{down, up}, 0, 0, noon)
	if got := string(body); !strings.Contains(got, `&lt;!channel`) && !strings.Contains(got, `\u0026lt;!channel`) || !strings.HasPrefix(got, `{"text":"*plugbeat on box: 2 alerts*\n`) {
		t.Errorf("%s", got)
	}
	many := slices.Repeat([]Alert{down}, 40)
	_, body = compose(Ntfy, from, many, 3, 0, noon)
	if got := string(body); len(got) > 4096 || !strings.HasSuffix(got, "and 35 more; see: plugbeat status") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	long := Alert{Code: health.VehicleOwner, Severity: health.Warning, Subject: strings.Repeat("é", 300), Text: strings.Repeat("ü", 4000), Remedy: strings.Repeat("ö", 4000), At: noon}
	if _, body = compose(Ntfy, from, slices.Repeat([]Alert{long}, 40), 0, 0, noon); len(body) > 4096 {
		t.Errorf("%d bytes", len(body))
	}
}

// No error repeats the URL or the token, whatever a target answers.
func TestSecretsAreNotRepeated(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/topic-secret", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no such topic: "+r.URL.Path+" of "+r.Header.Get("Authorization"), http.StatusNotFound)
	})
	mux.HandleFunc("/moved-secret", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, url := range []string{server.URL + "/topic-secret", server.URL + "/moved-secret", "http://127.0.0.1:1/closed-secret", "http://[::1/odd-secret"} {
		target := Target{URL: webhook.Secret(url), Token: webhook.Secret("token-secret"), Client: client}
		res := target.send(t.Context(), http.Header{}, nil)
		if res.Err == nil || strings.Contains(res.Err.Error(), "-secret") {
			t.Errorf("%s: %v", url, res.Err)
		}
	}
}

// TestWithinTheTargetsLimit holds that a message fits what its target takes after escaping, and
// that what was left out is counted.
func TestWithinTheTargetsLimit(t *testing.T) {
	full := Alert{Code: health.WebhookDisabled, Severity: health.Error, Subject: "webhook home", Text: strings.Repeat("&", 400),
		Remedy: "look at its answers", At: noon}
	for template, limit := range limits {
		for n := 1; n <= 40; n++ {
			for shorter := range shortest + 1 {
				_, text, _ := composedLike(template, slices.Repeat([]Alert{full}, n), shorter)
				if len(text) > limit>>shorter && n > 1 || len(text) > limit {
					t.Errorf("%s: %d alerts, made shorter %d times: %d bytes", template, n, shorter, len(text))
				}
				if n > 8 && !strings.Contains(text, "more; see: plugbeat status") {
					t.Errorf("%s: what was left out is not counted: %s", template, text)
				}
			}
		}
	}
}

// composedLike is the text of a message as the target reads it.
func composedLike(template Template, alerts []Alert, shorter int) (http.Header, string, []byte) {
	h, body := compose(template, Origin{"id", "box"}, alerts, 0, shorter, noon)
	if template != Slack {
		return h, string(body), body
	}
	var m struct{ Text string }
	_ = json.Unmarshal(body, &m)
	return h, m.Text, body
}

// TestRefusedForItsLength: after a 400 or 413 a message comes shorter, and arrives when it is
// short enough; one that the target never takes is let go, and the next alert arrives.
func TestRefusedForItsLength(t *testing.T) {
	for _, status := range []int{400, 413} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite()
			s.answer(status)
			s.set(disabled(webhook.Exhausted))
			a := s.alerter(func(target *Target) { target.Template = Ntfy })
			defer start(t, a)()
			time.Sleep(25 * time.Second) // two tries
			synctest.Wait()
			s.answer(200)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if got := s.bodies(); len(got) != 1 {
				t.Fatalf("%d: the shorter message did not arrive: %q", status, got)
			}
			s.answer(status)
			s.set(well())
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if st := a.States()[0]; st.Waiting != 0 || st.LastError == "" {
				t.Errorf("%d: it is stuck behind one message: %+v", status, st)
			}
			s.answer(200)
			s.set(disabled(webhook.Gone))
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			got := s.bodies()
			if len(got) != 2 || !strings.Contains(got[1], "webhook.disabled") || !strings.Contains(got[1], "and 1 more") {
				t.Errorf("%d: %q", status, got)
			}
		})
	}
}

// TestOutsidersTextIsNoMarkup: what a receiver answered is read by no chat as a mention or a
// link, and a remedy is whole or not there.
func TestOutsidersTextIsNoMarkup(t *testing.T) {
	odd := Alert{Code: health.WebhookDisabled, Severity: health.Error, Subject: "webhook x", At: noon,
		Text: "it answered 500: @everyone [pay](http://evil.example) @channel <!here> <http://evil.example|pay>", Remedy: "see: plugbeat webhook enable 'x; touch pwned'"}
	_, text, _ := composedLike(Slack, []Alert{odd}, 0)
	for _, mark := range []string{"@everyone", "@channel", "](http", "<!here>", "<http", "http://"} {
		if strings.Contains(text, mark) {
			t.Errorf("%q is in %q", mark, text)
		}
	}
	if !strings.Contains(text, "plugbeat webhook enable 'x; touch pwned'") {
		t.Errorf("the remedy is not as it was: %q", text)
	}
	// A mark that is escaped would end the quotes of a command, or name another webhook.
	for _, name := range []string{"'x`; touch pwned; `'", "'@home'"} {
		odd.Remedy = "see: plugbeat webhook enable " + name
		if _, text, _ = composedLike(Slack, []Alert{odd}, 0); strings.Contains(text, "enable") || !strings.HasSuffix(text, "; see: plugbeat status") {
			t.Errorf("a changed command is told: %q", text)
		}
		if _, text, _ = composedLike(Ntfy, []Alert{odd}, 0); !strings.HasSuffix(text, odd.Remedy) {
			t.Errorf("a target that escapes nothing is not told the command: %q", text)
		}
	}
	odd.Remedy = "run: plugbeat webhook enable '" + strings.Repeat("x", 400) + "'"
	if _, text, _ = composedLike(Ntfy, []Alert{odd}, 0); strings.Contains(text, "enable") || !strings.HasSuffix(text, "; see: plugbeat status") {
		t.Errorf("a part of a command is told: %q", text)
	}
}
