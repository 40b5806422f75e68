// Package metrics holds the metrics by a running daemon: what /metrics shows and what
// docs/metrics.md lists are the same, and what ships beside it names nothing else.
package metrics

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/webhook"
)

const doc = "../../docs/metrics.md"

// metric is a row of the list, or a family of a scrape. Labels have the values they
// may have; nil where their set is not written out.
type metric struct {
	kind, unit, meaning string
	labels              map[string][]string
	alerts              []string
}

var code = regexp.MustCompile("`([^`]+)`")

func quoted(text string) (list []string) {
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// documented reads the tables of docs/metrics.md.
func documented(t *testing.T) map[string]metric {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]metric{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 8 || !strings.Contains(cells[1], "`") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := quoted(cells[1])[0]
		if _, twice := list[name]; twice {
			t.Errorf("%s is listed twice", name)
		}
		m := metric{kind: cells[2], unit: cells[4], meaning: cells[5], labels: map[string][]string{}}
		for part := range strings.SplitSeq(cells[3], ";") {
			if q := quoted(part); len(q) > 0 {
				m.labels[q[0]] = q[1:]
			}
		}
		m.alerts = quoted(cells[6])
		if m.unit == "" || m.meaning == "" {
			t.Errorf("%s has no unit or no meaning", name)
		}
		list[name] = m
	}
	return list
}

var (
	sample = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? [^ ]+$`)
	label  = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
)

// shown reads a scrape in the text format.
func shown(t *testing.T, text string) map[string]metric {
	t.Helper()
	list := map[string]metric{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			list[name] = metric{kind: kind, labels: map[string][]string{}}
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("cannot read %q", line)
			continue
		}
		name := m[1]
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, end); ok && list[name].kind == "" {
				name = base
			}
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" && !slices.Contains(list[name].labels[l[1]], l[2]) {
				list[name].labels[l[1]] = append(list[name].labels[l[1]], l[2])
			}
		}
	}
	return list
}

// site is a daemon with a webhook that works, scraped.
type site struct {
	*daemon.Daemon
	client  *adminapi.Client
	address string // of /metrics
	token   string // that opens it
}

// open starts a daemon whose three vehicles are on a webhook that answers. A second source
// has no vehicles, and counts calls.
func open(t *testing.T) *site {
	t.Helper()
	s := &site{address: daemon.FreeAddress(t)}
	secret := filepath.Join(t.TempDir(), "client_secret")
	if err := os.WriteFile(secret, []byte("not-a-real-secret-0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	counting := "\n  metered: {type: smartcar, client_id: me, client_secret_file: " + secret + ", budget: {calls: 500}}\n"
	s.Daemon = daemon.New(t, func(config string) string {
		return strings.NewReplacer("127.0.0.1:8765", "127.0.0.1:0", "127.0.0.1:8766", s.address, "\nsources:\n", "\nsources:"+counting).Replace(config) + "backup: {folder: " + t.TempDir() + "}\nalerts: {phone: {url: http://127.0.0.1:9/, allow_private: true}}\n"
	})
	s.Start()
	s.client = s.Client()
	token, err := s.client.AddToken(t.Context(), adminapi.NewToken{Name: "prometheus", Scope: access.ScopeRead})
	if err != nil {
		t.Fatal(err)
	}
	s.token = token.Token
	id := s.webhook(t, "home", nil)
	daemon.Eventually(t, "three deliveries arrive", func() bool {
		return strings.Contains(s.scrape(t), `plugbeat_delivery_finished_total{state="delivered",webhook="`+id+`"} 3`)
	})
	return s
}

// webhook adds a webhook with a receiver of its own that answers deliveries by the
// rule, nil with 200, and puts every vehicle on it.
func (s *site) webhook(t *testing.T, name string, rule func(receiver.Message) receiver.Answer) (id string) {
	t.Helper()
	r := receiver.New(s.ManagementToken())
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	ctx := context.Background()
	hook := s.Webhook(r, adminapi.NewWebhook{Name: name, CallbackURI: server.URL})
	r.Rule(rule)
	if _, err := s.client.Subscribe(ctx, adminapi.Subscribe{Webhook: name, All: true}); err != nil {
		t.Fatal(err)
	}
	return hook.Webhook.ID.String()
}

func (s *site) scrape(t *testing.T) string {
	t.Helper()
	return get(t, "http://"+s.address+"/metrics", s.token)
}

func get(t *testing.T, url, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", url, resp.Status, err, b)
	}
	return string(b)
}

// TestList: docs/metrics.md and a daemon have the same metrics, of the same types,
// with the same labels and no other values than those written out.
func TestList(t *testing.T) {
	s := open(t)
	for _, typ := range webhook.Types { // a webhook of each
		n := adminapi.NewWebhook{Name: string(typ), Type: typ, CallbackURI: "https://example.com/" + string(typ)}
		if !typ.Kind().FollowsPlug {
			n.Cadence.Every = "daily"
		}
		if _, err := s.client.AddWebhook(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	text := s.scrape(t)
	listed, there := documented(t), shown(t, text)
	for _, name := range slices.Sorted(maps.Keys(there)) {
		got := there[name]
		want, ok := listed[name]
		if !ok {
			t.Errorf("the daemon shows %s, which docs/metrics.md does not list", name)
			continue
		}
		if got.kind != want.kind {
			t.Errorf("%s is a %s, listed as a %s", name, got.kind, want.kind)
		}
		if g, w := slices.Sorted(maps.Keys(got.labels)), slices.Sorted(maps.Keys(want.labels)); !slices.Equal(g, w) {
			t.Errorf("%s has the labels %q, listed are %q", name, g, w)
		}
		for l, values := range got.labels {
			if want := want.labels[l]; len(want) > 0 {
				slices.Sort(values)
				slices.Sort(want)
				if !slices.Equal(values, want) {
					t.Errorf("%s: label %s has the values %q, listed are %q", name, l, values, want)
				}
			}
		}
	}
	for name := range listed {
		if _, ok := there[name]; !ok {
			t.Errorf("docs/metrics.md lists %s, which the daemon does not show", name)
		}
	}
	if len(there) < 60 {
		t.Errorf("only %d metrics found: the search is wrong", len(there))
	}
	for name := range there {
		if strings.HasPrefix(name, "plugbeat_") && !regexp.MustCompile(`^plugbeat_(daemon|health|scheduler|fleet|source|webhook|delivery|queue|store|backup|alert|http|build)_[a-z_]+$`).MatchString(name) {
			t.Errorf("%s is not named plugbeat_PART_WHAT", name)
		}
		if (there[name].kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, there[name].kind)
		}
	}
	promtool(t, text, "check", "metrics")
}

// promtool runs Prometheus' own checker, which .ci/run brings, and fails the test
// when it finds fault. Where there is none the rest of the test is skipped.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := tool(t, "promtool", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "FAILED") {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// reachable reports whether anybody listens at an address.
func reachable(address string) bool {
	resp, err := http.Get("http://" + address + "/-/ready")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
