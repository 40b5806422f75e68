package cli

import (
	"strings"
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"

	ucli "github.com/urfave/cli/v2"
)

// TestHelp holds every help text in a golden file, and its EXAMPLE section, which
// comes last, to command lines that parse.
func TestHelp(t *testing.T) {
	var walk func(path []string, cmds []*ucli.Command)
	walk = func(path []string, cmds []*ucli.Command) {
		r := clitest.Session{App: App}.Run(t, append(append([]string{}, path...), "--help")...)
		if r.Code != terminal.ExitOK || r.Err != "" {
			t.Errorf("%v --help: exit %d, %s", path, r.Code, r.Err)
		}
		clitest.Golden(t, "help/"+strings.Join(append([]string{"plugbeat"}, path...), "_")+".txt", r.Out)
		_, ex, ok := strings.Cut(r.Out, "\nEXAMPLE:\n")
		if !ok || strings.Contains(ex, "\n\nOPTIONS") || strings.TrimSpace(ex) == "" {
			t.Errorf("%v --help does not end in an example:\n%s", path, r.Out)
		}
		for l := range strings.SplitSeq(ex, "\n") {
			exampleParses(t, strings.TrimSpace(l))
		}
		for _, c := range cmds {
			walk(append(append([]string{}, path...), c.Name), c.Subcommands)
		}
	}
	walk(nil, App(&terminal.Session{}).Commands)
}

func exampleParses(t *testing.T, l string) {
	t.Helper()
	for cmd := range strings.SplitSeq(l, "&&") {
		cmd, _, _ = strings.Cut(strings.TrimSpace(cmd), " | ")
		cmd, _, _ = strings.Cut(cmd, " < ")
		args, ok := strings.CutPrefix(cmd, "plugbeat ")
		if !ok {
			continue
		}
		if r := (clitest.Session{App: App}).Run(t, append(strings.Fields(args), "--help")...); r.Code != terminal.ExitOK {
			t.Errorf("example %q: %s", cmd, r.Err)
		}
	}
}

// TestHelpForms: every way to ask for help gives the same text.
func TestHelpForms(t *testing.T) {
	want := clitest.Session{App: App}.Run(t, "webhook", "add", "--help").Out
	for _, args := range [][]string{{"help", "webhook", "add"}, {"webhook", "add", "-h"}, {"webhook", "--help", "add"}, {"--help", "webhook", "add"}, {"webhook", "add", "--name", "x", "--help"}} {
		if r := (clitest.Session{App: App}).Run(t, args...); r.Out != want || r.Code != terminal.ExitOK {
			t.Errorf("%v: exit %d\n%s%s", args, r.Code, r.Out, r.Err)
		}
	}
	if r := (clitest.Session{App: App}).Run(t); r.Code != terminal.ExitOK || !strings.Contains(r.Out, "COMMANDS:") {
		t.Errorf("no command: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
}
