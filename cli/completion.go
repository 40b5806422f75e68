package cli

import (
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/terminal"
)

// The scripts ask the command line itself what may come next, as the library answers it.
const (
	bashScript = `# bash completion of plugbeat; made by: plugbeat completion bash
_plugbeat() {
    local typed=("${COMP_WORDS[@]:0:COMP_CWORD}") word="${COMP_WORDS[COMP_CWORD]}"
    [[ "$word" == -* ]] && typed+=("$word")
    COMPREPLY=($(compgen -W "$("${typed[@]}" --generate-bash-completion 2>/dev/null)" -- "$word"))
}
complete -o default -F _plugbeat plugbeat
`
	zshScript = `#compdef plugbeat
# zsh completion of plugbeat; made by: plugbeat completion zsh
_plugbeat() {
    local -a typed found
    typed=("${(@)words[1,CURRENT-1]}")
    [[ "${words[CURRENT]}" == -* ]] && typed+=("${words[CURRENT]}")
    found=("${(@f)$("${typed[@]}" --generate-bash-completion 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then _describe plugbeat found; else _files; fi
}
if [ "$funcstack[1]" = _plugbeat ]; then _plugbeat "$@"; else compdef _plugbeat plugbeat; fi
`
)

func completionCommand(s *terminal.Session) *ucli.Command {
	return &ucli.Command{
		Name:        "completion",
		Usage:       "print what makes a shell complete this command line",
		ArgsUsage:   "bash|zsh|fish",
		Description: "The packages install it. Elsewhere, load it as below, or from your shell's start file.",
		CustomHelpTemplate: terminal.Example(`
plugbeat completion bash > /etc/bash_completion.d/plugbeat
plugbeat completion zsh > /usr/local/share/zsh/site-functions/_plugbeat
plugbeat completion fish > ~/.config/fish/completions/plugbeat.fish`),
		Action: func(c *ucli.Context) error {
			if err := terminal.WantArgs(c, 1, 1); err != nil {
				return err
			}
			shell, text := c.Args().First(), ""
			switch shell {
			case "bash":
				text = bashScript
			case "zsh":
				text = zshScript
			case "fish":
				var err error
				if text, err = c.App.ToFishCompletion(); err != nil {
					return fmt.Errorf("write completion: %w", err)
				}
			default:
				return &terminal.UsageError{Text: fmt.Sprintf("completion knows no shell %q", shell), Hint: "shells: bash, zsh, fish"}
			}
			return s.Print(c, map[string]string{shell: text}, func(p *terminal.Page) { p.Text([]byte(text)) })
		},
	}
}
