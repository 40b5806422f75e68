// Package logevents holds the closed vocabulary of log events: what the code writes
// and what docs/log.md lists are the same.
package logevents

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// written finds events where they are written: Str("event", "a.b"), the helpers called event
// with the event as their last argument, and names that begin with event or effect.
var written = regexp.MustCompile(`Str\("event", "([^"]+)"\)|\bevent\([^"()]*"([^"]+)"\)|\b(?:event|effect)[A-Z]\w*\s*= (?:effect\{)?"([^"]+)"`)

func TestVocabulary(t *testing.T) {
	text, err := os.ReadFile("../../docs/log.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				if listed[m[1]] {
					t.Errorf("docs/log.md lists %s twice", m[1])
				}
				listed[m[1]] = true
			}
		}
	}
	found := map[string]string{}
	err = filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == "internal" || e.Name() == "testdata" || strings.HasPrefix(e.Name(), ".") && len(e.Name()) > 2) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range written.FindAllStringSubmatch(string(text), -1) {
			found[m[1]+m[2]+m[3]] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for event, path := range found {
		if !listed[event] {
			t.Errorf("%s writes the event %q, which docs/log.md does not list", path, event)
		}
	}
	for event := range listed {
		if found[event] == "" {
			t.Errorf("docs/log.md lists the event %q, which nothing writes", event)
		}
	}
	if len(found) < 30 {
		t.Errorf("only %d events found: the search is wrong", len(found))
	}
}
