package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/access"
	"plugbeat/webhook"
)

// Backups of a store at work are each one moment of it: sound, whole, and each as
// late as the one before or later.
func TestBackupUnderLoad(t *testing.T) {
	f := open(t)
	f.fleet(1, 4)
	stop := make(chan struct{})
	var work sync.WaitGroup
	var made int
	work.Go(func() {
		for ; ; made++ {
			select {
			case <-stop:
				return
			default:
			}
			d, err := f.CompleteRead(ctx, vid(made%4+1), fireAll(t0.Add(time.Duration(made)*time.Second)))
			if err != nil {
				t.Error(err)
				return
			}
			if made%3 > 0 {
				if _, _, err := f.Settle(ctx, d[0].Webhook, d[0].ID, attempt(t0), end(webhook.Delivered, t0)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	var before Summary
	dir := t.TempDir()
	for range 5 {
		path := filepath.Join(dir, "backup.db")
		sum, err := f.Backup(ctx, path)
		must(t, err)
		if sum.Instance != f.instance || sum.Vehicles != 4 || sum.Webhooks != 1 || sum.Subscriptions != 4 || sum.Bytes == 0 || sum.Latest.Before(before.Latest) {
			t.Errorf("%+v after %+v", sum, before)
		}
		before = sum
		s, err := Open(Options{Path: path, Key: testKey})
		must(t, err)
		if ps, err := s.Maintenance.Check(ctx); err != nil || len(ps) > 0 {
			t.Error(ps, err)
		}
		must(t, s.Close())
	}
	close(stop)
	work.Wait()
	if made < 5 {
		t.Errorf("%d deliveries were made meanwhile", made)
	}
	f.sound()
	if left := entries(t, dir); left != "backup.db" {
		t.Errorf("left behind: %s", left)
	}
}

// A backup that is not whole or not sound never gets its name, and what had the
// name before stays.
func TestSaveCopyRefuses(t *testing.T) {
	file, content := small(t)
	content = content[:pagesInUse(t, file)*4096]
	dir := t.TempDir()
	path := filepath.Join(dir, "backup.db")
	must(t, os.WriteFile(path, []byte("the one before"), 0o600))
	lost := errors.New("connection lost")
	for name, c := range map[string]struct {
		bytes []byte
		fail  error
		want  error
	}{
		"empty":     {nil, nil, ErrDamaged},
		"truncated": {content[:len(content)-4096], nil, ErrDamaged},
		"cut off":   {content[:len(content)/2], lost, lost},
		"no data":   {bytes.Repeat([]byte("text "), 9000), nil, ErrDamaged},
		"unsound":   {unsound(t), nil, ErrDamaged},
	} {
		_, err := SaveCopy(ctx, path, func(w io.Writer) error {
			_, err := w.Write(c.bytes)
			return errors.Join(err, c.fail)
		})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "the one before" || entries(t, dir) != "backup.db" {
			t.Errorf("%s: it left %d bytes, %v: %s", name, len(b), err, entries(t, dir))
		}
	}
	sum, err := SaveCopy(ctx, path, func(w io.Writer) error { _, err := w.Write(content); return err })
	must(t, err)
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, content) || sum.Instance == [16]byte{} {
		t.Errorf("%+v, %v", sum, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// unsound is a data file in which a delivery has lost its place in the queue.
func unsound(t *testing.T) []byte {
	t.Helper()
	f := open(t)
	f.fleet(1, 1)
	d := f.produce(1)[0]
	must(t, f.update(ctx, func(t *writeTx) error {
		return t.delete(bucketWaiting, append(bytes.Clone(d.Webhook[:]), d.ID[:]...))
	}))
	must(t, f.Close())
	b, err := os.ReadFile(f.o.Path)
	must(t, err)
	return b
}

func TestCopyFile(t *testing.T) {
	f := populated(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "backup.db")
	for name, run := range map[string]func() (Summary, error){
		"copy":  func() (Summary, error) { return CopyFile(ctx, f.o.Path, path) },
		"write": func() (Summary, error) { return WriteFile(ctx, f.o.Path, io.Discard) },
	} {
		if _, err := run(); !errors.Is(err, ErrInUse) || entries(t, dir) != "" {
			t.Errorf("%s of a file at work: %v, %s", name, err, entries(t, dir))
		}
	}
	must(t, f.Close())
	want, err := Describe(f.o.Path)
	must(t, err)
	got, err := CopyFile(ctx, f.o.Path, path)
	must(t, err)
	var b bytes.Buffer
	streamed, err := WriteFile(ctx, f.o.Path, &b)
	must(t, err)
	if got != want || streamed != want {
		t.Errorf("%+v and %+v, want %+v", got, streamed, want)
	}
	if file, err := os.ReadFile(path); err != nil || !bytes.Equal(file, b.Bytes()) {
		t.Error("the two differ", err)
	}
	if ps, err := CheckFile(path); err != nil || len(ps) > 0 {
		t.Error(ps, err)
	}
	must(t, os.WriteFile(f.o.Path, unsound(t), 0o600))
	b.Reset()
	if _, err := WriteFile(ctx, f.o.Path, &b); !errors.Is(err, ErrDamaged) || b.Len() > 0 {
		t.Errorf("an unsound file: %v, %d bytes", err, b.Len())
	}
}

// Latest moves with every kind of record.
func TestLatest(t *testing.T) {
	f := open(t)
	latest := func() (at time.Time) {
		t.Helper()
		must(t, f.view(ctx, func(r reader) error {
			sum, err := summarise(r)
			at = sum.Latest
			return err
		}))
		return at
	}
	step := func(what string, do func()) {
		t.Helper()
		f.now = f.now.Add(time.Minute)
		do()
		if got := latest(); !got.Equal(f.now) {
			t.Errorf("after %s: %s, want %s", what, got, f.now)
		}
	}
	if !latest().Equal(t0) {
		t.Errorf("a new file: %s", latest())
	}
	step("a vehicle", func() { must(t, f.PutVehicle(ctx, newVehicle(1))) })
	step("a webhook", func() {
		w := newWebhook(1)
		w.StatusSince = f.now
		must(t, f.AddWebhook(ctx, w))
	})
	step("a subscription", func() {
		_, _, err := f.Subscribe(ctx, key(1, 1), dueAt(f.now))
		must(t, err)
	})
	var d []webhook.Delivery
	step("a delivery", func() { d = f.produce(1) })
	step("an end", func() { f.settle(d[0], webhook.Delivered) })
	step("a reading", func() {
		_, err := f.CompleteRead(ctx, vid(1), func(v webhook.VehicleView) (webhook.Decision, error) {
			v.Status.ReadAt = f.now
			return webhook.Decision{Status: v.Status}, nil
		})
		must(t, err)
	})
	step("a token", func() { must(t, f.PutGrant(ctx, access.Grant{Name: "home", Hash: [32]byte{1}})) })
}

func TestRoomFor(t *testing.T) {
	dir := t.TempDir()
	free, total, _ := fileSystem(dir)
	if total == 0 {
		t.Skip("skipped: this platform does not tell what is free")
	}
	if err := roomFor(dir, 1, 0); err != nil {
		t.Error(err)
	}
	for _, c := range [][2]int64{{free + 1<<40, 0}, {1, free + 1<<40}} {
		if err := roomFor(dir, c[0], c[1]); !errors.Is(err, webhook.ErrNoSpace) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// entries lists what is in a directory.
func entries(t *testing.T, dir string) string {
	t.Helper()
	es, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range es {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
