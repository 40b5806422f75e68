package docs

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// retired are words of the code's past that no page for users has. docs/words.md explains
// those that took their place, and says once that a vehicle is a car.
var retired = regexp.MustCompile(`(?i)\b(slots?|firings?|grids?|lanes?|rungs?|ladders?|car)\b`)

func TestPagesForUsersHaveNoRetiredWord(t *testing.T) {
	seen := 0
	for _, name := range pages(t) {
		if name != "README.md" && path.Dir(name) != "docs" {
			continue
		}
		seen++
		for line := range strings.Lines(code.ReplaceAllString(read(t, name), "")) {
			if word := retired.FindString(line); word != "" && !strings.HasPrefix(line, "| vehicle | one car.") {
				t.Errorf("%s has the retired word %q: %s", name, word, line)
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d pages were read: the search is wrong", seen)
	}
}
