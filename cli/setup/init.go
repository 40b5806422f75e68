// Package setup is the commands that write and describe a config: init, in a folder or as a
// service of this machine, check-config and config describe.
//
// Change here what is made where, with which owner and mode. Nothing that is there is
// overwritten, and no key is made where data may be sealed with another.
package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/webhook"
	"plugbeat/words"
)

// commands are the commands of this topic in one session.
type commands struct{ *terminal.Session }

// initialised is the JSON of init.
type initialised struct {
	Config  string   `json:"config"`
	Socket  string   `json:"socket"`
	Created []string `json:"created"`
	Kept    []string `json:"kept"`
	Source  string   `json:"source,omitempty"` // that was added, or begun with
	// These four are of init --systemd.
	Unit    string   `json:"unit,omitempty"`
	Mended  []string `json:"mended,omitempty"`  // what had other owners, modes or another text
	Removed []string `json:"removed,omitempty"` // a unit that a package's stands for
	Running bool     `json:"running,omitempty"`
}

// InitCommand is the command init.
func InitCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "init",
		Usage: "write a config, keys and a management token into a folder, or set up the systemd service",
		Description: `Without --source the config has a simulated fleet of three vehicles. Nothing that is already there is
overwritten: a second init changes nothing. With --source it asks, on a terminal, for what the source needs, and
writes its section, into a config that is there, too. --set gives answers beforehand, and name=NAME what
the source is called. NAME is one of:

` + startsList() + `

With --systemd, as root: the user and group plugbeat, /etc/plugbeat/config.yaml, the keys beside it, the unit
plugbeat.service for this binary where it lies, and the data folder /var/lib/plugbeat. It corrects owners and
modes, and does not start the service. --remove stops the service and removes the unit.`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "dir", Usage: "the `FOLDER` to set up; made if it is not there"},
			&ucli.StringFlag{Name: "source", Usage: "begin with the source `NAME`"},
			&ucli.StringSliceFlag{Name: "set", Usage: "with --source: an answer, as `KEY=VALUE`; may be repeated"},
			terminal.Switch("systemd", "set up the service of this machine"),
			terminal.Switch("remove", "with --systemd: undo it; config, keys, data and user are kept"),
			terminal.Switch("purge", "with --remove: remove these, too"),
			terminal.YesFlag(),
		},
		CustomHelpTemplate: terminal.Example(`
plugbeat init --dir ~/plugbeat
plugbeat serve --config ~/plugbeat/config.yaml

plugbeat init --dir ~/plugbeat --source evcc
plugbeat init --dir ~/plugbeat --source mqtt --set broker=mqtt://192.168.1.10

# a service of this machine, as root
plugbeat init --systemd
systemctl enable --now plugbeat`),
		Action: terminal.Args(0, 0, s.initialise),
	}
}

func (s commands) initialise(c *ucli.Context) error {
	switch {
	case c.Bool("purge") && !c.Bool("remove"):
		return &terminal.UsageError{Text: "--purge goes with --remove", Hint: "plugbeat init --systemd --remove --purge"}
	case c.Bool("remove") && !c.Bool("systemd"):
		return &terminal.UsageError{Text: "--remove goes with --systemd",
			Hint: "plugbeat init --systemd --remove; a folder that init --dir made is yours to delete"}
	case c.Bool("systemd") && c.String("dir") != "":
		return &terminal.UsageError{Text: "init takes --dir or --systemd, not both",
			Hint: "the service has its config in " + machine.ConfigDir + " and its data in " + machine.DataDir}
	case c.Bool("remove") && c.IsSet("source"):
		return &terminal.UsageError{Text: "init takes --remove or --source, not both", Hint: "plugbeat init --systemd --remove"}
	case c.Bool("systemd"):
		return s.initialiseSystem(c)
	case c.String("dir") == "":
		return &terminal.UsageError{Text: "init needs the folder to set up",
			Hint: "plugbeat init --dir ~/plugbeat\nor, as root: plugbeat init --systemd"}
	}
	dir, err := filepath.Abs(c.String("dir"))
	if err != nil {
		return fmt.Errorf("find folder %s: %w", c.String("dir"), err)
	}
	b, err := s.beginning(c)
	if err != nil {
		return err
	}
	r, err := setUp(dir, b, c.IsSet("source"))
	return s.Show(c, r, err, func(p *terminal.Page) { showInit(p, r, b) })
}

