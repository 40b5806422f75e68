package setup

import (
	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/words"
)

// configChecked is the JSON of check-config.
type configChecked struct {
	Config   string   `json:"config"`
	Valid    bool     `json:"valid"`
	Warnings []string `json:"warnings"` // what is allowed but unwise
}

// CheckCommand is the command check-config.
func CheckCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:        "check-config",
		Usage:       "test a config and the secrets it names, without starting anything",
		ArgsUsage:   "[FILE]",
		Description: "A complaint names the setting, its value and what is allowed. Secrets are never printed.",
		Flags:       []ucli.Flag{terminal.ConfigFlag()},
		CustomHelpTemplate: terminal.Example(`
plugbeat check-config ~/plugbeat/config.yaml`),
		Action: s.checkConfig,
	}
}

func (s commands) checkConfig(c *ucli.Context) error {
	if err := terminal.WantArgs(c, 0, 1); err != nil {
		return err
	}
	file := c.Args().First()
	if f := c.String("config"); f != "" && file != "" && f != file {
		return &terminal.UsageError{Text: c.Command.Name + " takes one file: an argument or --config, not both"}
	}
	if file == "" {
		if file = s.ConfigPath(c); file == "" {
			return &terminal.UsageError{Text: c.Command.Name + " needs a file", Hint: c.Command.HelpName + " FILE"}
		}
	}
	cfg, err := config.Load(file)
	if err == nil {
		err = cfg.CheckFiles()
	}
	if err != nil {
		return terminal.LoadError(file, err)
	}
	r := configChecked{Config: file, Valid: true, Warnings: append([]string{}, cfg.Warnings()...)}
	return s.Print(c, r, func(p *terminal.Page) {
		p.Line("%s is valid", words.Clean(file))
		phrase.Warn(p, r.Warnings)
	})
}
