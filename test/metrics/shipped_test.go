package metrics

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	rules      = "../../docs/prometheus/alerts.yaml"
	ruleTests  = "../../docs/prometheus/alerts_test.yaml"
	prometheus = "../../docs/prometheus/prometheus.yaml"
	dashboard  = "../../docs/grafana/plugbeat.json"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// uses is a metric in a query, with what is said of its labels in braces.
var uses = regexp.MustCompile(`\b((?:plugbeat|process|go)_[a-z_]+)(?:\{([^}]*)\})?`)

// matchers are the conditions in braces.
var matchers = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)

// checkQuery fails the test when a query names a metric, a label or a value that no
// daemon has.
func checkQuery(t *testing.T, where, query string, listed map[string]metric) (named int) {
	t.Helper()
	for _, m := range uses.FindAllStringSubmatch(query, -1) {
		name, known := m[1], listed[m[1]]
		switch known.kind {
		case "":
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				if base := strings.TrimSuffix(name, end); base != name && listed[base].kind == "histogram" {
					known = listed[base]
				}
			}
		case "histogram":
			t.Errorf("%s: %s is a histogram, not a value", where, name)
		}
		if known.kind == "" {
			t.Errorf("%s names %s, which docs/metrics.md does not list", where, name)
			continue
		}
		named++
		for _, c := range matchers.FindAllStringSubmatch(m[2], -1) {
			if c[1] == "job" || c[1] == "instance" || c[1] == "le" {
				continue
			}
			values, ok := known.labels[c[1]]
			if !ok {
				t.Errorf("%s: %s has no label %s", where, name, c[1])
			}
			for v := range strings.SplitSeq(c[3], "|") {
				if len(values) > 0 && !slices.Contains(values, v) {
					t.Errorf("%s: label %s of %s is never %q", where, c[1], name, v)
				}
			}
		}
	}
	return named
}

// TestAlerts: the rules parse and do in each case what alerts_test.yaml says, name
// only what there is, are each tested, and are those that docs/metrics.md suggests.
func TestAlerts(t *testing.T) {
	text, listed := read(t, rules), documented(t)
	if n := checkQuery(t, "alerts.yaml", text, listed); n < 6 {
		t.Errorf("only %d metrics found in alerts.yaml: the search is wrong", n)
	}
	shipped := map[string]bool{}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(text, -1) {
		shipped[m[1]] = true
	}
	suggested := map[string]bool{}
	for _, m := range listed {
		for _, a := range m.alerts {
			suggested[a] = true
		}
	}
	tested := map[string]bool{}
	for _, m := range regexp.MustCompile(`alertname="(\w+)"`).FindAllStringSubmatch(read(t, ruleTests), -1) {
		tested[m[1]] = true
	}
	if a, b := slices.Sorted(maps.Keys(shipped)), slices.Sorted(maps.Keys(suggested)); !slices.Equal(a, b) {
		t.Errorf("alerts.yaml has %q, docs/metrics.md suggests %q", a, b)
	}
	if a, b := slices.Sorted(maps.Keys(shipped)), slices.Sorted(maps.Keys(tested)); !slices.Equal(a, b) {
		t.Errorf("alerts.yaml has %q, alerts_test.yaml has fire %q", a, b)
	}
	promtool(t, "", "check", "config", "--syntax-only", prometheus) // its files are the reader's
	promtool(t, "", "check", "rules", rules)
	promtool(t, "", "test", "rules", ruleTests)
}

// panel is a panel of the dashboard.
type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct{ X, Y, W, H int }
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

// panels reads the dashboard.
func panels(t *testing.T) []panel {
	t.Helper()
	var d struct {
		Panels []panel `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, dashboard)), &d); err != nil {
		t.Fatal(err)
	}
	return d.Panels
}

// filled is a query of the dashboard with its variables as a person may set them.
func filled(expr string) string {
	return strings.NewReplacer("$__rate_interval", "5s", "$instance", ".*", "$webhook", ".*").Replace(expr)
}

// TestDashboard: every query of the dashboard names only what there is, and parses;
// and no panel lies over another.
func TestDashboard(t *testing.T) {
	listed, all := documented(t), panels(t)
	var record strings.Builder
	record.WriteString("groups:\n- name: dashboard\n  rules:\n")
	n, ids, taken := 0, map[int]bool{}, map[[2]int]string{}
	for _, p := range all {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies over %q, or leaves the page", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, q := range p.Targets {
			if checkQuery(t, "panel "+p.Title, q.Expr, listed) == 0 {
				t.Errorf("panel %q asks for nothing of plugbeat's: %s", p.Title, q.Expr)
			}
			n++
			fmt.Fprintf(&record, "  - {record: panel_%d, expr: %q}\n", n, filled(q.Expr))
		}
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, []byte(record.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}
