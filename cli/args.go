package cli

import (
	"fmt"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"
)

// line is a command line taken apart: which command, its flags, its arguments.
// Flags may be typed anywhere, before and after arguments alike.
type line struct {
	path  []*ucli.Command // the command and the groups above it; empty for the root
	flags []string
	rest  []string
	help  bool
	json  bool
}

// args is the command line in the order the flag parser wants.
func (l line) args() []string {
	a := []string{"plugbeat"}
	for _, c := range l.path {
		a = append(a, c.Name)
	}
	a = append(append(a, l.flags...), "--")
	return append(a, l.rest...)
}

// name is the command as it is typed, "plugbeat webhook add".
func (l line) name() string {
	words := []string{"plugbeat"}
	for _, c := range l.path {
		words = append(words, c.Name)
	}
	return strings.Join(words, " ")
}

// arrange takes a command line apart. Unknown commands and flags are usage
// errors that name the nearest one known.
func arrange(app *ucli.App, args []string) (line, error) {
	// Whether errors are JSON must be known before the first of them.
	l := line{json: slices.ContainsFunc(args, func(a string) bool { return a == "--json" || a == "-json" || a == "--json=true" })}
	if len(args) > 0 && args[0] == "help" {
		l.help, args = true, args[1:]
	}
	if len(args) > 0 && (args[0] == "--version" || args[0] == "-v") {
		args = append([]string{"version"}, args[1:]...)
	}
	cmds := app.Commands
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			l.rest = append(l.rest, args[i+1:]...)
			i = len(args)
		case a == "-h" || a == "-help" || a == "--help":
			l.help = true
		case len(a) > 1 && a[0] == '-':
			name, _, bound := strings.Cut(strings.TrimLeft(a, "-"), "=")
			f := findFlag(l.known(), name)
			if f == nil {
				return l, l.unknownFlag(a, name)
			}
			l.flags = append(l.flags, a)
			if takesValue(f) && !bound {
				if i++; i == len(args) {
					return l, &usageError{msg: fmt.Sprintf("%s needs a value", a), hint: l.seeHelp()}
				}
				l.flags = append(l.flags, args[i])
			}
		case len(cmds) > 0:
			c := findCommand(cmds, a)
			if c == nil {
				return l, l.unknownCommand(cmds, a)
			}
			l.path, cmds = append(l.path, c), c.Subcommands
		default:
			l.rest = append(l.rest, a)
		}
	}
	if l.help || len(l.path) == 0 && len(l.flags) == 0 {
		l.help = true
		return l, nil
	}
	if len(cmds) > 0 {
		return l, &usageError{msg: fmt.Sprintf("%s needs a command: %s", l.name(), strings.Join(names(cmds), ", ")), hint: l.seeHelp()}
	}
	return l, nil
}

// known lists the flags that may stand where the line has got to. Before the
// command is known those are the flags of every client command.
func (l line) known() []ucli.Flag {
	if n := len(l.path); n > 0 && len(l.path[n-1].Subcommands) == 0 {
		return l.path[n-1].Flags
	}
	return append(clientFlags(), jsonFlag())
}

func (l line) seeHelp() string { return "see: " + l.name() + " --help" }

func (l line) unknownFlag(typed, name string) error {
	var known []string
	for _, f := range l.known() {
		known = append(known, f.Names()...)
	}
	if typed[:1] == "-" && !strings.HasPrefix(typed, "--") {
		typed = "-" + name
	} else {
		typed = "--" + name
	}
	if n := nearest(name, known); n != "" {
		return &usageError{msg: fmt.Sprintf("%s has no flag %s", l.name(), typed), hint: fmt.Sprintf("did you mean --%s?", n)}
	}
	return &usageError{msg: fmt.Sprintf("%s has no flag %s", l.name(), typed), hint: l.seeHelp()}
}

func (l line) unknownCommand(cmds []*ucli.Command, typed string) error {
	msg := fmt.Sprintf("%s has no command %q", l.name(), typed)
	if n := nearest(typed, names(cmds)); n != "" {
		return &usageError{msg: msg, hint: fmt.Sprintf("did you mean: %s %s", l.name(), n)}
	}
	return &usageError{msg: msg, hint: "commands: " + strings.Join(names(cmds), ", ")}
}

func names(cmds []*ucli.Command) []string {
	var out []string
	for _, c := range cmds {
		out = append(out, c.Name)
	}
	return out
}

func findCommand(cmds []*ucli.Command, name string) *ucli.Command {
	for _, c := range cmds {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func findFlag(flags []ucli.Flag, name string) ucli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f ucli.Flag) bool {
	d, ok := f.(ucli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// nearest returns the candidate that typed most likely meant, empty when none is
// near enough to be worth saying.
func nearest(typed string, candidates []string) string {
	best, found := 1+max(1, len(typed)/3), ""
	for _, c := range candidates {
		d := distance(typed, c)
		if len(typed) >= 2 && len(c) > 1 && strings.HasPrefix(c, typed) {
			d = 1
		}
		if len(c) > 1 && d < best {
			best, found = d, c
		}
	}
	return found
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
