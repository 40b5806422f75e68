// Package vocabulary checks that words which plugbeat retired, because a stranger would have to
// learn them, do not come back.
package vocabulary

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

// nowhere are words that no file has. Tests, CHANGELOG.md, and the files about older data files
// and retired settings may have them.
var nowhere = regexp.MustCompile(`(?i)\b(ladder|rungs?|hollow|spared|doomed|blamed)\b`)

// retired are words that no name has: no Go identifier in the packages of judged, no log event,
// no metric, no setting.
var retired = []string{
	"ladder", "rung", "rungs", "trial", "trials", "early", "hollow", "spared", "doomed", "blamed", "lane", "lanes", "grid", "grids", "firing", "firings",
	"slot", "slots", "car", "cars", "turn", "turns", "teller", "ears", "door", "extra",
}

// excepted are identifiers that mean something else: what a vendor or HTTP calls so.
var excepted = map[string]bool{
	"StatusTooEarly": true, // net/http's 425
}

// judged are the folders whose Go code, apart from tests, has no retired word in a name.
var judged = []string{"delivery", "egress", "webhook", "alert", "health", "scheduler", "vehicle", "store"}

// vehicles are words for a vehicle that no Go code has in a name, tests included.
var vehicles = []string{"car", "cars"}

func files(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", root, "ls-files").Output()
	if err != nil {
		t.Skipf("skipped: git does not list the repository's files: %v", err)
	}
	return strings.Fields(string(out))
}

func TestNoRetiredWords(t *testing.T) {
	seen := 0
	for _, name := range files(t) {
		switch {
		case strings.HasSuffix(name, "_test.go"), strings.HasPrefix(name, "store/testdata/"), strings.HasPrefix(name, "store/schema2"),
			name == "config/retired.go", name == "CHANGELOG.md", strings.HasSuffix(name, "package-lock.json"):
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // it is being removed
		}
		seen++
		for n, line := range strings.Split(string(text), "\n") {
			if word := nowhere.FindString(line); word != "" {
				t.Errorf("%s:%d: %q is retired", name, n+1, word)
			}
		}
	}
	if seen < 300 {
		t.Errorf("only %d files were looked at: the search is wrong", seen)
	}
}

// parts splits a name into its words: webhookID, fired_at, slot.skipped.
func parts(name string) (words []string) {
	start := 0
	for i, r := range name {
		if !unicode.IsLetter(r) || i > start && unicode.IsUpper(r) {
			words = append(words, strings.ToLower(strings.Trim(name[start:i], "_.")))
			start = i
		}
	}
	return append(words, strings.ToLower(strings.Trim(name[start:], "_.")))
}

func hasOne(name string, of []string) bool {
	return slices.ContainsFunc(parts(name), func(word string) bool { return slices.Contains(of, word) })
}

func hasRetired(name string) bool { return hasOne(name, retired) }

func TestNoRetiredIdentifiers(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range files(t) {
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(name, "store/schema2") {
			continue
		}
		words := vehicles
		if folder, _, _ := strings.Cut(name, "/"); slices.Contains(judged, folder) && !strings.HasSuffix(name, "_test.go") {
			words = retired
		}
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				seen[id.Name] = true
				if hasOne(id.Name, words) && !excepted[id.Name] {
					t.Errorf("%s: the identifier %s has a retired word", name, id.Name)
				}
			}
			return true
		})
	}
	if len(seen) < 5000 {
		t.Errorf("only %d identifiers were looked at: the search is wrong", len(seen))
	}
}

func TestNoRetiredNames(t *testing.T) {
	for name, pattern := range map[string]string{
		"docs/log.md":         "`([a-z_]+\\.[a-z_.]+)`",
		"docs/metrics.md":     "`(plugbeat_[a-z_]+)`",
		"config.example.yaml": `(?m)^[ #]*([a-z_]+):`,
	} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
		if len(found) < 20 {
			t.Errorf("%s: only %d names found: the search is wrong", name, len(found))
		}
		for _, m := range found {
			if hasRetired(m[1]) {
				t.Errorf("%s: %s has a retired word", name, m[1])
			}
		}
	}
}
