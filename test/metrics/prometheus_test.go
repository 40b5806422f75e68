package metrics

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/test/long"
)

// watcher is a Prometheus that scrapes a daemon.
type watcher struct {
	t       *testing.T
	address string
}

// ask calls Prometheus' API.
func (w *watcher) ask(path string, query url.Values, into any) {
	w.t.Helper()
	var answer struct {
		Status string          `json:"status"`
		Data   json.RawMessage `json:"data"`
	}
	body := get(w.t, "http://"+w.address+"/api/v1/"+path+"?"+query.Encode(), "")
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "success" {
		w.t.Fatalf("%s: %v %s", path, err, body)
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		w.t.Fatal(err)
	}
}

// count returns how many series a query gives.
func (w *watcher) count(expr string) int {
	w.t.Helper()
	var data struct{ Result []json.RawMessage }
	w.ask("query", url.Values{"query": {expr}}, &data)
	return len(data.Result)
}

// watch starts Prometheus with the configuration that ships, scraping the site every second.
func watch(t *testing.T, s *site) *watcher {
	t.Helper()
	dir := t.TempDir()
	alerts, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(dir, "plugbeat.token")
	if err := os.WriteFile(token, []byte(s.token), 0o600); err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("127.0.0.1:8766", s.address, "/etc/prometheus/plugbeat.token", token, "alerts.yaml", alerts, "15s", "1s").Replace(read(t, prometheus))
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, address: daemon.FreeAddress(t)}
	cmd := tool(t, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+w.address, "--log.level=error")
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said: %s", out)
		}
	})
	return w
}

// TestPrometheus has a real Prometheus scrape a daemon, evaluate the alerts and
// answer every query of the dashboard.
func TestPrometheus(t *testing.T) {
	long.Test(t)
	s := open(t)
	w := watch(t, s)
	daemon.Eventually(t, "it answers", func() bool { return reachable(w.address) })
	daemon.Eventually(t, "four scrapes", func() bool { return w.count(`count_over_time(up{job="plugbeat"}[1m]) >= 4 and up == 1`) == 1 })

	for _, p := range panels(t) {
		for _, q := range p.Targets {
			if n := w.count(filled(q.Expr)); n == 0 && !strings.Contains(q.Expr, "> 0") {
				t.Errorf("panel %q shows nothing: %s", p.Title, q.Expr)
			}
		}
	}
	type rule struct{ Name, Health, LastError, State string }
	var groups struct{ Groups []struct{ Rules []rule } }
	w.ask("rules", nil, &groups)
	if len(groups.Groups) != 1 || len(groups.Groups[0].Rules) < 6 {
		t.Fatalf("the alerts are not loaded: %+v", groups)
	}
	for _, r := range groups.Groups[0].Rules {
		if r.Health != "ok" || r.State == "firing" {
			var firing json.RawMessage
			w.ask("query", url.Values{"query": {"plugbeat_health_condition"}}, &firing)
			t.Errorf("alert %s: %s, %s %s; the conditions: %s", r.Name, r.State, r.Health, r.LastError, firing)
		}
	}

	s.webhook(t, "second", func(m receiver.Message) receiver.Answer { return receiver.Answer{Status: 410} })
	type alert struct {
		State               string
		Labels, Annotations map[string]string
	}
	var fired alert
	daemon.Eventually(t, "an alert of the webhook whose receiver says 410", func() bool {
		var data struct{ Alerts []alert }
		w.ask("alerts", nil, &data)
		for _, a := range data.Alerts {
			if a.State == "firing" && a.Labels["code"] == "webhook.disabled" {
				fired = a
			}
		}
		return fired.State != ""
	})
	if fired.Labels["alertname"] != "PlugbeatError" || fired.Annotations["summary"] != "webhook second: webhook.disabled" {
		t.Errorf("%+v", fired)
	}
	if text := fired.Annotations["description"]; !strings.Contains(text, "plugbeat status") {
		t.Errorf("it does not say what to do: %s", text)
	}
}
