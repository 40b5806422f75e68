// Package importrules holds the test of who may import whom. The table below is
// the one in docs/dev/architecture.md; a package that is not in it fails the test, so
// a new package states its place first.
package importrules

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// allowed lists, per package, our own packages and the guarded third-party ones it
// may import; "*" at the end of a name is every package in the folder that has no line
// of its own. The standard library, zerolog and uuid are allowed anywhere.
var allowed = map[string][]string{
	"vehicle":           {},
	"vehicle/smartcar":  {"vehicle", "golang.org/x/oauth2"},
	"vehicle/*":         {"vehicle"},
	"vehicle/httpjson":  {"vehicle", "vehicle/mapping"},
	"vehicle/intake":    {"vehicle", "vehicle/mapping"},
	"vehicle/mqtt":      {"vehicle", "vehicle/mapping", "github.com/eclipse/paho.golang"},
	"vehicle/all":       {"vehicle", "vehicle/*"},
	"webhook":           {"vehicle"},
	"webhook/payload":   {"webhook", "vehicle"},
	"webhook/signing":   {"webhook", "vehicle"},
	"access":            {},
	"adminapi":          {"access", "health", "webhook", "vehicle", "words"},
	"words":             {"github.com/xrash/smetrics"},
	"clock":             {},
	"health":            {"vehicle", "webhook", "words"},
	"alert":             {"health", "webhook", "words"},
	"scheduler/cadence": {"vehicle", "webhook", "github.com/robfig/cron/v3"},
	"scheduler":         {"vehicle", "webhook", "webhook/payload", "scheduler/cadence", "golang.org/x/time", "golang.org/x/sync"},
	"egress":            {},
	"delivery":          {"egress", "webhook", "webhook/signing", "words"},
	"store":             {"access", "vehicle", "webhook", "go.etcd.io/bbolt", "golang.org/x/sys"},
	"config":            {"health", "vehicle", "vehicle/all", "webhook", "words", "scheduler/cadence", "go.yaml.in/yaml/v4"},
	"server":            {"access", "adminapi", "health", "vehicle", "webhook", "scheduler/cadence", "server/*", "github.com/prometheus/client_golang"},
	"server/web":        {"access", "adminapi", "vehicle", "webhook", "webhook/signing", "golang.org/x/time"},
	"server/smartcar":   {"access", "server/web", "vehicle", "webhook", "webhook/payload"},
	"server/oauth":      {"access", "adminapi", "server/web", "vehicle", "webhook", "golang.org/x/time"},
	"server/intake":     {"adminapi", "server/web", "vehicle"},
	"server/admin":      {"access", "adminapi", "health", "scheduler/cadence", "server/web", "vehicle", "webhook", "webhook/signing", "words"},
	"server/servertest": {"*"},
	"systemd":           {},
	"receiver":          {"webhook/signing"},
	"app":               {"*"},
	"demo":              {"adminapi", "app", "config", "receiver", "store", "vehicle", "vehicle/mapping", "vehicle/simulator", "webhook", "words"},
	"cli":               {"app", "demo", "cli/terminal", "cli/*", "webhook", "github.com/urfave/cli/v2"},
	"cli/terminal":      {"adminapi", "config", "words", "github.com/urfave/cli/v2", "golang.org/x/term"},
	"cli/phrase":        {"cli/terminal", "adminapi", "vehicle", "webhook", "words"},
	"cli/machine":       {"systemd", "words", "cli/terminal"},
	"cli/*":             {"cli/terminal", "cli/phrase", "cli/machine", "access", "adminapi", "config", "app", "egress", "receiver", "systemd", "health", "vehicle", "webhook", "webhook/payload", "webhook/signing", "words", "github.com/urfave/cli/v2"},
	"cli/clitest":       {"cli/terminal", "cli/machine", "access", "adminapi", "health", "systemd", "vehicle", "webhook", "github.com/urfave/cli/v2", "github.com/google/go-cmp"},
	"":                  {"cli"},
}

// never lists what a package does not import even where "*" allows the rest.
var never = map[string][]string{
	"app": {"cli", "demo", "receiver", "vehicle/smartcar", "vehicle/simulator", "github.com/prometheus/client_golang", "go.etcd.io/bbolt", "github.com/robfig/cron/v3", "go.yaml.in/yaml/v4", "github.com/urfave/cli/v2"},
}

var everywhere = []string{"github.com/rs/zerolog", "github.com/google/uuid"}

func TestImportRules(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "plugbeat/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := ours(p.ImportPath)
		seen[name] = true
		if (strings.HasPrefix(name, "test/") || strings.HasPrefix(name, "tools/")) && allowed[name] == nil {
			continue // tests of the whole, and what they are made of
		}
		rules, ok := allowed[name]
		if !ok {
			rules, ok = allowed[path.Dir(name)+"/*"]
		}
		if !ok {
			t.Errorf("package %s has no import rule: add it here and to docs/dev/architecture.md", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if bad(name, rules, imp) {
				t.Errorf("%s imports %s, which docs/dev/architecture.md does not allow", p.ImportPath, imp)
			}
		}
	}
	for name := range allowed {
		if !seen[name] && !strings.HasSuffix(name, "/*") {
			t.Errorf("the rules speak of package %q, which does not exist", name)
		}
	}
}

// ours returns the path below the module, and other paths as they are.
func ours(path string) string {
	if path == "plugbeat" {
		return ""
	}
	return strings.TrimPrefix(path, "plugbeat/")
}

func bad(name string, rules []string, imp string) bool {
	isOurs := imp == "plugbeat" || strings.HasPrefix(imp, "plugbeat/")
	if !isOurs && !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
		return false // standard library
	}
	within := func(list []string) bool {
		return slices.ContainsFunc(list, func(r string) bool {
			return ours(imp) == r || isOurs && r == path.Dir(ours(imp))+"/*" || !isOurs && strings.HasPrefix(imp, r+"/")
		})
	}
	switch {
	case within(everywhere):
		return strings.HasPrefix(imp, "github.com/rs/zerolog/log")
	case within(never[name]):
		return true
	case slices.Contains(rules, "*"):
		return false
	}
	return !within(rules)
}
