package source

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/vehicle"
	"plugbeat/words"
)

func (s commands) discoverCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "discover",
		Usage:     "listen at a broker for what a preset understands, and print the config section to paste, or add it",
		ArgsUsage: "[NAME]",
		Description: `With NAME, a source of the config, which needs no vehicle yet. The daemon asks, or this command itself where no daemon runs.
With --broker a broker that is in no config: no daemon and no config are needed. It subscribes to the topics of the presets
for some seconds and publishes nothing. What is not kept by the broker is heard only if it comes meanwhile: listen longer
with --for. With --add what no map has yet goes into the config, below the vehicles of NAME.`,
		Flags: terminal.ClientFlags(
			&ucli.StringFlag{Name: "broker", Usage: "the broker's `URL`, mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"},
			&ucli.StringFlag{Name: "username", Usage: "with --broker: the `USER` at the broker"},
			&ucli.StringFlag{Name: "password-file", Usage: "with --broker: a `FILE` with the user's password, mode 0600"},
			&ucli.StringFlag{Name: "ca-file", Usage: "with --broker: a `FILE` with certificates that sign the broker's"},
			terminal.Switch("add", "with NAME: add what was found to the config"),
			&ucli.DurationFlag{Name: "for", Usage: "how `LONG` to listen, at most 1m", Value: adminapi.DefaultListen},
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat source discover --broker mqtt://192.168.1.10
plugbeat source discover broker --for 30s --add`),
		Action: terminal.Args(0, 1, s.discover),
	}
}

func (s commands) discover(c *ucli.Context) error {
	listen := c.Duration("for")
	if listen <= 0 || listen > adminapi.MaxListen {
		return &terminal.UsageError{Text: fmt.Sprintf("--for %s: want a duration of at most %s", listen, adminapi.MaxListen)}
	}
	name := c.Args().First()
	url := c.String("broker")
	if (name == "") == (url == "") {
		return &terminal.UsageError{Text: "discover needs NAME, a source of the config, or --broker URL", Hint: "plugbeat source list shows the names"}
	}
	if c.Bool("add") && name == "" {
		return &terminal.UsageError{Text: "--add goes with NAME, a source of the config", Hint: "make one: plugbeat init --dir DIR --source mqtt"}
	}
	found, err := s.offers(c, name, url, listen)
	if err != nil || !c.Bool("add") {
		return s.Show(c, found, err, func(p *terminal.Page) { showDiscovery(p, found, listen) })
	}
	file, added, err := s.add(c, name, found.Offers)
	return s.Show(c, found, err, func(p *terminal.Page) {
		showOffers(p, found, listen)
		p.Line("")
		if added == 0 {
			p.Line("nothing was added")
			return
		}
		p.Line("added %s to %s; plugbeat reads it at its next start", words.Count(added, "vehicle"), words.Shell(file))
	})
}

// add puts the vehicles that no map has yet into the config.
func (s commands) add(c *ucli.Context, name string, offers []vehicle.Offer) (file string, added int, err error) {
	cfg, file, err := s.Config(c, "a config to add to")
	if err != nil {
		return file, 0, err
	}
	if settings, ok := cfg.Sources[name].Settings.(vehicle.Discoverer); ok {
		settings.Mark(offers) // a daemon that runs may not have read the file yet
	}
	var maps []string
	for _, o := range offers {
		if o.Mapped == "" {
			maps = append(maps, o.Map)
		}
	}
	if len(maps) == 0 {
		return file, 0, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return file, 0, err
	}
	text, err = config.AddVehicles(text, filepath.Dir(file), name, maps)
	switch {
	case errors.Is(err, config.ErrNoPlace):
		return file, 0, terminal.Hint(fmt.Errorf("%s: %w; nothing was changed", file, err),
			"put it below the vehicles of sources.%s yourself:\n- %s", name, strings.Join(maps, "\n- "))
	case err != nil:
		return file, 0, terminal.LoadError(file, err)
	}
	if err := machine.Rewrite(file, text); err != nil {
		return file, 0, terminal.FolderError(err, file, "run it as somebody who may write there")
	}
	return file, len(maps), nil
}

// offers asks the daemon, or the far side itself where no daemon runs or none knows of it.
func (s commands) offers(c *ucli.Context, name, url string, listen time.Duration) (d vehicle.Discovery, err error) {
	if url != "" {
		settings := map[string]string{"broker": url, "username": c.String("username"), "password_file": c.String("password-file"),
			"ca_file": c.String("ca-file")}
		folder, err := filepath.Abs(".")
		if err != nil {
			return d, err
		}
		cfg, err := config.OfSource(discovered, settings, folder)
		if err != nil {
			return d, err
		}
		return s.ask(c, cfg, discovered, listen)
	}
	path, from, err := s.Socket(c)
	if err != nil {
		return d, err
	}
	a := adminapi.Dial(path)
	defer a.Close()
	d, err = a.Discover(c.Context, name, listen)
	if !errors.Is(err, adminapi.ErrNoDaemon) || s.ConfigPath(c) == "" {
		return d, s.Explain(err, path, from)
	}
	cfg, _, err := s.Config(c, "a source to ask")
	if err != nil {
		return d, err
	}
	if _, ok := cfg.Sources[name]; !ok {
		return d, terminal.Hint(fmt.Errorf("the config has no source %q", name), "it has: %s", terminal.OrDash(strings.Join(cfg.SourceNames(), ", ")))
	}
	return s.ask(c, cfg, name, listen)
}

// discovered is what a source is called in the section that is printed for a broker of no config.
const discovered = "broker"

// ask listens without a daemon.
func (s commands) ask(c *ucli.Context, cfg config.Config, name string, listen time.Duration) (vehicle.Discovery, error) {
	looker, err := app.NewLooker(cfg)
	if err != nil {
		return vehicle.Discovery{}, err
	}
	return looker.Discover(c.Context, name, listen)
}

// showOffers prints what was found.
func showOffers(p *terminal.Page, d vehicle.Discovery, listen time.Duration) {
	p.Line("%s: %s in %s on the topics that presets know", words.Clean(d.Server), words.Count(d.Messages, "message"), words.Typed(listen))
	p.Line("")
	if len(d.Offers) == 0 {
		p.Line("Nothing there is a vehicle that a preset understands. See whether the program that publishes runs and is connected")
		p.Line("to this broker, whether the user may read its topics (some brokers drop in silence), and listen longer: --for 1m.")
		p.Line("A program that no preset knows needs a map of your own: docs/sources.md, \"Getting a map right\".")
		return
	}
	var rows []terminal.Row
	for _, o := range d.Offers {
		var with []string
		for _, key := range slices.Sorted(maps.Keys(o.With)) {
			with = append(with, key+"="+o.With[key])
		}
		mapped := "no"
		if o.Mapped != "" {
			mapped = "as " + o.Mapped
		}
		rows = append(rows, terminal.Texts(o.Preset, terminal.OrDash(o.Name), strings.Join(with, " "), strings.Join(o.Tells, ", "), mapped))
	}
	p.Table(terminal.Columns("PRESET", "NAME", "WITH", "TELLS", "MAPPED"), rows)
}

func showDiscovery(p *terminal.Page, d vehicle.Discovery, listen time.Duration) {
	showOffers(p, d, listen)
	if len(d.Offers) == 0 {
		return
	}
	if d.Section == "" {
		p.Line("")
		p.Line("all of it is mapped already")
		return
	}
	p.Line("")
	p.Line("# to the config, then restart plugbeat:")
	p.Text([]byte(d.Section))
}
