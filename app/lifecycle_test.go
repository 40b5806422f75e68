package app

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/config"
	"plugbeat/store"
	"plugbeat/vehicle"
)

// A New that fails, wherever it does, names what is in the way and leaves
// nothing: no lock, no listener, no socket, no goroutine.
func TestFailedNewLeavesNothing(t *testing.T) {
	taken := func(t *testing.T, network, addr string) net.Listener {
		ln, err := net.Listen(network, addr)
		must(t, err)
		t.Cleanup(func() { _ = ln.Close() })
		return ln
	}
	for _, c := range []struct {
		name string
		prep func(t *testing.T, dir string, cfg *config.Config)
		want []string
	}{
		{"no key", func(t *testing.T, dir string, cfg *config.Config) { cfg.KeyFile = filepath.Join(dir, "none") }, []string{"key_file"}},
		{"no token", func(t *testing.T, dir string, cfg *config.Config) { cfg.Application.ManagementTokenFile = "" }, []string{"management_token_file"}},
		{"an address in delivery.allow that is none", func(t *testing.T, dir string, cfg *config.Config) { cfg.Delivery.Allow = []string{"169.254.169.254"} }, []string{"delivery.allow", "169.254.169.254"}},
		{"a source without its secret", func(t *testing.T, dir string, cfg *config.Config) {
			must(t, os.Remove(filepath.Join(dir, "secret")))
		}, []string{"sources.vendor"}},
		{"the api's port is taken", func(t *testing.T, dir string, cfg *config.Config) {
			cfg.HTTP.API.Listen = taken(t, "tcp", "127.0.0.1:0").Addr().String()
		}, []string{"http.api.listen", "another port"}},
		{"the admin's port is taken", func(t *testing.T, dir string, cfg *config.Config) {
			cfg.HTTP.Admin.Listen = taken(t, "tcp", "127.0.0.1:0").Addr().String()
		}, []string{"http.admin.listen", "another port"}},
		{"a file at the socket's path", func(t *testing.T, dir string, cfg *config.Config) {
			cfg.Socket = filepath.Join(dir, "token")
		}, []string{"token", "no socket"}},
		{"another daemon at the socket", func(t *testing.T, dir string, cfg *config.Config) {
			cfg.Socket = filepath.Join(dir, "other.sock")
			taken(t, "unix", cfg.Socket)
		}, []string{"other.sock", "another plugbeat"}},
		{"a socket that cannot be asked", func(t *testing.T, dir string, cfg *config.Config) {
			cfg.Socket = filepath.Join(dir, "other.sock")
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: cfg.Socket, Net: "unixgram"})
			must(t, err)
			t.Cleanup(func() { _ = c.Close() })
		}, []string{"other.sock", "in use"}},
		{"a socket's path that is too long", func(t *testing.T, dir string, cfg *config.Config) {
			cfg.Socket = filepath.Join(dir, strings.Repeat("s", 110))
		}, []string{"103"}},
		{"a context that has ended", nil, []string{"canceled"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := shortDir(t)
			cfg := configured(t, dir, simulatorSource+smartcarAt("https://api.example.com"))
			good := cfg
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ports := []string{free(t), free(t)}
			cfg.HTTP.API.Listen, cfg.HTTP.Admin.Listen = ports[0], ports[1]
			if c.prep == nil {
				cancel()
			} else {
				c.prep(t, dir, &cfg)
			}
			before := goroutines()
			there, statErr := os.Lstat(cfg.Socket)
			a, err := New(ctx, cfg, Options{Log: zerolog.Nop(), Manager: &manager{}})
			if a != nil {
				t.Error("New returned an App beside its error")
			}
			wantError(t, err, c.want...)
			noneLeft(t, before)
			if after, err := os.Lstat(cfg.Socket); statErr == nil && (err != nil || !os.SameFile(there, after)) {
				t.Error("what was at the socket's path is gone")
			}
			gone(t, good, ports...)
		})
	}
}

