package setup

import (
	"fmt"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/words"
)

// ConfigCommand is the command config.
func ConfigCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "config",
		Usage: "describe the settings of the config",
		CustomHelpTemplate: terminal.Example(`
plugbeat config describe delivery.timeout`),
		Subcommands: []*ucli.Command{s.describeCommand()},
	}
}

func (s commands) describeCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "describe",
		Usage:     "print what there is to set: all of it, one section, or one setting",
		ArgsUsage: "[SETTING]",
		Description: `Without SETTING it is the complete commented reference, config.example.yaml: a file with every default.
SETTING is a section (delivery), a setting (delivery.timeout), or the end of one (timeout). Of a
setting its value in your config is shown as well, where there is one. preset.TYPE.NAME prints a preset
of a type of source as a map of vehicles to copy; preset alone lists them.`,
		Flags: []ucli.Flag{terminal.ConfigFlag()},
		CustomHelpTemplate: terminal.Example(`
plugbeat config describe > config.yaml
plugbeat config describe delivery
plugbeat config describe delivery.timeout
plugbeat config describe preset.mqtt.teslamate`),
		Action: terminal.Args(0, 1, s.configDescribe),
	}
}

func (s commands) configDescribe(c *ucli.Context) error {
	asked := c.Args().First()
	if asked == presets || strings.HasPrefix(asked, presets+".") {
		return s.presetDescribe(c, asked)
	}
	cfg, file, err := s.configHere(c)
	if err != nil {
		return err
	}
	if asked == "" {
		return s.Print(c, config.Settings(), func(p *terminal.Page) { p.Text(config.Describe()) })
	}
	found := cfg.Find(asked)
	if part := config.DescribeSection(asked); len(part) > 0 {
		return s.Print(c, sectionOf(asked), func(p *terminal.Page) { p.Text(part) })
	}
	if gone, ok := config.RetiredSetting(asked); ok {
		return &terminal.UsageError{Text: fmt.Sprintf("there is no setting %q: %s", asked, gone.Became)}
	}
	if len(found) == 0 {
		hint := "plugbeat config describe, without a setting, lists all of them"
		if near := config.Nearest(asked); near != "" {
			hint = "did you mean: plugbeat config describe " + near
		}
		return &terminal.UsageError{Text: fmt.Sprintf("there is no setting %q", asked), Hint: hint}
	}
	return s.Print(c, found, func(p *terminal.Page) {
		for i, f := range found {
			if i > 0 {
				p.Line("")
			}
			showSetting(p, f, file)
		}
	})
}

// presets is what the names of presets begin with.
const presets = "preset"

// presetDescribe prints a preset, or which there are.
func (s commands) presetDescribe(c *ucli.Context, asked string) error {
	if p, ok := config.FindPreset(asked); ok {
		return s.Print(c, p, func(page *terminal.Page) { page.Text([]byte(p.Map)) })
	}
	all := config.Presets()
	if asked == presets {
		return s.Print(c, all, func(page *terminal.Page) {
			for _, p := range all {
				page.Line("%-27s  %s", p.Path, p.Doc)
			}
		})
	}
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Path
	}
	return &terminal.UsageError{Text: fmt.Sprintf("there is no preset %q", asked), Hint: "there are: " + strings.Join(names, ", ")}
}

// configHere loads the config whose values are shown. One that cannot be loaded is
// in the way only where the command line names it: who asks what may be set is often
// about to correct it.
func (s commands) configHere(c *ucli.Context) (cfg config.Config, file string, err error) {
	if file = s.ConfigPath(c); file == "" {
		return config.Config{}, "", nil
	}
	cfg, err = config.Load(file)
	switch {
	case err == nil:
		return cfg, file, nil
	case c.String("config") != "":
		return config.Config{}, "", terminal.LoadError(file, err)
	}
	return config.Config{}, "", nil
}

// sectionOf lists the settings below a heading.
func sectionOf(path string) []config.Setting {
	var out []config.Setting
	for _, f := range config.Settings() {
		if strings.HasPrefix(f.Path, path+".") {
			out = append(out, f)
		}
	}
	return out
}

func showSetting(p *terminal.Page, f config.Setting, file string) {
	p.Line("%s", f.Path)
	p.Paragraph("  ", f.Doc)
	value, def := "", f.Default
	if file != "" && f.Value != "" {
		value = f.Value + ", in " + file
		if f.Value == f.Default {
			value = "the default, in " + file
		}
	}
	if f.Required {
		def = "none: it has to be set"
	}
	of := ""
	if f.Source != "" {
		of = "sources of type " + f.Source
	}
	p.Line("")
	p.FieldsAt("  ",
		[2]string{"allowed", f.Allowed},
		[2]string{"default", def},
		[2]string{"belongs to", of},
		[2]string{"value", value},
	)
}

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
		Action: terminal.Args(0, 1, s.checkConfig),
	}
}

func (s commands) checkConfig(c *ucli.Context) error {
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
