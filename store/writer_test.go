package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// group hands the operations to the writer as one group, in this order, and
// returns their answers.
func (f *fixture) group(ops ...func(*writeTx) error) []error {
	f.t.Helper()
	hold := make(chan struct{})
	entered := make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- f.update(ctx, func(*writeTx) error { close(entered); <-hold; return nil })
	}()
	<-entered
	answers := make([]chan error, len(ops))
	for i, op := range ops {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- f.update(ctx, op) }()
		for len(f.ops) <= i {
			runtime.Gosched()
		}
	}
	close(hold)
	must(f.t, <-first)
	errs := make([]error, len(ops))
	for i := range ops {
		errs[i] = <-answers[i]
	}
	return errs
}

func putName(name string) func(*writeTx) error {
	return func(t *writeTx) error {
		return t.put(bucketSecrets, []byte(name), t.sealer.seal(bucketSecrets, []byte(name), []byte(name)))
	}
}

func (f *fixture) names() string {
	names, err := f.SecretNames(ctx, "")
	must(f.t, err)
	return strings.Join(names, " ")
}

func TestGroupIsOneCommit(t *testing.T) {
	f := open(t)
	before := f.commits.Load()
	seen := false
	no := errors.New("no")
	errs := f.group(
		putName("a"),
		func(*writeTx) error { return no },
		func(t *writeTx) error { seen = t.has(bucketSecrets, []byte("a")); return nil },
		putName("b"),
	)
	if errs[0] != nil || !errors.Is(errs[1], no) || errs[2] != nil || errs[3] != nil {
		t.Fatal(errs)
	}
	if n := f.commits.Load() - before; n != 1 {
		t.Errorf("%d commits", n)
	}
	if !seen {
		t.Error("an operation does not see those before it")
	}
	if f.reopen(); f.names() != "a b" {
		t.Error(f.names())
	}
}

func TestGroupWithoutThePoisonedOne(t *testing.T) {
	for name, poison := range map[string]func(*writeTx) error{
		"panic":            func(*writeTx) error { panic("oh") },
		"panic of runtime": func(*writeTx) error { var none *writeTx; none.writes++; return nil },
		"damage":           func(t *writeTx) error { return t.put("no such bucket", nil, nil) },
		"panic after writing": func(t *writeTx) error {
			must := putName("bad")(t)
			panic(must)
		},
		"error after writing": func(t *writeTx) error { return errors.Join(putName("bad")(t), errors.New("too late")) },
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			runs := 0
			first := func(t *writeTx) error { runs++; return putName("a")(t) }
			errs := f.group(first, poison, putName("b"), poison, putName("c"))
			if runs != 3 {
				t.Errorf("the group was run %d times, want once more for each that spoiled it", runs)
			}
			for i, err := range errs {
				if (err != nil) != (i%2 == 1) {
					t.Errorf("%d: %v", i, err)
				}
			}
			if strings.HasPrefix(name, "panic") && !strings.Contains(errs[1].Error(), "panicked") {
				t.Error(errs[1])
			}
			if f.names() != "a b c" {
				t.Error(f.names())
			}
			if f.broken() != nil {
				t.Error(f.broken())
			}
			f.sound()
		})
	}
}

// Operations of a group share a webhook, and one that is refused or poisoned
// leaves no trace in it.
func TestGroupSharesWebhook(t *testing.T) {
	f := open(t)
	f.fleet(1, 3)
	var ops []func(*writeTx) error
	rename := func(name string, err error) func(*writeTx) error {
		return func(t *writeTx) error {
			h, e := t.liveHook(wid(1))
			if e != nil {
				return e
			}
			w := cloneWebhook(h.rec.Webhook)
			w.Name += name
			return errors.Join(t.setWebhook(h, w), err)
		}
	}
	ops = append(ops, rename(" one", nil), rename(" bad", errors.New("late")), rename(" two", nil))
	f.group(ops...)
	f.reopen()
	if w, err := f.Webhook(ctx, wid(1)); err != nil || w.Name != "hook 1 one two" {
		t.Fatal(w.Name, err)
	}
	f.sound()
}

