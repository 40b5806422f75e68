package phrase

import (
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
)

// TestNotes: many warnings are one line.
func TestNotes(t *testing.T) {
	p := terminal.Page{Now: clitest.Noon}
	Warn(&p, []string{"a", "b", "c", "d", "e"})
	if got := p.String(); got != "warning: a (and 4 more like it; all of them: --json)\n" {
		t.Errorf("%q", got)
	}
}
