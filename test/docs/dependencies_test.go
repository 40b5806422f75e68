package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each direct dependency of go.mod has a row with its reason in docs/dev/decisions.md.
func TestEveryDependencyHasAReason(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1)
	if len(direct) < 10 {
		t.Fatalf("only %d direct dependencies were found: the search is wrong", len(direct))
	}
	page := read(t, "docs/dev/decisions.md")
	for _, m := range direct {
		if !strings.Contains(page, "\n| "+m[1]+" | ") {
			t.Errorf("docs/dev/decisions.md has no reason for %s", m[1])
		}
	}
}
