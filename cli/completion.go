package cli

import (
	"fmt"
	"strings"

	ucli "github.com/urfave/cli/v2"
)

// shells are those that completion knows, and how each is set up.
var shells = []struct {
	name string
	text func(levels []level) string
}{{"bash", bashCompletion}, {"zsh", zshCompletion}, {"fish", fishCompletion}}

func (s *shell) completionCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "completion",
		Usage:       "print what makes a shell complete this command line",
		ArgsUsage:   "bash|zsh|fish",
		Description: "The packages install it. Elsewhere, load it as below, or from your shell's start file.",
		CustomHelpTemplate: example(`
plugbeat completion bash > /etc/bash_completion.d/plugbeat
plugbeat completion zsh > /usr/local/share/zsh/site-functions/_plugbeat
plugbeat completion fish > ~/.config/fish/completions/plugbeat.fish`),
		Action: func(c *ucli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			var known []string
			for _, sh := range shells {
				if sh.name == c.Args().First() {
					text := sh.text(levelsOf(s.app().Commands))
					return s.print(c, map[string]string{sh.name: text}, func(p *page) { p.b.WriteString(text) })
				}
				known = append(known, sh.name)
			}
			return &usageError{msg: fmt.Sprintf("completion knows no shell %q", c.Args().First()), hint: "shells: " + strings.Join(known, ", ")}
		},
	}
}

// level is a place in the command tree and what may be typed there.
type level struct {
	path  string // "webhook add"; empty for the program itself
	words []candidate
}

// candidate is a command or a flag, and what it is for.
type candidate struct{ word, usage string }

// levelsOf lists the tree, the program itself first.
func levelsOf(cmds []*ucli.Command) (out []level) {
	var walk func(path string, cmds []*ucli.Command, flags []ucli.Flag)
	walk = func(path string, cmds []*ucli.Command, flags []ucli.Flag) {
		l := level{path: path}
		for _, c := range cmds {
			l.words = append(l.words, candidate{c.Name, c.Usage})
		}
		for _, f := range flags {
			d, ok := f.(ucli.DocGenerationFlag)
			if !ok {
				continue
			}
			usage := strings.NewReplacer("`", "").Replace(d.GetUsage())
			l.words = append(l.words, candidate{"--" + f.Names()[0], usage})
		}
		out = append(out, l)
		for _, c := range cmds {
			walk(strings.TrimSpace(path+" "+c.Name), c.Subcommands, c.Flags)
		}
	}
	walk("", cmds, []ucli.Flag{helpFlag()})
	return out
}

// paths are the levels below the program, each as a shell's pattern.
func paths(levels []level) string {
	var ps []string
	for _, l := range levels[1:] {
		ps = append(ps, shellQuote(" "+l.path))
	}
	return strings.Join(ps, "|")
}

// pathLoop finds the level that a command line has got to: the longest path in its
// words before the one being typed. It is bash and zsh alike.
const pathLoop = `
    for word in "${typed[@]}"; do
        case "$at $word" in
            %s) at="$at $word" ;;
        esac
    done
`

// bashCompletion completes words, and files where none fits.
func bashCompletion(levels []level) string {
	var b strings.Builder
	b.WriteString("# bash completion of plugbeat; made by: plugbeat completion bash\n_plugbeat() {\n    local at= word words= typed=(\"${COMP_WORDS[@]:1:COMP_CWORD-1}\")")
	fmt.Fprintf(&b, pathLoop, paths(levels))
	b.WriteString("    case \"$at\" in\n")
	for _, l := range levels {
		var ws []string
		for _, w := range l.words {
			ws = append(ws, w.word)
		}
		fmt.Fprintf(&b, "        %s) words=%s ;;\n", shellQuote(levelKey(l)), shellQuote(strings.Join(ws, " ")))
	}
	b.WriteString("    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _plugbeat plugbeat\n")
	return b.String()
}

// zshCompletion completes words with what they are for, and files where none fits.
func zshCompletion(levels []level) string {
	var b strings.Builder
	b.WriteString("#compdef plugbeat\n# zsh completion of plugbeat; made by: plugbeat completion zsh\n_plugbeat() {\n    local at= word\n    local -a found typed\n    typed=(\"${(@)words[2,CURRENT-1]}\")")
	fmt.Fprintf(&b, pathLoop, paths(levels))
	b.WriteString("    case \"$at\" in\n")
	for _, l := range levels {
		fmt.Fprintf(&b, "        %s) found=(\n", shellQuote(levelKey(l)))
		for _, w := range l.words {
			fmt.Fprintf(&b, "            %s\n", shellQuote(w.word+":"+strings.ReplaceAll(w.usage, ":", `\:`)))
		}
		b.WriteString("        ) ;;\n")
	}
	b.WriteString("    esac\n    _describe plugbeat found || _files\n}\n")
	// As a file that zsh loads by itself, or read from a start file.
	b.WriteString("if [ \"$funcstack[1]\" = _plugbeat ]; then _plugbeat \"$@\"; else compdef _plugbeat plugbeat; fi\n")
	return b.String()
}

// fishCompletion completes words with what they are for.
func fishCompletion(levels []level) string {
	var b strings.Builder
	b.WriteString(`# fish completion of plugbeat; made by: plugbeat completion fish
function __plugbeat_at
    set -l at ""
    for word in (commandline -opc)[2..]
        if contains -- "$at $word" ` + strings.ReplaceAll(paths(levels), "|", " ") + `
            set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
`)
	for _, l := range levels {
		for _, w := range l.words {
			what := "-a " + w.word
			if name, flag := strings.CutPrefix(w.word, "--"); flag {
				what = "-l " + name
			}
			fmt.Fprintf(&b, "complete -c plugbeat -n %s %s -d %s\n", fishQuote("__plugbeat_at "+fishQuote(levelKey(l))), what, fishQuote(w.usage))
		}
	}
	return b.String()
}

// levelKey is a level's path as the loops above build it.
func levelKey(l level) string {
	if l.path == "" {
		return ""
	}
	return " " + l.path
}

// shellQuote is text as one word of a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuote is text as one word of fish.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
