package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"plugbeat/adminapi"
	"plugbeat/config"
	"plugbeat/webhook"
)

// profileVariable names the file that a profiled daemon writes its CPU profile to.
const profileVariable = "PLUGBEAT_BENCH_PROFILE"

// folder is a daemon's folder: config, keys, data file.
type folder struct {
	b        *bench
	name     string
	dir      string
	key      []byte
	vehicles int
}

// settings is the config: what init writes, with a fleet of the size. The holes
// are the fleet's size and lines of the section delivery.
const settings = `data_dir: data
key_file: sealing_key
http:
  api: {listen: "127.0.0.1:0"}
  admin: {listen: "127.0.0.1:0"}
application:
  management_token_file: management_token
sources:
  sim:
    type: simulator
    vehicles: %d
    seed: 1
delivery:
  user_agent: Smartcar/2.0
%s`

// folder sets up a folder for a fleet of so many vehicles.
func (b *bench) folder(name string, vehicles int, delivery ...string) (*folder, error) {
	b.folders++
	f := &folder{b: b, name: name, dir: filepath.Join(b.dir, strconv.Itoa(b.folders)), vehicles: vehicles}
	if err := os.MkdirAll(filepath.Join(f.dir, "data"), 0o700); err != nil {
		return nil, err
	}
	for file, text := range map[string]string{
		"config.yaml":      fmt.Sprintf(settings, vehicles, strings.Join(delivery, "\n")),
		"sealing_key":      string(config.NewSealingKey()) + "\n",
		"management_token": string(token) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(f.dir, file), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	cfg, err := config.Load(filepath.Join(f.dir, "config.yaml"))
	if err == nil {
		f.key, err = cfg.SealingKey()
	}
	return f, err
}

// disabled fails unless the webhook is disabled because its retry schedule was spent.
func (d *daemon) disabled(ctx context.Context, name string) error {
	w, err := d.client.Webhook(ctx, name)
	if err == nil && (w.Status != webhook.Disabled || w.Reason != webhook.Exhausted) {
		err = fmt.Errorf("the retry schedule was not spent: %s is %s", name, w.Summary())
	}
	return err
}

// remove frees the folder's disk.
func (f *folder) remove() { _ = os.RemoveAll(f.dir) }

func (f *folder) dataFile() string { return filepath.Join(f.dir, "data", "plugbeat.db") }

// daemon is a running plugbeat.
type daemon struct {
	folder *folder
	began  time.Time // when the process was started
	cmd    *exec.Cmd
	ended  chan struct{} // closed once the process has ended, with how in err
	err    error
	client *adminapi.Client
}

// serve starts plugbeat on the folder. Its log, at the default level, is written to
// nowhere.
func (f *folder) serve(ctx context.Context) (*daemon, error) {
	args := []string{f.b.binary, "serve", "--config", filepath.Join(f.dir, "config.yaml")}
	env := os.Environ()
	if f.b.profiles != "" {
		args[0] = f.b.self
		env = append(env, profileVariable+"="+filepath.Join(f.b.profiles, f.name+".pprof"))
	}
	d := &daemon{folder: f, cmd: exec.CommandContext(ctx, args[0], args[1:]...), ended: make(chan struct{})} //nolint:gosec // our own binary
	d.cmd.Env = env
	d.client = adminapi.Dial(filepath.Join(f.dir, "data", "plugbeat.sock"))
	d.began = time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	return d, nil
}

// ready waits until the daemon answers.
func (d *daemon) ready(ctx context.Context) error {
	for {
		if _, err := d.client.Version(ctx); err == nil {
			return nil
		}
		select {
		case <-d.ended:
			return fmt.Errorf("serve ended: %w", d.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the daemon as systemd does, and holds it to a clean end.
func (d *daemon) stop() error {
	d.client.Close()
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
		return d.err
	case <-time.After(time.Minute):
		d.kill()
		return errors.New("the daemon did not stop within a minute")
	}
}

// kill ends the daemon at once; it may have ended.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.ended
	d.client.Close()
}

// delivered waits until the ledgers say that n deliveries are finished.
func (d *daemon) delivered(ctx context.Context, n uint64, most time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("the ledgers do not reach %d within %v", n, most))
	defer cancel()
	for {
		ws, err := d.client.Webhooks(ctx, "", 500)
		if err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		var done uint64
		for _, w := range ws.Items {
			done += w.Ledger.Delivered
		}
		if done >= n {
			return nil
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// usage is what a process has used so far, from /proc.
type usage struct {
	cpu     time.Duration
	written uint64 // bytes handed to the disk
	// Resident memory: all of it, what is the process's own, and pages of files
	// (its binary, the mapped data file) that the system may take back.
	resident, anonymous, file uint64
}

func (d *daemon) usage() (u usage, err error) {
	proc := filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid))
	threads, err := filepath.Glob(filepath.Join(proc, "task", "*", "schedstat"))
	if err != nil {
		return u, err
	}
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // it ended meanwhile
		}
		if ns, _, ok := strings.Cut(string(b), " "); ok {
			n, _ := strconv.ParseInt(ns, 10, 64)
			u.cpu += time.Duration(n)
		}
	}
	values := map[string]*uint64{"write_bytes": &u.written, "VmRSS": &u.resident, "RssAnon": &u.anonymous, "RssFile": &u.file}
	for _, name := range []string{"io", "status"} {
		b, err := os.ReadFile(filepath.Join(proc, name))
		if err != nil {
			return u, fmt.Errorf("read what the daemon uses: %w", err)
		}
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(line, ":")
			if into := values[key]; into != nil {
				number, kB := strings.CutSuffix(strings.TrimSpace(value), " kB")
				*into, _ = strconv.ParseUint(number, 10, 64)
				if kB {
					*into <<= 10
				}
			}
		}
	}
	return u, nil
}

// startProfile writes a CPU profile until stop is called; to no file it does nothing.
func startProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		heap, err := os.Create(strings.TrimSuffix(file, ".pprof") + ".heap.pprof")
		if err == nil {
			err = errors.Join(pprof.WriteHeapProfile(heap), heap.Close())
		}
		return errors.Join(err, f.Close())
	}, nil
}
