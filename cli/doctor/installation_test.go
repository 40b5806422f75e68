package doctor

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/clitest"
	"plugbeat/cli/machine"
	"plugbeat/cli/setup"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/store"
	"plugbeat/webhook"
)

// installation is a folder that init set up, and what doctor finds of its surroundings.
type installation struct {
	*clitest.Lab
	dir    string
	daemon *clitest.Daemon // nil where none runs
	looks  map[string]app.Look
	disk   Disk
	synced bool
	args   []string
}

// newInstallation is one where all is well.
func newInstallation(t *testing.T) *installation {
	t.Helper()
	c := &installation{Lab: clitest.NewLab(t), looks: map[string]app.Look{}, disk: Disk{Free: 50 << 30, Total: 100 << 30, Files: 1e6, FreeFiles: 9e5}, synced: true}
	dir, err := os.MkdirTemp("", "pb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c.dir = dir
	if r := (clitest.Session{App: clitest.Commands(setup.InitCommand)}).Run(t, "init", "--dir", dir); r.Code != terminal.ExitOK {
		t.Fatal(r.Err)
	}
	c.replace("config.yaml", "127.0.0.1:8765", "127.0.0.1:0")
	c.replace("config.yaml", "127.0.0.1:8766", "")
	return c
}

func (c *installation) path(name string) string { return filepath.Join(c.dir, name) }

func (c *installation) replace(name, old, with string) {
	c.T.Helper()
	b, err := os.ReadFile(c.path(name))
	if err != nil || !strings.Contains(string(b), old) {
		c.T.Fatalf("%s has no %q: %v", name, old, err)
	}
	c.write(name, strings.ReplaceAll(string(b), old, with))
}

func (c *installation) write(name, text string) {
	c.T.Helper()
	if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
		c.T.Fatal(err)
	}
}

func (c *installation) chmod(name string, mode fs.FileMode) {
	c.T.Helper()
	if err := os.Chmod(c.path(name), mode); err != nil {
		c.T.Fatal(err)
	}
}

// runs starts a stand-in for the daemon that gives the status.
func (c *installation) runs(st adminapi.Status) {
	c.daemon = clitest.NewDaemon(c.T).On("GET", "/status", st)
	c.write("config.yaml", "socket: "+c.daemon.Socket+"\nsources: {fleet: {type: simulator}}\nkey_file: sealing_key\ndata_dir: data\nhttp: {api: {listen: \"\"}, admin: {listen: \"\"}}\napplication: {management_token_file: management_token}\n")
	old := clitest.Noon.Add(-1000 * time.Hour)
	for _, f := range []string{"config.yaml", "sealing_key", "management_token"} {
		if err := os.Chtimes(c.path(f), old, old); err != nil {
			c.T.Fatal(err)
		}
	}
}

// data makes the data file, with webhooks, sealed with the key.
func (c *installation) data(key webhook.Secret, hooks ...webhook.Webhook) {
	c.T.Helper()
	s, err := store.Open(store.Options{Path: c.path("data/plugbeat.db"), Key: key})
	if err != nil {
		c.T.Fatal(err)
	}
	for _, w := range hooks {
		w.Key = config.NewManagementToken()
		if err := s.Webhooks.AddWebhook(c.T.Context(), w); err != nil {
			c.T.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		c.T.Fatal(err)
	}
}

func (c *installation) key() webhook.Secret {
	cfg, err := config.Load(c.path("config.yaml"))
	if err != nil {
		c.T.Fatal(err)
	}
	k, err := cfg.SealingKey()
	if err != nil {
		c.T.Fatal(err)
	}
	return k
}

// Callback and Endpoints give what a test put in looks, by URI and by source.
func (c *installation) Callback(_ context.Context, uri string, _ bool) app.Look { return c.looks[uri] }

func (c *installation) Endpoints(_ context.Context, source string) []app.Look {
	if l, ok := c.looks[source]; ok {
		return []app.Look{l}
	}
	return nil
}

func (c *installation) session() clitest.Session {
	at := Surroundings{
		Machine:           func() (machine.Machine, error) { return c.Machine, nil },
		Looker:            func(config.Config) (Looker, error) { return c, nil },
		Disk:              func(string) (Disk, error) { return c.disk, nil },
		ClockSynchronised: func() (bool, bool) { return c.synced, true },
	}
	return clitest.Session{App: clitest.Commands(func(s *terminal.Session) *ucli.Command { return Command(s, at) })}
}

// examine runs doctor and returns what it found.
func (c *installation) examine() (diagnosis, clitest.Result) {
	c.T.Helper()
	args := append([]string{"doctor", "--json", "--config", c.path("config.yaml")}, c.args...)
	r := c.session().Run(c.T, args...)
	var d diagnosis
	if err := json.Unmarshal([]byte(r.Out), &d); err != nil {
		c.T.Fatalf("%v: %s%s", err, r.Out, r.Err)
	}
	if r.Err != "" || (r.Code == terminal.ExitOK) != (d.Problems == 0) {
		c.T.Errorf("exit %d with %d problems, stderr %q", r.Code, d.Problems, r.Err)
	}
	return d, r
}

// far is a look that was answered.
func far(host string, status int, ahead time.Duration) app.Look {
	return app.Look{Host: host, Named: true, Addresses: []app.LookAddress{{Address: netip.MustParseAddr("192.0.2.7")}}, Status: status, Sent: clitest.Noon, Received: clitest.Noon,
		Header: http.Header{"Date": {clitest.Noon.Add(-ahead).Format(http.TimeFormat)}, "Location": {"https://u:p@example.com/new"}}}
}
