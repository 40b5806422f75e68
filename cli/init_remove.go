package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/config"
	"plugbeat/systemd"
)

// uninstalled is the JSON of init --systemd --remove.
type uninstalled struct {
	Removed []string `json:"removed"`
	Kept    []string `json:"kept"`
}

func (s *shell) removeSystem(c *ucli.Context, m machine) error {
	if p := m.packagedUnit(); p != "" && !m.there(ownUnit) {
		return hint(fmt.Errorf("%s belongs to a package", p), "apt remove plugbeat, or dnf remove plugbeat; apt purge plugbeat removes config, keys and data too")
	}
	purge := c.Bool("purge")
	if purge {
		if err := s.sure(c, "remove the service with its config, its keys and all its data"); err != nil {
			return err
		}
	}
	r, err := m.uninstall(c.Context, purge)
	if err != nil {
		return err
	}
	return s.print(c, r, func(p *page) {
		if len(r.Removed) == 0 {
			p.line("there is no service to remove; nothing was changed")
		}
		for _, path := range r.Removed {
			p.line("removed  %s", path)
		}
		for _, path := range r.Kept {
			p.line("kept     %s", path)
		}
		if len(r.Kept) > 0 && !purge {
			p.line("\nto come back: plugbeat init --systemd\nto remove what was kept, too: plugbeat init --systemd --remove --purge")
		}
	})
}

// uninstall stops the service and removes the unit; with purge also config, keys,
// data and user. What is not there is no error.
func (m machine) uninstall(ctx context.Context, purge bool) (uninstalled, error) {
	r := uninstalled{Removed: []string{}, Kept: []string{}}
	elsewhere := ""
	if cfg, err := config.Load(m.at(systemConfigDir + "/" + config.FileName)); err == nil && cfg.DataDir != systemDataDir {
		elsewhere = cfg.DataDir
	}
	if m.there(ownUnit) {
		args := []string{"disable", systemd.UnitName}
		if m.systemdRuns() {
			args = []string{"disable", "--now", systemd.UnitName}
		}
		if _, err := m.systemctl(ctx, args...); err != nil {
			return r, err
		}
		if err := m.erase(&r, ownUnit); err != nil {
			return r, err
		}
		if m.systemdRuns() {
			if _, err := m.systemctl(ctx, "daemon-reload"); err != nil {
				return r, err
			}
			_, _ = m.systemctl(ctx, "reset-failed", systemd.UnitName) // it fails where nothing had
		}
	}
	rest := []string{systemConfigDir, systemDataDir, ownUnit + ".d"}
	if !purge {
		for _, path := range rest {
			if m.there(path) {
				r.Kept = append(r.Kept, path)
			}
		}
		if _, _, err := m.ids(); err == nil {
			r.Kept = append(r.Kept, "user and group "+systemd.User)
		}
		return r, nil
	}
	for _, path := range append(rest, systemRunDir) {
		if err := m.erase(&r, path); err != nil {
			return r, err
		}
	}
	if elsewhere != "" && m.there(elsewhere) {
		r.Kept = append(r.Kept, elsewhere) // a place of the operator's own choosing
	}
	return r, m.removeUser(ctx, &r)
}

// erase removes a path with all that is below it and notes it.
func (m machine) erase(r *uninstalled, path string) error {
	if !m.there(path) {
		return nil
	}
	if err := os.RemoveAll(m.at(path)); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	r.Removed = append(r.Removed, path)
	return nil
}

// removeUser removes the daemon's user and group, which own nothing any more. The
// group may have members and so outlive its user.
func (m machine) removeUser(ctx context.Context, r *uninstalled) error {
	const name = "user and group " + systemd.User
	if _, _, err := m.ids(); err == nil {
		_, err := m.run(ctx, "", "userdel", systemd.User)
		if errors.Is(err, exec.ErrNotFound) {
			r.Kept = append(r.Kept, name)
			return nil
		}
		if err != nil {
			return err
		}
		r.Removed = append(r.Removed, name)
	}
	if m.group() {
		if _, err := m.run(ctx, "", "groupdel", systemd.User); err != nil {
			return err
		}
	}
	return nil
}
