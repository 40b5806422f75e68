// Package docs holds the pages to each other: a relative link leads to a file that is
// there, and to a heading that the file has.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

var (
	link    = regexp.MustCompile(`\[[^\]\n]*\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	code    = regexp.MustCompile("`[^`\n]*`")
	scheme  = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
)

// pages are the documents that people read, as paths from the root of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			name, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, filepath.ToSlash(name))
		}
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return fence.ReplaceAllString(string(text), "")
}

// anchors are the fragments that GitHub gives the headings of a page.
func anchors(page string) map[string]bool {
	has := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		has[anchor(m[1])] = true
	}
	return has
}

func anchor(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

func TestLinks(t *testing.T) {
	seen := 0
	for _, name := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(read(t, name), ""), -1) {
			if scheme.MatchString(m[1]) {
				continue
			}
			seen++
			file, fragment, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = filepath.Join(filepath.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if fragment != "" && !anchors(read(t, target))[fragment] {
				t.Errorf("%s links to %s, and %s has no such heading", name, m[1], target)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d links were found: the search is wrong", seen)
	}
}

// A reader who begins at README.md or docs/README.md reaches every page by links.
func TestEveryPageIsReached(t *testing.T) {
	reached, next := map[string]bool{}, []string{"README.md"}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if reached[name] {
			continue
		}
		reached[name] = true
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			file, _, _ := strings.Cut(m[1], "#")
			if strings.HasSuffix(file, ".md") && !scheme.MatchString(file) {
				target := filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
				if _, err := os.Stat(filepath.Join(root, target)); err == nil {
					next = append(next, target)
				}
			}
		}
	}
	for _, name := range pages(t) {
		if !reached[name] {
			t.Errorf("no link leads from README.md to %s", name)
		}
	}
}
