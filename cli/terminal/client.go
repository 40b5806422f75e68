package terminal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/config"
	"plugbeat/words"
)

// Where a packaged daemon has its config and its socket.
const (
	DefaultConfig = "/etc/plugbeat/config.yaml"
	DefaultSocket = "/run/plugbeat/plugbeat.sock"
)

// ConfigPath returns the config file in use: the flag, the environment, else the standard place if a file is there, else empty.
func (s *Session) ConfigPath(c *ucli.Context) string {
	if p := cmp.Or(c.String("config"), s.Env("PLUGBEAT_CONFIG")); p != "" {
		return p
	}
	if _, err := os.Stat(s.DefaultConfig); err == nil {
		return s.DefaultConfig
	}
	return ""
}

// Config loads the config in use. Needs says what the command needs of it, for where there
// is none.
func (s *Session) Config(c *ucli.Context, needs string) (cfg config.Config, file string, err error) {
	if file = s.ConfigPath(c); file == "" {
		return cfg, "", &UsageError{
			Text: fmt.Sprintf("%s needs %s: nothing names a config, and there is none at %s", c.Command.Name, needs, s.DefaultConfig),
			Hint: c.Command.HelpName + " --config FILE; write one: plugbeat init --dir DIR",
		}
	}
	if cfg, err = config.Load(file); err != nil {
		err = LoadError(file, err)
	}
	return cfg, file, err
}

// Socket returns the path of the daemon's socket and, in words, what named it.
func (s *Session) Socket(c *ucli.Context) (path, from string, err error) {
	if p := c.String("socket"); p != "" {
		return p, "--socket", nil
	}
	if c.String("config") == "" {
		if p := s.Env("PLUGBEAT_SOCKET"); p != "" {
			return p, "$PLUGBEAT_SOCKET", nil
		}
	}
	if s.ConfigPath(c) == "" {
		return s.DefaultSocket, "the standard place; no flag or environment variable names another", nil
	}
	cfg, file, err := s.Config(c, "")
	if err != nil {
		return "", "", err
	}
	return cfg.Socket, "config " + file, nil
}

// WithClient wraps the action of a command that speaks to a daemon.
func (s *Session) WithClient(least, most int, do func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error) ucli.ActionFunc {
	return Args(least, most, func(c *ucli.Context) error {
		path, from, err := s.Socket(c)
		if err != nil {
			return err
		}
		a := adminapi.Dial(path)
		defer a.Close()
		return s.Explain(do(c.Context, c, a), path, from)
	})
}

// Explain adds to a client's error what the operator can do about it, after what the
// command itself says of that.
func (s *Session) Explain(err error, path, from string) error {
	if errors.Is(err, fs.ErrPermission) {
		text, mend := ClosedSocket(path)
		return Hint(fmt.Errorf("socket %s: %w: %s", path, fs.ErrPermission, text), "%s", mend)
	}
	if !errors.Is(err, adminapi.ErrNoDaemon) {
		return err
	}
	next := "start it: plugbeat serve --config FILE"
	if file, ok := strings.CutPrefix(from, "config "); ok {
		next = "start it: plugbeat serve --config " + words.Shell(file)
	} else if near := s.nearbyConfig(); near != "" {
		next = fmt.Sprintf("there is a config at %[1]s: export PLUGBEAT_CONFIG=%[1]s", words.Shell(near))
	}
	if h, ok := errors.AsType[*Hinted](err); ok {
		next = h.Hint + "\n" + next
	}
	return Hint(fmt.Errorf("%w at %s (from %s)", adminapi.ErrNoDaemon, path, from),
		"%s\nor name another daemon's config: --config FILE, or export PLUGBEAT_CONFIG=FILE", next)
}

// nearbyConfig returns a config in or just below the working directory, for a
// hint; empty when there is none or more than one.
func (s *Session) nearbyConfig() string {
	var found []string
	for _, pattern := range []string{"config.yaml", "*/config.yaml"} {
		names, _ := filepath.Glob(pattern) // the pattern is well-formed
		for _, n := range names {
			if _, err := config.Load(n); err == nil {
				found = append(found, n)
			}
		}
	}
	if len(found) != 1 {
		return ""
	}
	abs, err := filepath.Abs(found[0])
	if err != nil {
		return ""
	}
	return abs
}

// LoadError names the file and the command that lists its faults.
func LoadError(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return Hint(fmt.Errorf("no config at %s", file), "write one: plugbeat init --dir DIR")
	}
	if h, ok := errors.AsType[*Hinted](err); ok {
		return Hint(fmt.Errorf("config %s: %w", file, err), "%s", h.Hint)
	}
	return Hint(fmt.Errorf("config %s: %w", file, err), "correct it, then: plugbeat check-config %s", words.Shell(file))
}