// setUp makes what is missing in dir, with a config that begins with the source; add says
// that the source is added to a config that is there. The config is written last, so a folder
// with a config is complete; one whose config is there but whose keys are not is
// refused, since a new key could not read what the old one sealed.
func setUp(dir string, b *beginning, add bool) (initialised, error) {
	r := initialised{Config: filepath.Join(dir, config.FileName), Created: []string{}, Kept: []string{}}
	if _, err := os.Stat(r.Config); err == nil {
		cfg, err := usableConfig(r.Config)
		if err != nil {
			return r, err
		}
		r.Socket, r.Kept = cfg.Socket, []string{r.Config}
		if add {
			err = b.addTo(&r, dir)
		}
		return r, err
	}
	data := filepath.Join(dir, config.DataDirName)
	if err := mayMakeKey(filepath.Join(data, "plugbeat.db"), filepath.Join(dir, config.KeyFileName)); err != nil {
		return r, err
	}
	r.Socket = filepath.Join(data, "plugbeat.sock")
	if len(r.Socket) > config.MaxSocket {
		return r, terminal.Hint(fmt.Errorf("%s is too long a path: the socket in it, %s, would have %d bytes and a system allows %d", dir,
			r.Socket, len(r.Socket), config.MaxSocket), "choose a folder nearer to the root")
	}
	if err := b.mayPut(dir); err != nil {
		return r, err
	}
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{{dir, 0o755}, {data, 0o700}} {
		if err := os.MkdirAll(d.path, d.mode); err != nil {
			return r, cannotWrite(err, d.path)
		}
	}
	for _, f := range []struct {
		name string
		text webhook.Secret
	}{
		{config.KeyFileName, config.NewSealingKey()},
		{config.ManagementTokenFileName, config.NewManagementToken()},
	} {
		if err := r.create(filepath.Join(dir, f.name), f.text, 0o600); err != nil {
			return r, err
		}
	}
	if err := b.putSecrets(&r, dir); err != nil {
		return r, err
	}
	r.Source = b.Name
	return r, r.create(r.Config, config.Template(false, b.Section(false)), 0o644)
}

// cannotWrite says why a path cannot be made.
func cannotWrite(err error, path string) error {
	return terminal.FolderError(err, path, "choose a folder of your own: plugbeat init --dir ~/plugbeat")
}

// mayMakeKey refuses a new key where there is data that was sealed with another, which is
// gone: the new one could not open it.
func mayMakeKey(data, key string) error {
	if _, err := os.Stat(key); err == nil {
		return nil
	}
	if _, err := os.Stat(data); err != nil && !errors.Is(err, fs.ErrPermission) { // what may not be looked at may be there
		return nil
	}
	return terminal.Hint(fmt.Errorf("there is a data file at %s, and no key at %s: a new key could not open it", data, key),
		"put the key back that it was made with, or move the data file away")
}

// usableConfig loads a config that is there, and looks at its secrets.
func usableConfig(path string) (config.Config, error) {
	cfg, err := config.Load(path)
	if err == nil {
		err = cfg.CheckFiles()
	}
	if err != nil {
		err = terminal.Hint(fmt.Errorf("%s is already there, and cannot be used: %w", path, err),
			"correct it, then: plugbeat check-config %s\nor set up another folder", words.Shell(path))
	}
	return cfg, err
}

// create writes a whole file that was not there, or keeps the one that is.
func (r *initialised) create(path string, text []byte, mode fs.FileMode) error {
	err := machine.PutFile(path, text, mode, -1, -1, false)
	switch {
	case errors.Is(err, fs.ErrExist):
		r.Kept = append(r.Kept, path)
	case err != nil:
		return cannotWrite(err, path)
	default:
		r.Created = append(r.Created, path)
	}
	return nil
}

func showInit(p *terminal.Page, r initialised, b *beginning) {
	fresh := slices.Contains(r.Created, r.Config)
	if r.Source == "" {
		p.Line("%s is already set up; nothing was changed", filepath.Dir(r.Config))
	}
	for _, f := range r.Created {
		p.Line("wrote %s", f)
	}
	if len(r.Created) > 0 {
		for _, f := range r.Kept {
			p.Line("kept  %s", f)
		}
	}
	if r.Source != "" && !fresh {
		p.Line("added the source %s to %s; plugbeat reads it at its start", r.Source, r.Config)
	}
	if fresh {
		p.Line("\nyour receivers verify with the management token in %s",
			words.Shell(filepath.Join(filepath.Dir(r.Config), config.ManagementTokenFileName)))
	}
	first, then := "", ""
	if r.Source != "" {
		then = b.named(b.Then)
	}
	if r.Source != "" && len(b.First) > 0 {
		first = fmt.Sprintf("  export PLUGBEAT_CONFIG=%s\n%s", words.Shell(r.Config), b.named(b.First))
	}
	p.Line(`
next, in this terminal:
%[2]s  plugbeat serve --config %[1]s

and in another one:
  export PLUGBEAT_CONFIG=%[1]s
%[3]s  plugbeat status
  plugbeat vehicle list
  plugbeat webhook add
  plugbeat webhook verify WEBHOOK
  plugbeat subscribe WEBHOOK --all`, words.Shell(r.Config), first, then)
}
