package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"plugbeat/access"
	"plugbeat/webhook"
)

// shelf is a closed data file and backups of it.
type shelf struct {
	*fixture
	dir string
}

// backup closes nothing: it takes a backup as the daemon does.
func (s *shelf) backup(name string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	_, err := s.Backup(ctx, path)
	must(s.t, err)
	return path
}

func (s *shelf) restore(path string, change ...func(*RestoreOptions)) (Restored, error) {
	s.t.Helper()
	b, err := os.ReadFile(path)
	must(s.t, err)
	o := RestoreOptions{Path: s.o.Path, From: bytes.NewReader(b), Name: path, Key: testKey, Now: func() time.Time { return t0 }}
	for _, c := range change {
		c(&o)
	}
	return Restore(ctx, o)
}

func newShelf(t *testing.T) *shelf {
	return &shelf{open(t), t.TempDir()}
}

func older(o *RestoreOptions) { o.DiscardNewer = true }
func other(o *RestoreOptions) { o.OtherInstance = true }

// A day's work is lost by an older backup: what exactly is told, the flag is needed,
// and the way back is there.
func TestRestoreOlder(t *testing.T) {
	s := newShelf(t)
	s.fleet(1, 2)
	d := s.produce(1)
	must(t, s.PutSecret(ctx, "source/smartcar/A", []byte("first")))
	must(t, s.PutSecret(ctx, "source/smartcar/B", []byte("first")))
	must(t, s.PutVehicle(ctx, newVehicle(9)))
	must(t, s.PutGrant(ctx, access.Grant{Name: "app", Hash: [32]byte{1}}))
	must(t, s.AddWebhook(ctx, newWebhook(8)))
	monday := s.backup("monday.db")
	s.now = s.now.Add(24 * time.Hour)
	s.settle(d[0], webhook.Delivered)
	s.settle(s.produce(1)[0], webhook.Delivered)
	s.produce(2)
	must(t, s.AddWebhook(ctx, newWebhook(2)))
	must(t, s.PutVehicle(ctx, newVehicle(3)))
	_, _, err := s.Subscribe(ctx, key(2, 3), dueAt(s.now))
	must(t, err)
	must(t, s.PutGrant(ctx, access.Grant{Name: "home", Hash: [32]byte{9}}))
	must(t, s.PutSecret(ctx, "source/smartcar/A", []byte("second")))
	_, err = s.RemoveVehicle(ctx, vid(9))
	must(t, err)
	must(t, s.DeleteGrant(ctx, "app"))
	must(t, s.PutGrant(ctx, access.Grant{Name: "app", Hash: [32]byte{2}}))
	_, err = s.UpdateWebhook(ctx, wid(8), func(w *webhook.Webhook) error { w.Key = webhook.Secret("another signing key 0123456789"); return nil })
	must(t, err)
	tuesday := s.backup("tuesday.db")

	if _, err := s.restore(monday); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), s.o.Path) {
		t.Fatalf("under a daemon: %v", err)
	}
	must(t, s.Close())
	before := read(t, s.o.Path)
	got, err := s.restore(monday)
	if !errors.Is(err, ErrOlder) || !strings.Contains(err.Error(), monday) {
		t.Fatalf("%v", err)
	}
	want := Loss{Webhooks: 1, Vehicles: 1, Subscriptions: 1, Tokens: 2, Deliveries: 2, Waiting: 1, Again: 1, Accounts: 1, Keys: 1, Back: Back{Vehicles: 1, Tokens: 1}}
	if got.Loss != want || got.Kept != "" || got.Here == nil || got.Here.Latest.Sub(got.Backup.Latest) != 24*time.Hour {
		t.Errorf("%+v\nwant a loss of %+v", got, want)
	}
	if !bytes.Equal(read(t, s.o.Path), before) || entries(t, filepath.Dir(s.o.Path)) != "plugbeat.db" {
		t.Errorf("a refused restore changed something: %s", entries(t, filepath.Dir(s.o.Path)))
	}

	got, err = s.restore(monday, older)
	must(t, err)
	if got.Kept != s.o.Path+".replaced-20260301T120000Z" || !bytes.Equal(read(t, got.Kept), before) {
		t.Errorf("what was there is at %s", got.Kept)
	}
	s.open()
	s.sound()
	if l := s.ledger(1); l.Produced != 1 || l.Waiting() != 1 {
		t.Errorf("%+v", l)
	}
	if b, err := s.Secret(ctx, "source/smartcar/A"); err != nil || string(b) != "first" {
		t.Errorf("%s, %v", b, err)
	}
	must(t, s.Close())
	// Forward again: nothing is lost, so it needs no leave.
	got, err = s.restore(tuesday)
	must(t, err)
	if got.Kept != s.o.Path+".replaced-20260301T120000Z-2" || got.Loss.Deliveries != 0 || got.Same {
		t.Errorf("%+v", got)
	}
	s.open()
	s.sound()
	if l := s.ledger(1); l.Produced != 3 || l.Delivered != 2 {
		t.Errorf("%+v", l)
	}
	must(t, s.Close())
	got, err = s.restore(tuesday)
	if err != nil || !got.Same || got.Kept != "" {
		t.Errorf("the same again: %+v, %v", got, err)
	}
}

