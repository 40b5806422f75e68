package alert

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/health"
	"plugbeat/webhook"
)

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
