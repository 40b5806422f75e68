package cli

import (
	"bytes"
	"fmt"
	"strings"

	ucli "github.com/urfave/cli/v2"
)

// The help texts. Each ends in an EXAMPLE section that can be typed as it is.
const (
	helpHead = `{{.HelpName}} - {{.Usage}}

USAGE:
   {{.HelpName}}{{if .VisibleCommands}} COMMAND{{end}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}{{if .VisibleFlags}} [options]{{end}}
{{if .Description}}
{{.Description}}
{{end}}{{if .VisibleCommands}}
COMMANDS:{{range .VisibleCommands}}
   {{.Name}}{{"\t"}}{{.Usage}}{{end}}
{{end}}{{if .VisibleFlags}}
OPTIONS:{{range .VisibleFlags}}
   {{.}}{{end}}
{{end}}`
)

// example returns the help template of a command whose EXAMPLE section is text.
func example(text string) string { return helpHead + examples(text) }

// rootHelp returns the help template of the program itself.
func rootHelp(text string) string {
	return helpHead + "\nEvery command has --help, ending in an example, and --json.\n" + examples(text)
}

func examples(text string) string {
	var b strings.Builder
	b.WriteString("\nEXAMPLE:\n")
	for l := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		b.WriteString(strings.TrimRight("   "+l, " ") + "\n")
	}
	return b.String()
}

// help prints the help of the command a line names.
func (s *shell) help(app *ucli.App, l line) error {
	var b bytes.Buffer
	if len(l.path) == 0 {
		ucli.HelpPrinterCustom(&b, app.CustomAppHelpTemplate, app, nil)
	} else {
		c := l.path[len(l.path)-1]
		c.HelpName = l.name()
		ucli.HelpPrinterCustom(&b, c.CustomHelpTemplate, c, nil)
	}
	_, err := fmt.Fprint(s.out, trimLines(b.String()))
	return err
}

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " \t")
	}
	return strings.Join(lines, "\n")
}
