package cli

import (
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"
)

// TestHelp holds every help text in a golden file, and its EXAMPLE section, which
// comes last, to command lines that parse.
func TestHelp(t *testing.T) {
	var walk func(path []string, cmds []*ucli.Command)
	walk = func(path []string, cmds []*ucli.Command) {
		r := session{}.run(t, append(append([]string{}, path...), "--help")...)
		if r.code != ExitOK || r.err != "" {
			t.Errorf("%v --help: exit %d, %s", path, r.code, r.err)
		}
		golden(t, "help/"+strings.Join(append([]string{"plugbeat"}, path...), "_")+".txt", r.out)
		_, ex, ok := strings.Cut(r.out, "\nEXAMPLE:\n")
		if !ok || strings.Contains(ex, "\n\nOPTIONS") || strings.TrimSpace(ex) == "" {
			t.Errorf("%v --help does not end in an example:\n%s", path, r.out)
		}
		for l := range strings.SplitSeq(ex, "\n") {
			exampleParses(t, strings.TrimSpace(l))
		}
		for _, c := range cmds {
			walk(append(append([]string{}, path...), c.Name), c.Subcommands)
		}
	}
	walk(nil, (&shell{}).app().Commands)
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
		app := (&shell{}).app()
		if _, err := arrange(app, strings.Fields(args)); err != nil {
			t.Errorf("example %q: %v", cmd, err)
		}
	}
}

// TestHelpForms: every way to ask for help gives the same text.
func TestHelpForms(t *testing.T) {
	want := session{}.run(t, "webhook", "add", "--help").out
	for _, args := range [][]string{{"help", "webhook", "add"}, {"webhook", "add", "-h"}, {"webhook", "--help", "add"}, {"--help", "webhook", "add"}, {"webhook", "add", "--name", "x", "--help"}} {
		if r := (session{}).run(t, args...); r.out != want || r.code != ExitOK {
			t.Errorf("%v: exit %d\n%s%s", args, r.code, r.out, r.err)
		}
	}
	if r := (session{}).run(t); r.code != ExitOK || !strings.Contains(r.out, "COMMANDS:") {
		t.Errorf("no command: exit %d\n%s%s", r.code, r.out, r.err)
	}
}
