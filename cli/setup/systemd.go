package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/systemd"
)

// service is the daemon as a service of a machine.
type service struct{ machine.Machine }

// initialiseSystem is init --systemd, with --remove or without.
func (s commands) initialiseSystem(c *ucli.Context) error {
	here, err := machine.This()
	if err != nil {
		return err
	}
	m := service{here}
	verb := "sudo plugbeat init --systemd"
	if c.Bool("remove") {
		verb += " --remove"
	}
	if m.UID != 0 {
		return terminal.Hint(errors.New("init --systemd changes the system, which only root may"), "%s", verb)
	}
	if c.Bool("remove") {
		return s.removeSystem(c, m)
	}
	if err := m.CheckExe(s.Env); err != nil {
		return err
	}
	b, err := s.beginning(c)
	if err != nil {
		return err
	}
	r, err := m.install(c.Context, b, c.IsSet("source"))
	return s.Show(c, r, err, func(p *terminal.Page) { showSystem(p, r, b) })
}

// install makes what is missing and corrects owners and modes. Nothing is changed
// before all that can be refused was looked at. The config is written last but for
// the unit, so that a config means that its keys are there. It begins with the source; add
// says that the source is added to a config that is there.
func (m service) install(ctx context.Context, b *beginning, add bool) (initialised, error) {
	file := machine.ConfigDir + "/" + config.FileName
	secrets := machine.ConfigDir + "/" + config.SecretsDirName
	r := initialised{Config: file, Socket: terminal.DefaultSocket, Created: []string{}, Kept: []string{}}
	if err := m.CheckSystemd(ctx); err != nil {
		return r, err
	}
	var extended []byte // the config with the source added; nil where it is not
	unit, err := m.planUnit(&r)
	if err != nil {
		return r, err
	}
	if m.There(file) {
		cfg, err := usableConfig(m.At(file))
		if err != nil {
			return r, err
		}
		r.Socket = strings.TrimPrefix(cfg.Socket, m.Root)
		if add {
			if extended, err = b.extended(m.At(file), true); err != nil {
				return r, err
			}
		}
	} else if err := mayMakeKey(m.At(machine.DataDir+"/plugbeat.db"), m.At(secrets+"/"+config.KeyFileName)); err != nil {
		return r, err
	}
	if err := b.mayPut(m.At(machine.ConfigDir)); err != nil {
		return r, err
	}

	// The user.
	_, _, err = m.IDs()
	known := err == nil
	if _, err := m.Run(ctx, systemd.Sysusers(), "systemd-sysusers", "-"); err != nil {
		return r, fmt.Errorf("make the user %s: %w", systemd.User, err)
	}
	uid, gid, err := m.IDs()
	if err != nil {
		return r, fmt.Errorf("look the user %s up: %w", systemd.User, err)
	}
	if !known {
		r.Created = append(r.Created, "user and group "+systemd.User)
	}

	for _, d := range []struct {
		path     string
		mode     fs.FileMode
		uid, gid int
	}{{machine.ConfigDir, 0o750, 0, gid}, {secrets, 0o700, 0, 0}, {machine.DataDir, 0o700, uid, gid}} {
		if err := m.folder(&r, d.path, d.mode, d.uid, d.gid); err != nil {
			return r, err
		}
	}
	begins := extended != nil || !m.There(file)
	if begins {
		r.Source = b.Name
		for name, secret := range b.secrets {
			if err := m.write(&r, machine.ConfigDir+"/"+name, secret, 0o600); err != nil {
				return r, err
			}
		}
	}
	if extended != nil {
		if err := machine.PutFile(m.At(file), extended, 0o640, -1, -1, true); err != nil {
			return r, err
		}
		r.Mended = append(r.Mended, file)
	}
	for _, f := range []struct {
		path string
		text []byte
		mode fs.FileMode
		gid  int
	}{
		{secrets + "/" + config.KeyFileName, config.NewSealingKey(), 0o600, 0},
		{secrets + "/" + config.ManagementTokenFileName, config.NewManagementToken(), 0o600, 0},
		{file, config.Template(true, b.Section(true)), 0o640, gid},
	} {
		// A config names its own keys, or has them here.
		if f.path != file && m.There(file) && !m.There(f.path) {
			continue
		}
		if err := m.write(&r, f.path, f.text, f.mode); err != nil {
			return r, err
		}
		if err := m.own(&r, f.path, f.mode, 0, f.gid); err != nil {
			return r, err
		}
	}
	if err := m.secretModes(&r, secrets); err != nil {
		return r, err
	}
	return r, m.putUnit(ctx, &r, unit)
}

