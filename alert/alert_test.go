package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/webhook"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func hook(e Event, stage string) Condition {
	c := Condition{Key: "webhook/1", Event: e, Stage: stage, Severity: Error, Subject: "webhook home", Text: "text"}
	if e == "" {
		c.Severity = ""
	}
	return c
}

func dead(n uint64) Condition {
	return Condition{Key: "dead/1", Event: DeliveryDead, Severity: Error, Subject: "webhook home", Text: "dead deliveries: %d", Counts: true, Count: n}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name     string
		was, now []Condition
		want     string
	}{
		{"nothing new", []Condition{hook(WebhookDisabled, "gone")}, []Condition{hook(WebhookDisabled, "gone")}, ""},
		{"well stays well", []Condition{hook("", "")}, []Condition{hook("", "")}, ""},
		{"a new thing that is well", nil, []Condition{hook("", "")}, ""},
		{"begins", []Condition{hook("", "")}, []Condition{hook(WebhookFailing, "")}, "webhook.failing error"},
		{"gets worse", []Condition{hook(WebhookWarned, "50")}, []Condition{hook(WebhookWarned, "90")}, "webhook.warned error"},
		{"another event", []Condition{hook(WebhookWarned, "90")}, []Condition{hook(WebhookDisabled, "exhausted")}, "webhook.disabled error"},
		{"healed", []Condition{hook(WebhookDisabled, "exhausted")}, []Condition{hook("", "")}, "webhook.healed error over"},
		{"healthy", []Condition{hook(WebhookFailing, "")}, []Condition{hook("", "")}, "webhook.healthy error over"},
		{"removed while it failed", []Condition{hook(WebhookFailing, "")}, nil, ""},
		{"counts grow", []Condition{dead(2)}, []Condition{dead(5)}, "delivery.dead error: dead deliveries: 3"},
		{"counts of a new thing", []Condition{hook("", "")}, []Condition{dead(1)}, "delivery.dead error: dead deliveries: 1"},
		{"counts stand", []Condition{dead(2)}, []Condition{dead(2)}, ""},
		{"counts of a restored backup", []Condition{dead(5)}, []Condition{dead(2)}, ""},
	} {
		marks := map[string]Mark{"other": {}}
		if c.was != nil {
			_, marks = Diff(nil, c.was, noon)
		}
		alerts, _ := Diff(marks, c.now, noon)
		var got []string
		for _, a := range alerts {
			s := fmt.Sprintf("%s %s", a.Event, a.Severity)
			if a.Recovery {
				s += " over"
			}
			if strings.Contains(a.Text, ":") {
				s += ": " + a.Text
			}
			got = append(got, s)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	// The first look of a new target: what stands is told, what was counted is not.
	alerts, _ := Diff(nil, []Condition{hook(WebhookDisabled, "gone"), dead(7)}, noon)
	if len(alerts) != 1 || alerts[0].Event != WebhookDisabled {
		t.Errorf("%+v", alerts)
	}
}

// Of one thing that flaps the first and the last stay; counts are never left out.
func TestFold(t *testing.T) {
	var waiting []Alert
	left := 0
	for i := range 7 {
		a := Alert{Key: "k", Event: WebhookFailing, of: WebhookFailing, Text: fmt.Sprint(i)}
		var n int
		waiting, n = fold(waiting, []Alert{a, {Key: "dead", of: DeliveryDead}})
		left += n
	}
	if left != 5 || len(waiting) != 2+7 || waiting[0].Text != "0" || !slices.ContainsFunc(waiting, func(a Alert) bool { return a.Text == "6" }) {
		t.Errorf("%d left, %+v", left, waiting)
	}
}

// site is the world of an alerter: what stands, what is remembered, what arrived.
type site struct {
	mu       sync.Mutex
	standing []Condition
	memory   map[string][]byte
	got      []string    // bodies that arrived
	at       []time.Time // when
	status   int         // answered; 0 hangs
	header   http.Header // answered
}

func (s *site) set(cs ...Condition) { s.mu.Lock(); defer s.mu.Unlock(); s.standing = cs }
func (s *site) answer(status int)   { s.mu.Lock(); defer s.mu.Unlock(); s.status = status }

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
	target := Target{Name: "t", Template: JSON, URL: webhook.Secret("https://target.example/secret-path"), Severity: Warning, Interval: time.Minute, Client: &http.Client{Transport: s}}
	if edit != nil {
		edit(&target)
	}
	return New(Options{Targets: []Target{target}, Memory: s, Log: zerolog.Nop(), From: Origin{"id", "box"}, Standing: func(context.Context) ([]Condition, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Clone(s.standing), nil
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
		Alerts []struct{ Event string } `json:"alerts"`
		More   int                      `json:"more"`
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range m.Alerts {
		out = append(out, a.Event)
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
		s.set(hook("", ""), dead(0))
		a := s.alerter(nil)
		defer start(t, a)()
		change := func(cs ...Condition) { s.set(cs...); a.Kick(); synctest.Wait() }
		change(hook(WebhookFailing, ""), dead(0))
		if got := s.bodies(); len(got) != 1 || events(t, got[0]) != "webhook.failing" {
			t.Fatalf("%q", got)
		}
		for _, e := range []Event{"", WebhookFailing, "", WebhookDisabled} {
			time.Sleep(5 * time.Second)
			change(hook(e, ""), dead(3))
		}
		time.Sleep(39 * time.Second)
		synctest.Wait()
		if got := s.bodies(); len(got) != 1 {
			t.Fatalf("before the interval was over: %q", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := s.bodies()
		if len(got) != 2 || events(t, got[1]) != "webhook.healthy delivery.dead webhook.disabled +2" {
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
		s.set(hook(WebhookDisabled, "exhausted"))
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
		s.set(hook("", "")) // it healed, and nobody was told that it was disabled
		s.answer(200)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		got := s.bodies()
		if len(got) != 1 || events(t, got[0]) != "webhook.disabled webhook.healed" {
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
		s.set(hook(WebhookFailing, ""))
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
		good.set(hook(WebhookDisabled, "gone"))
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
		s.set(hook("", ""), dead(0))
		start(t, s.alerter(nil))()
		s.answer(0)
		stop := start(t, s.alerter(nil))
		s.set(hook(WebhookDisabled, "exhausted"), dead(2))
		time.Sleep(LookEvery + time.Second)
		stop() // in the middle of the request
		s.answer(200)
		stop = start(t, s.alerter(nil))
		if got := s.bodies(); len(got) != 1 || events(t, got[0]) != "webhook.disabled delivery.dead" {
			t.Fatalf("%q", got)
		}
		stop()
		stop = start(t, s.alerter(nil))
		time.Sleep(time.Hour)
		stop()
		s.set(hook("", ""), dead(2))
		stop = start(t, s.alerter(nil))
		defer stop()
		if got := s.bodies(); len(got) != 2 || events(t, got[1]) != "webhook.healed" {
			t.Fatalf("%q", got)
		}
	})
}

// Filters leave out an alert together with its recovery.
func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		a := s.alerter(func(t *Target) { t.Events = []Event{WebhookDisabled} })
		s.set(hook("", ""))
		defer start(t, a)()
		for _, c := range []Condition{hook(WebhookFailing, ""), hook("", ""), hook(WebhookDisabled, "gone"), hook("", ""),
			{Key: "webhook/1", Event: WebhookDisabled, Stage: "operator", Severity: Info}, hook("", "")} {
			time.Sleep(2 * time.Minute)
			s.set(c)
			a.Kick()
			synctest.Wait()
		}
		var got []string
		for _, b := range s.bodies() {
			got = append(got, events(t, b))
		}
		if want := []string{"webhook.disabled", "webhook.healed"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestTemplates(t *testing.T) {
	down := Alert{Event: WebhookDisabled, Severity: Error, Subject: "webhook hôme", Text: "503 <!channel> \x1b[31m\nnext", At: noon}
	up := Alert{Event: WebhookHealed, Severity: Error, Recovery: true, Subject: "webhook hôme", Text: "well", At: noon}
	from := Origin{"id", "box"}
	h, body := compose(Ntfy, from, []Alert{down}, 0, noon)
	if got := string(body); got != "12:00:00Z [error] webhook hôme (webhook.disabled): 503 <!channel> [31m next" {
		t.Errorf("%q", got)
	}
	if got := h.Get("Title"); got != "=?utf-8?q?plugbeat_on_box:_webhook_h=C3=B4me_(webhook.disabled)?=" || h.Get("Priority") != "4" || h.Get("Tags") != "rotating_light" {
		t.Errorf("%v", h)
	}
	if h, _ = compose(Ntfy, from, []Alert{up}, 0, noon); h.Get("Tags") != "white_check_mark" || h.Get("Priority") != "3" {
		t.Errorf("%v", h)
	}
	_, body = compose(Slack, from, []Alert{down, up}, 0, noon)
	if got := string(body); !strings.Contains(got, `&lt;!channel`) && !strings.Contains(got, `\u0026lt;!channel`) || !strings.HasPrefix(got, `{"text":"*plugbeat on box: 2 alerts*\n`) {
		t.Errorf("%s", got)
	}
	many := slices.Repeat([]Alert{down}, 40)
	_, body = compose(Ntfy, from, many, 3, noon)
	if got := string(body); len(got) > 4096 || !strings.HasSuffix(got, "and 31 more; see: plugbeat status") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	long := Alert{Event: WebhookDisabled, Subject: strings.Repeat("é", 300), Text: strings.Repeat("ü", 4000), At: noon}
	if _, body = compose(Ntfy, from, slices.Repeat([]Alert{long}, 40), 0, noon); len(body) > 6000 {
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

// docs/alerts.md lists the events, each with the one that ends it.
func TestDocsListEveryEvent(t *testing.T) {
	text, err := os.ReadFile("../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[Event]Event{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| [a-z, ]+ \\| (?:`([a-z_.]+)`)? *\\|").FindAllStringSubmatch(string(text), -1) {
		told[Event(m[1])] = Event(m[2])
	}
	for _, e := range Events() {
		if over, ok := told[e]; !ok || over != Recovery(e) {
			t.Errorf("docs/alerts.md on %s: %v, over with %q, want %q", e, ok, over, Recovery(e))
		}
		delete(told, e)
	}
	if len(told) > 0 {
		t.Errorf("docs/alerts.md lists %v, which are no events", told)
	}
}
