package terminal

import (
	"fmt"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/words"
)

// retired names, by the command line that had them, commands and flags that left, and
// what takes their place.
var retired = map[string]string{
	"plugbeat config check":       "plugbeat check-config FILE",
	"plugbeat check --data":       "plugbeat check FILE",
	"plugbeat listen --forward":   "plugbeat bridge URL",
	"plugbeat listen --fail-rate": "--fail, and a receiver of your own for more",
	"plugbeat listen --delay":     "a receiver of your own",
	"plugbeat status --watch":     "watch plugbeat status",
}

// prepare returns the command line in the order that the library wants: the commands, the
// flags, then the arguments. People type flags anywhere. Unknown commands and flags are
// usage errors that name the nearest one known.
func (s *Session) prepare(app *ucli.App, args []string) ([]string, error) {
	finish(app.Commands)
	app.OnUsageError = onUsageError
	if n := len(args); n > 0 && args[n-1] == completionFlag {
		if slices.Contains(args, "--") { // the library would take the line for one to execute
			return nil, &UsageError{Text: "nothing completes what comes after --"}
		}
		return append([]string{app.Name}, args...), nil
	}
	w := walk{name: app.Name, commands: app.Commands}
	if len(args) > 0 && args[0] == "help" {
		w.help, args = true, args[1:]
	}
	if len(args) > 0 && (args[0] == "--version" || args[0] == "-v") {
		args = append([]string{"version"}, args[1:]...)
	}
	for len(args) > 0 {
		var err error
		if args, err = w.step(args); err != nil {
			return nil, err
		}
	}
	path := strings.Fields(w.name)
	switch {
	case w.help || w.name == app.Name && len(w.flags) == 0:
		return append(path, "--help"), nil
	case len(w.commands) > 0:
		return nil, &UsageError{Text: fmt.Sprintf("%s needs a command: %s", w.name, strings.Join(names(w.commands), ", ")), Hint: seeHelp(w.name)}
	}
	return slices.Concat(path, w.flags, []string{"--"}, w.arguments), nil
}

// completionFlag is what the library's completion scripts put at the end of a line.
const completionFlag = "--generate-bash-completion"

// finish gives every command what all of them share.
func finish(commands []*ucli.Command) {
	for _, c := range commands {
		c.HideHelpCommand = true
		c.OnUsageError = onUsageError
		if len(c.Subcommands) > 0 {
			c.ArgsUsage = "COMMAND"
		} else {
			c.Flags = append(c.Flags, Switch("json", "print JSON, errors too"))
		}
		finish(c.Subcommands)
	}
}

// asksJSON reports whether errors are to be JSON, which must be known before the first.
func asksJSON(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "--json" || a == "-json" || a == "--json=true" })
}

// walk is how far a command line was taken apart.
type walk struct {
	name      string          // the command so far, "plugbeat webhook"
	commands  []*ucli.Command // what may follow
	known     []ucli.Flag     // of the command; nil before one is named
	flags     []string
	arguments []string
	help      bool
}

// step takes one word, with its value where it is a flag that has one, and returns the rest.
func (w *walk) step(args []string) ([]string, error) {
	word, rest := args[0], args[1:]
	switch {
	case word == "--":
		w.arguments = append(w.arguments, rest...)
		return nil, nil
	case word == "-h" || word == "-help" || word == "--help":
		w.help = true
		return rest, nil
	case len(word) > 1 && word[0] == '-':
		return w.flag(word, rest)
	case len(w.commands) == 0:
		w.arguments = append(w.arguments, word)
		return rest, nil
	}
	for _, c := range w.commands {
		if c.HasName(word) {
			w.name += " " + c.Name
			w.commands, w.known = c.Subcommands, c.Flags
			return rest, nil
		}
	}
	if became, ok := retired[w.name+" "+word]; ok {
		return nil, &UsageError{Text: fmt.Sprintf("%s %s has left", w.name, word), Hint: "use: " + became}
	}
	hint := "commands: " + strings.Join(names(w.commands), ", ")
	if near := words.Nearest(word, names(w.commands)); near != "" {
		hint = fmt.Sprintf("did you mean: %s %s", w.name, near)
	}
	return nil, &UsageError{Text: fmt.Sprintf("%s has no command %q", w.name, word), Hint: hint}
}

// flag takes a flag. Before the command is known only those are taken that every client
// command has.
func (w *walk) flag(word string, rest []string) ([]string, error) {
	known := w.known
	if len(w.commands) > 0 {
		known = append(ClientFlags(), Switch("json", ""))
	}
	name, _, bound := strings.Cut(strings.TrimLeft(word, "-"), "=")
	var all []string
	for _, f := range known {
		all = append(all, f.Names()...)
		if !slices.Contains(f.Names(), name) {
			continue
		}
		w.flags = append(w.flags, word)
		if d, ok := f.(ucli.DocGenerationFlag); !ok || !d.TakesValue() || bound {
			return rest, nil
		}
		if len(rest) == 0 {
			return nil, &UsageError{Text: word + " needs a value", Hint: seeHelp(w.name)}
		}
		w.flags = append(w.flags, rest[0])
		return rest[1:], nil
	}
	if became, ok := retired[w.name+" --"+name]; ok {
		return nil, &UsageError{Text: fmt.Sprintf("--%s of %s has left", name, w.name), Hint: "use: " + became}
	}
	hint := seeHelp(w.name)
	if near := words.Nearest(name, all); near != "" {
		hint = "did you mean --" + near + "?"
	}
	return nil, &UsageError{Text: fmt.Sprintf("%s has no flag --%s", w.name, name), Hint: hint}
}

func seeHelp(name string) string { return "see: " + name + " --help" }

func names(commands []*ucli.Command) (list []string) {
	for _, c := range commands {
		list = append(list, c.Name)
	}
	return list
}