// Changes that leave no newer time behind need the flag too.
func TestRestoreWithoutNewerTimes(t *testing.T) {
	s := newShelf(t)
	s.fleet(1, 1)
	before := s.backup("before.db")
	w, err := s.Webhook(ctx, wid(1))
	must(t, err)
	_, err = s.UpdateWebhook(ctx, w.ID, func(w *webhook.Webhook) error { w.Name = "renamed"; return nil })
	must(t, err)
	must(t, s.Close())
	if got, err := s.restore(before); !errors.Is(err, ErrOlder) || got.Loss != (Loss{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// What must not take the data file's place does not, and says why.
func TestRestoreRefuses(t *testing.T) {
	s := newShelf(t)
	s.fleet(1, 1)
	for range 40 {
		s.produce(1)
	}
	good := s.backup("good.db")
	must(t, s.Close())
	b := read(t, good)
	before := read(t, s.o.Path)
	newer := read(t, edit(t, good, func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(bucketMeta)).Put(metaSchema, binary.BigEndian.AppendUint32(nil, 99))
	}))
	foreign := filepath.Join(s.dir, "foreign.db")
	db, err := bolt.Open(foreign, 0o600, nil)
	must(t, err)
	must(t, db.Close())
	for name, c := range map[string]struct {
		content []byte
		change  func(*RestoreOptions)
		kind    error
		says    string
	}{
		"empty":          {nil, nil, ErrDamaged, "another backup"},
		"text":           {[]byte("hello"), nil, ErrDamaged, "another backup"},
		"two pages":      {b[:8192], nil, ErrDamaged, "cut off"},
		"half":           {b[:len(b)/2/4096*4096], nil, ErrDamaged, "cut off"},
		"a byte short":   {b[:len(b)-1], nil, ErrDamaged, "cut off"},
		"not plugbeat's": {read(t, foreign), nil, errForeign, "not plugbeat's"},
		"unsound":        {unsound(t), nil, ErrDamaged, "waiting"},
		"newer":          {newer, nil, ErrNewer, "schema is 99"},
		"another key":    {b, func(o *RestoreOptions) { o.Key = bytes.Repeat([]byte{8}, keyLen) }, ErrKey, "key_file"},
		"a secret that rotted": {read(t, edit(t, good, func(tx *bolt.Tx) error {
			return tx.Bucket([]byte(bucketSecrets)).Put([]byte("source/x/y"), make([]byte, 40))
		})), nil, ErrDamaged, "secrets source/x/y"},
		"cut off on the way": {b, func(o *RestoreOptions) { o.From = io.MultiReader(bytes.NewReader(b[:9000]), broken{}) }, io.ErrUnexpectedEOF, ""},
	} {
		path := filepath.Join(s.dir, "bad.db")
		must(t, os.WriteFile(path, c.content, 0o600))
		change := c.change
		if change == nil {
			change = func(*RestoreOptions) {}
		}
		_, err := s.restore(path, change, older, other)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), ".next-") {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(read(t, s.o.Path), before) || entries(t, filepath.Dir(s.o.Path)) != "plugbeat.db" {
			t.Fatalf("%s: something changed: %s", name, entries(t, filepath.Dir(s.o.Path)))
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Restore(gone, RestoreOptions{Path: s.o.Path, From: bytes.NewReader(b), Name: "x", Key: testKey}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestRestoreOtherInstance(t *testing.T) {
	s, stranger := newShelf(t), newShelf(t)
	stranger.fleet(1, 3)
	backup := stranger.backup("b.db")
	s.fleet(1, 1)
	must(t, s.Close())
	got, err := s.restore(backup, older)
	if !errors.Is(err, ErrOther) || !strings.Contains(err.Error(), stranger.instance.String()) || !strings.Contains(err.Error(), s.instance.String()) {
		t.Fatalf("%+v, %v", got, err)
	}
	got, err = s.restore(backup, other)
	must(t, err)
	if got.Kept == "" || got.Backup.Vehicles != 3 || got.Here.Vehicles != 1 {
		t.Errorf("%+v", got)
	}
	s.open()
	s.sound()
	if s.instance != stranger.instance {
		t.Error("it is not the backup")
	}
}

// A data file that is gone or damaged is what restoring is for.
func TestRestoreOverDamage(t *testing.T) {
	s := newShelf(t)
	s.fleet(1, 1)
	backup := s.backup("b.db")
	s.produce(1)
	must(t, s.Close())
	whole := read(t, s.o.Path)
	for name, damage := range map[string]func(b []byte) []byte{
		"zeros at its beginning": func(b []byte) []byte { clear(b[:8192]); return b },
		"zeros in the middle":    func(b []byte) []byte { clear(b[8192:20480]); return b },
		"cut off":                func(b []byte) []byte { return b[:12288] },
		"text":                   func([]byte) []byte { return []byte("text") },
		"empty":                  func([]byte) []byte { return nil },
	} {
		bad := damage(bytes.Clone(whole))
		must(t, os.WriteFile(s.o.Path, bad, 0o600))
		must(t, os.Chmod(s.o.Path, 0o640))
		got, err := s.restore(backup)
		if err != nil || got.Unreadable == "" || !bytes.Equal(read(t, got.Kept), bad) {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		info, err := os.Stat(s.o.Path)
		must(t, err)
		if info.Mode().Perm() != 0o640 {
			t.Errorf("%s: mode %v, want that of the file it replaces", name, info.Mode())
		}
		s.open()
		s.sound()
		must(t, s.Close())
	}
	must(t, os.RemoveAll(filepath.Dir(s.o.Path)))
	got, err := s.restore(backup)
	if err != nil || got.Kept != "" || got.Here != nil || got.Unreadable != "" {
		t.Errorf("nothing there: %+v, %v", got, err)
	}
	if info, err := os.Stat(s.o.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	s.open()
	s.sound()
}

// The restored file belongs to whom the replaced one, or else the directory,
// belonged, also when root restores it.
func TestRestoreKeepsTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: giving files away takes root")
	}
	s := newShelf(t)
	s.fleet(1, 1)
	backup := s.backup("b.db")
	s.produce(1)
	must(t, s.Close())
	must(t, os.Chown(filepath.Dir(s.o.Path), 4321, 4322))
	must(t, os.Chown(s.o.Path, 1234, 1235))
	for _, want := range [][2]int{{1234, 1235}, {4321, 4322}} {
		_, err := s.restore(backup, older)
		must(t, err)
		if uid, gid := owner(t, s.o.Path); uid != want[0] || gid != want[1] {
			t.Errorf("it belongs to %d:%d, want %v", uid, gid, want)
		}
		must(t, os.Remove(s.o.Path))
	}
}

// A data file that is a link to another disk stays one, whatever replaces it.
func TestLinkedDataFile(t *testing.T) {
	s := newShelf(t)
	s.fleet(1, 1)
	backup := s.backup("b.db")
	s.fleetMore(t, 100)
	must(t, s.PutVehicle(ctx, newVehicle(2)))
	must(t, s.Close())
	elsewhere := filepath.Join(s.dir, "elsewhere.db")
	must(t, copyPlain(s.o.Path, elsewhere))
	must(t, os.Remove(s.o.Path))
	must(t, os.Symlink(elsewhere, s.o.Path))
	linked := func(what string) {
		t.Helper()
		if to, err := os.Readlink(s.o.Path); err != nil || to != elsewhere || entries(t, filepath.Dir(s.o.Path)) != "plugbeat.db" {
			t.Fatalf("after %s: %s, %v; %s", what, to, err, entries(t, filepath.Dir(s.o.Path)))
		}
	}
	if c, err := Compact(ctx, s.o.Path); err != nil || c.After >= c.Before {
		t.Errorf("%+v, %v", c, err)
	}
	linked("compacting")
	res, err := s.restore(backup, older)
	if err != nil || filepath.Dir(res.Kept) != s.dir {
		t.Errorf("%+v, %v", res, err)
	}
	linked("restoring")
	must(t, os.WriteFile(elsewhere, read(t, v1Path), 0o600))
	up, err := Open(Options{Path: s.o.Path, Key: testKey, layout: schema4(quiet)})
	must(t, err)
	must(t, up.Close())
	linked("upgrading")
}

// Whoever waited for the lock while another file took the name does not work on the
// file that was there before.
func TestOpenAfterRestore(t *testing.T) {
	s := newShelf(t)
	s.fleet(1, 1)
	backup := s.backup("b.db")
	must(t, s.AddWebhook(ctx, newWebhook(2)))
	must(t, s.Close())
	h, err := hold(s.o.Path)
	must(t, err)
	opened := make(chan error, 1)
	var waiting *Store
	go func() {
		var err error
		waiting, err = Open(s.o)
		opened <- err
	}()
	for fds := 0; fds < 2; { // until the other has the file open too
		fds = 0
		all, err := filepath.Glob("/proc/self/fd/*")
		if err != nil || len(all) == 0 {
			t.Skip("skipped: this platform does not tell which files are open")
		}
		for _, fd := range all {
			if name, err := os.Readlink(fd); err == nil && name == s.o.Path {
				fds++
			}
		}
	}
	temp := filepath.Join(filepath.Dir(s.o.Path), "restored")
	must(t, copyPlain(backup, temp))
	must(t, os.Rename(temp, s.o.Path))
	must(t, h.free())
	must(t, <-opened)
	defer func() { must(t, waiting.Close()) }()
	if ws, err := waiting.Webhooks.Webhooks(ctx); err != nil || len(ws) != 1 {
		t.Errorf("it works on the file that was replaced: %d webhooks, %v", len(ws), err)
	}
}

// What a killed restore left beside the data file goes when that is opened.
func TestLeftoversGo(t *testing.T) {
	s := newShelf(t)
	must(t, s.Close())
	dir := filepath.Dir(s.o.Path)
	for _, name := range []string{".plugbeat.db.next-17", ".plugbeat.db.new-17", ".plugbeat.db.new-18", "notes.txt"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600))
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	must(t, os.Chtimes(filepath.Join(dir, ".plugbeat.db.new-18"), yesterday, yesterday))
	s.open()
	if got := entries(t, dir); got != ".plugbeat.db.new-17 notes.txt plugbeat.db" {
		t.Error(got)
	}
}

// Without links a copy is kept.
func TestKeepAs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plugbeat.db")
	must(t, os.WriteFile(path, []byte("data"), 0o600))
	must(t, copyPlain(path, filepath.Join(dir, "copy")))
	if string(read(t, filepath.Join(dir, "copy"))) != "data" {
		t.Error("the copy is none")
	}
	if err := copyPlain(path, filepath.Join(dir, "copy")); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	for _, want := range []string{"plugbeat.db.old-20260301T120000Z", "plugbeat.db.old-20260301T120000Z-2"} {
		kept, err := keepAs(path, "old", t0)
		if err != nil || filepath.Base(kept) != want || string(read(t, kept)) != "data" {
			t.Errorf("%s, %v", kept, err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// edit copies a data file and changes the copy.
func edit(t *testing.T, path string, change func(*bolt.Tx) error) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "edited.db")
	must(t, os.WriteFile(out, read(t, path), 0o600))
	db, err := bolt.Open(out, 0o600, &bolt.Options{Timeout: time.Second})
	must(t, err)
	must(t, db.Update(change))
	must(t, db.Close())
	return out
}