// free is a port of this machine that nobody has.
func free(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func TestSecondDaemonOnTheSameFile(t *testing.T) {
	cfg := configured(t, shortDir(t), simulatorSource)
	d := start(t, cfg)
	_, err := New(t.Context(), cfg, Options{Log: zerolog.Nop()})
	wantError(t, err, cfg.DataFile(), store.ErrInUse.Error())
	if _, err := d.client.Status(t.Context()); err != nil {
		t.Fatal("the first one suffered:", err)
	}
}

// Run ends for each of its causes, with all it started.
func TestRunEnds(t *testing.T) {
	before := goroutines()
	t.Cleanup(func() { noneLeft(t, before) })
	t.Run("by its context", func(t *testing.T) {
		cfg := configured(t, shortDir(t), simulatorSource)
		d := start(t, cfg)
		eventually(t, "readiness", func() bool {
			st, err := d.client.Status(t.Context())
			return err == nil && st.Ready
		})
		api := d.APIAddr()
		if took := d.stop(); took > 900*time.Millisecond {
			t.Errorf("an idle daemon took %v to stop", took)
		}
		gone(t, cfg, api)
		log := strings.Split(strings.TrimSpace(d.log.String()), "\n")
		if !strings.Contains(log[len(log)-1], "daemon.stopped") {
			t.Errorf("its last words: %s", log[len(log)-1])
		}
		if err := d.Run(t.Context()); err == nil {
			t.Error("it ran twice")
		}
	})
	t.Run("by a context that had ended", func(t *testing.T) {
		cfg := configured(t, shortDir(t), simulatorSource)
		a, err := New(t.Context(), cfg, Options{Log: zerolog.Nop()})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		must(t, a.Run(ctx))
		gone(t, cfg, a.APIAddr())
	})
	t.Run("by a listener", func(t *testing.T) {
		cfg := configured(t, shortDir(t), simulatorSource)
		d := start(t, cfg)
		must(t, d.listeners.list[0].ln.Close())
		wantError(t, <-d.ended, "http.api.listen")
		d.cancel = nil
		gone(t, cfg)
	})
}

func TestLocalSocket(t *testing.T) {
	t.Run("mode", func(t *testing.T) {
		cfg := configured(t, shortDir(t), "")
		start(t, cfg)
		if st, err := os.Stat(cfg.Socket); err != nil || st.Mode() != fs.ModeSocket|0o660 {
			t.Error(st, err)
		}
	})
	t.Run("what a killed daemon left is replaced", func(t *testing.T) {
		cfg := configured(t, shortDir(t), "")
		must(t, os.MkdirAll(filepath.Dir(cfg.Socket), 0o700))
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: cfg.Socket, Net: "unix"})
		must(t, err)
		ln.SetUnlinkOnClose(false)
		must(t, ln.Close())
		d := start(t, cfg)
		if _, err := d.client.Version(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What starts stops in reverse: listeners, then requests and loops, then sources,
// which may have tokens to save, and the store last.
func TestStopsInReverse(t *testing.T) {
	var saved, dialled error
	dir := shortDir(t)
	cfg := configured(t, dir, simulatorSource)
	src := cfg.Sources["sim"]
	open := src.Settings.Open
	src.Settings = &opens{func(ctx context.Context, d vehicle.Deps) (vehicle.Source, error) {
		src, err := open(ctx, d)
		return listing{Lister: src.(vehicle.Lister), end: func() {
			saved = d.Tokens.Save(context.Background(), "owner", []byte("the last"))
			_, dialled = net.Dial("unix", cfg.Socket)
		}}, err
	}}
	cfg.Sources["sim"] = src
	d := start(t, cfg)
	d.stop()
	if saved != nil || dialled == nil {
		t.Errorf("as the source was closed: tokens saved with %v, a dial to the socket with %v", saved, dialled)
	}
}

// A request that is cut off at the end of the grace time has ended before the
// store is closed and before Run returns.
func TestRequestsEndBeforeRunDoes(t *testing.T) {
	begun, result := make(chan struct{}), error(nil)
	d := start(t, configured(t, shortDir(t), simulatorSource), func(a *App) {
		a.sources.byName["sim"] = listing{Lister: a.sources.byName["sim"].(vehicle.Lister), bring: func(ctx context.Context) error {
			close(begun)
			<-ctx.Done()
			time.Sleep(50 * time.Millisecond)
			result = a.store.Secrets.PutSecret(context.Background(), "last", []byte("x"))
			if result == nil {
				result = errors.New("it wrote")
			}
			return result
		}}
	})
	go func() { _, _ = d.client.ConnectVehicles(context.Background(), "sim", "") }()
	<-begun
	if took := d.stop(); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("a stop with a grace of 1s took %v", took)
	}
	if result == nil || result.Error() != "it wrote" {
		t.Errorf("the request ended with %v", result)
	}
}
