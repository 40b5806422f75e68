package app

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/config"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// goroutines are those that run now, by their first line without their state.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	all := map[string]string{}
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		name, _, _ := strings.Cut(g, " [")
		all[name] = g
	}
	return all
}

// noneLeft fails the test when goroutines outlive what started them since before.
func noneLeft(t *testing.T, before map[string]string) {
	t.Helper()
	var left []string
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		left = nil
		for name, g := range goroutines() {
			if before[name] == "" {
				left = append(left, g)
			}
		}
		if left == nil {
			return
		}
	}
	t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
}

// shortDir is a folder whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	root := "/dev/shm"
	if _, err := os.Stat(root); err != nil {
		root = ""
	}
	dir, err := os.MkdirTemp(root, "pb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

const simulatorSource = "  sim: {type: simulator, vehicles: 2}\n"

// configured writes a config with the given sources into a folder and loads it.
func configured(t testing.TB, dir, sources string) config.Config {
	t.Helper()
	text := "data_dir: data\nkey_file: key\nhttp:\n  api: {listen: \"127.0.0.1:0\"}\n  admin: {listen: \"127.0.0.1:0\"}\n" +
		"application: {management_token_file: token}\n"
	if sources != "" {
		text += "sources:\n" + sources
	}
	for name, content := range map[string]string{
		"config.yaml": text, "key": hex.EncodeToString(bytes.Repeat([]byte{7}, 32)), "token": strings.Repeat("t", 40), "secret": "s3cret",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Grace = time.Second
	return cfg
}

// lines is a log that may be written from anywhere.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// as returns what puts a source in place of the one of the name.
func as(name string, src vehicle.Source) func(*App) {
	return func(a *App) { a.sources.byName[name] = src }
}

// daemon is a running App.
type daemon struct {
	*App
	t      *testing.T
	client *adminapi.Client
	log    *lines
	cancel context.CancelFunc
	ended  chan error
}

// start starts a daemon. What the test has to replace in it is replaced before it runs.
func start(t *testing.T, cfg config.Config, replace ...func(*App)) *daemon {
	t.Helper()
	d := &daemon{t: t, log: &lines{}, ended: make(chan error, 1)}
	var err error
	if d.App, err = New(t.Context(), cfg, Options{Log: zerolog.New(d.log), Version: "test"}); err != nil {
		t.Fatal(err)
	}
	for _, f := range replace {
		f(d.App)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	go func() { d.ended <- d.Run(ctx) }()
	d.client = adminapi.Dial(cfg.Socket)
	t.Cleanup(func() {
		if d.cancel != nil {
			d.stop()
		}
	})
	return d
}

// stop stops the daemon as a signal does and returns how long that took.
func (d *daemon) stop() time.Duration {
	d.t.Helper()
	began := time.Now()
	d.client.Close()
	d.cancel()
	d.cancel = nil
	if err := <-d.ended; err != nil {
		d.t.Errorf("Run returned %v", err)
	}
	return time.Since(began)
}

// gone fails the test unless all that a daemon holds is free.
func gone(t *testing.T, cfg config.Config, ports ...string) {
	t.Helper()
	key, err := cfg.SealingKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Options{Path: cfg.DataFile(), Key: key, LockTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Errorf("the data file is not free: %v", err)
	} else if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, p := range ports {
		ln, err := net.Listen("tcp", p)
		if err != nil {
			t.Errorf("not free: %v", err)
			continue
		}
		_ = ln.Close()
	}
	if st, err := os.Lstat(cfg.Socket); err == nil && st.Mode()&os.ModeSocket != 0 {
		t.Error("the socket is still there")
	}
}

// eventually waits for what other processes of the daemon bring about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come: %s", what)
		}
	}
}

// listing is a source that has vehicles by itself, whose parts a test replaces.
type listing struct {
	vehicle.Lister
	bring func(ctx context.Context) error
	end   func()
}

func (s listing) List(ctx context.Context) ([]vehicle.Vehicle, error) {
	if s.bring == nil {
		return s.Lister.List(ctx)
	}
	return nil, s.bring(ctx)
}

func (s listing) Close() {
	if s.end != nil {
		s.end()
	}
}

// vendor is a source with accounts at a vendor that answers as the test says.
type vendor struct {
	vehicle.Connector
	list    func(ctx context.Context) ([]vehicle.Vehicle, error)
	discard func(ctx context.Context) error
}

func (s vendor) Connect(ctx context.Context, _ string) ([]vehicle.Vehicle, error) { return s.list(ctx) }
func (s vendor) Disconnect(ctx context.Context, _ vehicle.Vehicle) error          { return s.discard(ctx) }

// opens are settings whose source a test makes.
type opens struct {
	open func(ctx context.Context, d vehicle.Deps) (vehicle.Source, error)
}

func (*opens) Check() []vehicle.Complaint { return nil }
func (o *opens) Open(ctx context.Context, d vehicle.Deps) (vehicle.Source, error) {
	return o.open(ctx, d)
}

// ids lists the vehicles in the data file.
func (d *daemon) ids() []uuid.UUID {
	d.t.Helper()
	var ids []uuid.UUID
	for v, err := range vehicles(d.t.Context(), d.store) {
		if err != nil {
			d.t.Fatal(err)
		}
		ids = append(ids, v.ID)
	}
	return ids
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error %q does not say %q", err, p)
		}
	}
}

func smartcarAt(origin string) string {
	return fmt.Sprintf("  vendor: {type: smartcar, client_id: id, client_secret_file: secret, api_origin: %q, auth_origin: %q}\n", origin, origin)
}

func mustKey(t *testing.T, cfg config.Config) webhook.Secret {
	t.Helper()
	key, err := cfg.SealingKey()
	must(t, err)
	return key
}