func TestManyWriters(t *testing.T) {
	f := open(t)
	m := &tape{}
	f.options.Meter = m
	const n = 12
	f.fleet(2, n)
	done := make(chan error)
	for v := 1; v <= n; v++ {
		go func() {
			for range 20 {
				ds, err := f.CompleteRead(ctx, vid(v), fireAll(t0))
				for _, d := range ds {
					if _, _, e := f.Settle(ctx, d.Webhook, d.ID, attempt(t0), end(webhook.Delivered, t0)); err == nil {
						err = e
					}
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range n {
		must(t, <-done)
	}
	if want := (webhook.Ledger{Produced: 20 * n, Delivered: 20 * n}); f.ledger(1) != want || f.ledger(2) != want {
		t.Fatal(f.ledger(1), f.ledger(2))
	}
	f.sound()
	i, err := f.Info(ctx)
	if err != nil || i.Operations == i.Commits || slices.Max(m.operations) > maxGroup {
		t.Fatalf("%+v %v, groups of %v", i, err, m.operations)
	}
}

func TestContextEndsBeforeQueueing(t *testing.T) {
	f := open(t)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.PutVehicle(gone, newVehicle(1)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := f.Vehicle(gone, vid(1)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestCloseCommitsWhatIsQueued(t *testing.T) {
	f := open(t)
	hold, entered := make(chan struct{}), make(chan struct{})
	errs := make(chan error, 2)
	go func() { errs <- f.update(ctx, func(*writeTx) error { close(entered); <-hold; return nil }) }()
	<-entered
	go func() { errs <- f.update(ctx, putName("last")) }()
	for len(f.ops) == 0 {
		runtime.Gosched()
	}
	closed := make(chan error)
	go func() { closed <- f.Close() }()
	close(hold)
	must(t, errors.Join(<-errs, <-errs, <-closed))
	must(t, f.Close())
	f.open()
	if f.names() != "last" {
		t.Fatal(f.names())
	}
}

// fill writes until there is no space, and then checks that nothing but that
// happened, and that the store lives on once there is.
func fill(f *fixture, free func()) {
	t := f.t
	t.Helper()
	big := strings.Repeat("x", 64<<10)
	n := 0
	var err error
	for ; n < 10000; n++ {
		if err = f.PutSecret(ctx, fmt.Sprintf("%06d", n), []byte(big)); err != nil {
			break
		}
	}
	if !errors.Is(err, webhook.ErrNoSpace) {
		t.Fatalf("after %d secrets: %v", n, err)
	}
	f.sound()
	select {
	case err := <-f.store.Fatal():
		t.Fatal(err)
	default:
	}
	if names := strings.Fields(f.names()); len(names) != n {
		t.Fatalf("%d secrets are there, %d were acknowledged", len(names), n)
	}
	errs := f.group(putName("small"), func(t *writeTx) error { return t.put(bucketSecrets, []byte("large"), make([]byte, 4<<20)) })
	if !errors.Is(errs[1], webhook.ErrNoSpace) {
		t.Fatal(errs)
	}
	free()
	must(t, f.PutSecret(ctx, "after", []byte(big)))
	must(t, f.DeleteSecret(ctx, "000000"))
	f.reopen()
	f.sound()
	if names := f.names(); !strings.HasSuffix(names, "after") && !strings.HasSuffix(names, "after small") || strings.Contains(names, "large") {
		t.Fatal(names)
	}
}

func TestNoSpaceByLargestFile(t *testing.T) {
	f := open(t, func(o *Options) { o.fileMax = 12 << 20 })
	fill(f, func() {
		for n := range 20 {
			must(t, f.DeleteSecret(ctx, fmt.Sprintf("%06d", n+10)))
		}
	})
}

func TestNoSpaceOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system can be mounted: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 4<<20), 0o600))
	f := open(t, func(o *Options) { o.Path = filepath.Join(dir, "plugbeat.db") })
	fill(f, func() { must(t, os.Remove(ballast)) })
	must(t, f.Copy(ctx, filepath.Join(t.TempDir(), "copy.db")))
	must(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	if err := f.Copy(ctx, filepath.Join(dir, "copy.db")); !errors.Is(err, webhook.ErrNoSpace) {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Fatal("a failed copy leaves", left)
	}
	must(t, f.Close())
	if err := os.WriteFile(ballast, make([]byte, 32<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	second := filepath.Join(dir, "second", "plugbeat.db")
	if _, err := Open(Options{Path: second, Key: testKey}); !errors.Is(err, webhook.ErrNoSpace) {
		t.Fatal(err)
	}
	if _, err := os.Stat(second); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("half a data file", err)
	}
}

// A commit that fails for another reason makes the store unusable at once, for
// waiting and later calls alike, and it can still be closed.
func TestFatal(t *testing.T) {
	f := open(t)
	must(t, f.PutVehicle(ctx, newVehicle(1)))
	must(t, f.file.Close()) // every write fails from now on
	errs := f.group(putName("a"), putName("b"))
	later := f.PutVehicle(ctx, vehicle.Vehicle{ID: vid(2), Source: "sim"})
	_, read := f.Vehicle(ctx, vid(1))
	for i, err := range append(errs, later, read) {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
	select {
	case err := <-f.store.Fatal():
		if !errors.Is(err, os.ErrClosed) {
			t.Fatal(err)
		}
	default:
		t.Fatal("nobody is told")
	}
	_ = f.Close()
	f.open()
	if f.names() != "" {
		t.Fatal(f.names())
	}
	f.sound()
}

// The store works under fake time, and Close leaves no goroutine: a bubble ends
// only when all of its goroutines have.
func TestFakeTime(t *testing.T) {
	path := filepath.Join(fastDir(t), "plugbeat.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{Path: path, Key: testKey})
		must(t, err)
		f := &fixture{t: t, now: time.Now()}
		f.use(s)
		f.fleet(1, 1)
		for range 24 {
			time.Sleep(time.Hour)
			f.now = time.Now()
			page, err := f.Due(ctx, "sim", f.now, 9, nil)
			if err != nil || len(page.Schedules) != 1 {
				t.Fatal(page, err)
			}
			d := f.produce(1)[0]
			if !d.CreatedAt.Equal(f.now) || int64(lastMillis(d.ID)) != f.now.UnixMilli() {
				t.Fatal(d, f.now)
			}
			f.settle(d, webhook.Delivered)
		}
		f.sound()
		must(t, f.Close())
	})
}
