package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/systemd"
)

// uninstalled is the JSON of init --systemd --remove.
type uninstalled struct {
	Removed []string `json:"removed"`
	Kept    []string `json:"kept"`
}

func (s commands) removeSystem(c *ucli.Context, m service) error {
	if p := m.PackagedUnit(); p != "" && !m.There(machine.OwnUnit) {
		return terminal.Hint(fmt.Errorf("%s belongs to a package", p),
			"apt remove plugbeat, or dnf remove plugbeat; apt purge plugbeat removes config, keys and data too")
	}
	purge := c.Bool("purge")
	if purge {
		if err := s.Sure(c, "remove the service with its config, its keys and all its data"); err != nil {
			return err
		}
	}
	r, err := m.uninstall(c.Context, purge)
	return s.Show(c, r, err, func(p *terminal.Page) {
		if len(r.Removed) == 0 {
			p.Line("there is no service to remove; nothing was changed")
		}
		for _, path := range r.Removed {
			p.Line("removed  %s", path)
		}
		for _, path := range r.Kept {
			p.Line("kept     %s", path)
		}
		if len(r.Kept) > 0 && !purge {
			p.Line("\nto come back: plugbeat init --systemd\nto remove what was kept, too: plugbeat init --systemd --remove --purge")
		}
	})
}

// uninstall stops the service and removes the unit; with purge also config, keys,
// data and user. What is not there is no error.
func (m service) uninstall(ctx context.Context, purge bool) (uninstalled, error) {
	r := uninstalled{Removed: []string{}, Kept: []string{}}
	elsewhere := ""
	if cfg, err := config.Load(m.At(machine.ConfigDir + "/" + config.FileName)); err == nil && cfg.DataDir != machine.DataDir {
		elsewhere = cfg.DataDir
	}
	if m.There(machine.OwnUnit) {
		args := []string{"disable", systemd.UnitName}
		if m.SystemdRuns() {
			args = []string{"disable", "--now", systemd.UnitName}
		}
		if _, err := m.Systemctl(ctx, args...); err != nil {
			return r, err
		}
		if err := m.erase(&r, machine.OwnUnit); err != nil {
			return r, err
		}
		if m.SystemdRuns() {
			if _, err := m.Systemctl(ctx, "daemon-reload"); err != nil {
				return r, err
			}
			_, _ = m.Systemctl(ctx, "reset-failed", systemd.UnitName) // it fails where nothing had
		}
	}
	rest := []string{machine.ConfigDir, machine.DataDir, machine.OwnUnit + ".d"}
	if !purge {
		for _, path := range rest {
			if m.There(path) {
				r.Kept = append(r.Kept, path)
			}
		}
		if _, _, err := m.IDs(); err == nil {
			r.Kept = append(r.Kept, "user and group "+systemd.User)
		}
		return r, nil
	}
	for _, path := range append(rest, machine.RunDir) {
		if err := m.erase(&r, path); err != nil {
			return r, err
		}
	}
	if elsewhere != "" && m.There(elsewhere) {
		r.Kept = append(r.Kept, elsewhere) // a place of the operator's own choosing
	}
	return r, m.removeUser(ctx, &r)
}

// erase removes a path with all that is below it and notes it.
func (m service) erase(r *uninstalled, path string) error {
	if !m.There(path) {
		return nil
	}
	if err := os.RemoveAll(m.At(path)); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	r.Removed = append(r.Removed, path)
	return nil
}

// removeUser removes the daemon's user and group, which own nothing any more. The
// group may have members and so outlive its user.
func (m service) removeUser(ctx context.Context, r *uninstalled) error {
	const name = "user and group " + systemd.User
	if _, _, err := m.IDs(); err == nil {
		_, err := m.Run(ctx, "", "userdel", systemd.User)
		if errors.Is(err, exec.ErrNotFound) {
			r.Kept = append(r.Kept, name)
			return nil
		}
		if err != nil {
			return err
		}
		r.Removed = append(r.Removed, name)
	}
	if m.Group() {
		if _, err := m.Run(ctx, "", "groupdel", systemd.User); err != nil {
			return err
		}
	}
	return nil
}
