package cli

import (
	ucli "github.com/urfave/cli/v2"

	"plugbeat/config"
)

// configChecked is the JSON of check-config.
type configChecked struct {
	Config   string   `json:"config"`
	Valid    bool     `json:"valid"`
	Warnings []string `json:"warnings"` // what is allowed but unwise
}

func (s *shell) checkConfigCommand() *ucli.Command {
	c := s.configCheckCommand()
	c.Name = "check-config"
	c.CustomHelpTemplate = example(`
plugbeat check-config ~/plugbeat/config.yaml`)
	return c
}

func (s *shell) configCheckCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "check",
		Usage:       "test a config and the secrets it names, without starting anything",
		ArgsUsage:   "[FILE]",
		Description: "A complaint names the setting, its value and what is allowed. Secrets are never printed.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "config", Usage: "test this `FILE`, as the argument does [$PLUGBEAT_CONFIG]"},
		},
		CustomHelpTemplate: example(`
plugbeat config check ~/plugbeat/config.yaml`),
		Action: s.checkConfig,
	}
}

func (s *shell) checkConfig(c *ucli.Context) error {
	if err := wantArgs(c, 0, 1); err != nil {
		return err
	}
	file := c.Args().First()
	if f := c.String("config"); f != "" && file != "" && f != file {
		return &usageError{msg: c.Command.Name + " takes one file: an argument or --config, not both"}
	}
	if file == "" {
		if file, _ = s.configPath(c); file == "" {
			return &usageError{msg: c.Command.Name + " needs a file", hint: c.Command.HelpName + " FILE"}
		}
	}
	cfg, err := config.Load(file)
	if err == nil {
		err = cfg.CheckFiles()
	}
	if err != nil {
		return loadError(file, err)
	}
	r := configChecked{Config: file, Valid: true, Warnings: append([]string{}, cfg.Warnings()...)}
	return s.print(c, r, func(p *page) {
		p.line("%s is valid", clean(file))
		warn(p, r.Warnings)
	})
}