// secretModes closes every other secret in the folder to all but root.
func (m service) secretModes(r *initialised, dir string) error {
	entries, err := os.ReadDir(m.At(dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			if err := m.own(r, dir+"/"+e.Name(), 0o600, 0, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// planUnit returns the text the unit of this machine's own is to have; empty when a
// package's unit serves. A unit that somebody edited is refused.
func (m service) planUnit(r *initialised) (string, error) {
	text, err := systemd.Unit(m.Exe)
	if err != nil {
		return "", fmt.Errorf("the unit cannot name this binary: %w", err)
	}
	r.Unit = machine.OwnUnit
	b, err := os.ReadFile(m.At(machine.OwnUnit))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read unit: %w", err)
	}
	if err == nil && systemd.Edited(string(b)) {
		return "", terminal.Hint(fmt.Errorf("%s was edited by hand, or written by somebody else, and is left as it is", machine.OwnUnit),
			"keep your changes in a drop-in: systemctl edit plugbeat\nthen move that file away, and come again: mv %[1]s %[1]s.old", machine.OwnUnit)
	}
	if p := m.PackagedUnit(); p != "" && m.Exe == systemd.PackagedExe {
		r.Unit = p
		return "", nil
	}
	return systemd.Marked(text), nil
}

// putUnit writes the unit, or removes this machine's own where a package's serves,
// and tells systemd.
func (m service) putUnit(ctx context.Context, r *initialised, text string) error {
	before, err := os.ReadFile(m.At(machine.OwnUnit))
	there := err == nil
	switch {
	case text == "" && !there:
		r.Kept = append(r.Kept, r.Unit)
		return nil
	case text == "":
		if err := os.Remove(m.At(machine.OwnUnit)); err != nil {
			return err
		}
		r.Removed = append(r.Removed, machine.OwnUnit)
	case string(before) == text:
		r.Kept = append(r.Kept, machine.OwnUnit)
	case there:
		if err := machine.PutFile(m.At(machine.OwnUnit), []byte(text), 0o644, -1, -1, true); err != nil {
			return err
		}
		r.Mended = append(r.Mended, machine.OwnUnit)
	default:
		if err := os.MkdirAll(filepath.Dir(m.At(machine.OwnUnit)), 0o755); err != nil {
			return err
		}
		if err := m.write(r, machine.OwnUnit, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if !m.SystemdRuns() {
		return nil
	}
	if _, err := m.Systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	state, _ := m.Systemctl(ctx, "is-active", systemd.UnitName) // it fails for a service that is not active
	r.Running = strings.TrimSpace(state) == "active"
	return nil
}

// folder makes a folder or corrects its owner and mode, and notes which.
func (m service) folder(r *initialised, path string, mode fs.FileMode, uid, gid int) error {
	full := m.At(path)
	err := os.Mkdir(full, mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	if err == nil {
		r.Created = append(r.Created, path)
	}
	return m.own(r, path, mode, uid, gid)
}

// own corrects a path's owner and mode and notes it where it was there before and
// wrong.
func (m service) own(r *initialised, path string, mode fs.FileMode, uid, gid int) error {
	full := m.At(path)
	info, err := os.Lstat(full)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil // somebody's own arrangement
	}
	u, g := m.Owner(full, info)
	if info.Mode().Perm() == mode && u == uid && g == gid {
		return nil
	}
	if err := m.Chown(full, uid, gid); err != nil {
		return err
	}
	if err := os.Chmod(full, mode); err != nil {
		return err
	}
	if !slices.Contains(r.Created, path) {
		r.Mended = append(r.Mended, path)
	}
	return nil
}

// write creates a file that was not there, or keeps the one that is.
func (m service) write(r *initialised, path string, text []byte, mode fs.FileMode) error {
	made := initialised{}
	if err := made.create(m.At(path), text, mode); err != nil {
		return err
	}
	if len(made.Created) > 0 {
		r.Created = append(r.Created, path)
	} else {
		r.Kept = append(r.Kept, path)
	}
	return nil
}

func showSystem(p *terminal.Page, r initialised, b *beginning) {
	if len(r.Created)+len(r.Mended)+len(r.Removed) == 0 {
		p.Line("the service is already set up; nothing was changed")
	}
	for _, group := range []struct {
		word  string
		paths []string
	}{{"made", r.Created}, {"set right", r.Mended}, {"removed", r.Removed}} {
		for _, path := range group.paths {
			p.Line("%-9s  %s", group.word, path)
		}
	}
	if len(r.Created) > 0 {
		for _, path := range r.Kept {
			p.Line("%-9s  %s", "kept", path)
		}
	}
	secrets := filepath.Join(filepath.Dir(r.Config), config.SecretsDirName)
	if slices.Contains(r.Created, secrets+"/"+config.ManagementTokenFileName) {
		p.Line("\nyour receivers verify with the management token in %s/%s", secrets, config.ManagementTokenFileName)
		p.Line("keep a copy of %s/%s apart from this machine: a backup is of no use without it", secrets, config.KeyFileName)
	}
	if commands := append(slices.Clone(b.First), b.Then...); r.Source != "" && len(commands) > 0 {
		p.Line("\nfor the source %s:\n%s", r.Source, strings.TrimRight(b.named(commands), "\n"))
	}
	if r.Running {
		p.Line("\nthe service runs; to have it take up what changed:\n  systemctl restart plugbeat")
		return
	}
	p.Line(`
next, look through %s, then:
  systemctl enable --now plugbeat
  plugbeat status
  plugbeat webhook add

to let a user other than root use these commands:
  usermod -aG %s NAME`, r.Config, systemd.User)
}
