package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/config"
	"plugbeat/webhook"
)

// initialised is the JSON of init.
type initialised struct {
	Config  string   `json:"config"`
	Socket  string   `json:"socket"`
	Created []string `json:"created"`
	Kept    []string `json:"kept"`
}

func (s *shell) initCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "init",
		Usage: "write a config, keys and a management token into a folder",
		Description: `The config has a simulated fleet of three cars switched on and a Smartcar source commented out.
Nothing that is already there is overwritten: a second init changes nothing.`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "dir", Usage: "the `FOLDER` to set up; made if it is not there"},
		},
		CustomHelpTemplate: example(`
plugbeat init --dir ~/plugbeat
plugbeat serve --config ~/plugbeat/config.yaml`),
		Action: s.initialise,
	}
}

func (s *shell) initialise(c *ucli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	if c.String("dir") == "" {
		return &usageError{msg: "init needs the folder to set up", hint: "plugbeat init --dir ~/plugbeat"}
	}
	dir, err := filepath.Abs(c.String("dir"))
	if err != nil {
		return fmt.Errorf("find folder %s: %w", c.String("dir"), err)
	}
	r, err := setUp(dir)
	if err != nil {
		return err
	}
	return s.print(c, r, func(p *page) { showInit(p, r) })
}

// setUp makes what is missing in dir. The config is written last, so a folder
// with a config is complete; one whose config is there but whose keys are not is
// refused, since a new key could not read what the old one sealed.
func setUp(dir string) (initialised, error) {
	r := initialised{Config: filepath.Join(dir, config.FileName), Created: []string{}, Kept: []string{}}
	if _, err := os.Stat(r.Config); err == nil {
		cfg, err := config.Load(r.Config)
		if err == nil {
			err = cfg.CheckFiles()
		}
		if err != nil {
			return r, hint(fmt.Errorf("%s is already there, and cannot be used: %w", r.Config, err), "correct it, then: plugbeat check-config %s\nor set up another folder", word(r.Config))
		}
		r.Socket, r.Kept = cfg.Socket, []string{r.Config}
		return r, nil
	}
	data := filepath.Join(dir, config.DataDirName)
	r.Socket = filepath.Join(data, "plugbeat.sock")
	if len(r.Socket) > config.MaxSocket {
		return r, hint(fmt.Errorf("%s is too long a path: the socket in it, %s, would have %d bytes and a system allows %d", dir, r.Socket, len(r.Socket), config.MaxSocket), "choose a folder nearer to the root")
	}
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{{dir, 0o755}, {data, 0o700}} {
		if err := os.MkdirAll(d.path, d.mode); err != nil {
			return r, fmt.Errorf("make folder: %w", err)
		}
	}
	for _, f := range []struct {
		name string
		text webhook.Secret
	}{
		{config.KeyFileName, config.NewSealingKey()},
		{config.ManagementTokenFileName, config.NewManagementToken()},
	} {
		if err := r.create(filepath.Join(dir, f.name), append([]byte(f.text), '\n'), 0o600); err != nil {
			return r, err
		}
	}
	return r, r.create(r.Config, config.Template(config.InitOptions{}), 0o644)
}

// create writes a whole file that was not there, or keeps the one that is.
func (r *initialised) create(path string, text []byte, mode fs.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".init-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		// A link, unlike a rename, never replaces what is there.
		err = os.Link(tmp.Name(), path)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		r.Kept = append(r.Kept, path)
	case err != nil:
		return fmt.Errorf("write %s: %w", path, err)
	default:
		r.Created = append(r.Created, path)
	}
	return nil
}

func showInit(p *page, r initialised) {
	if len(r.Created) == 0 {
		p.line("%s is already set up; nothing was changed", filepath.Dir(r.Config))
	}
	for _, f := range r.Created {
		p.line("wrote %s", f)
	}
	if len(r.Created) > 0 {
		for _, f := range r.Kept {
			p.line("kept  %s", f)
		}
	}
	if len(r.Created) > 0 {
		p.line("\nyour receivers verify with the management token in %s", word(filepath.Join(filepath.Dir(r.Config), config.ManagementTokenFileName)))
	}
	p.line(`
next, in this terminal:
  plugbeat serve --config %[1]s

and in another one:
  export PLUGBEAT_CONFIG=%[1]s
  plugbeat status
  plugbeat vehicle list
  plugbeat webhook add
  plugbeat webhook verify WEBHOOK
  plugbeat subscribe WEBHOOK --all`, word(r.Config))
}
