package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

// rowsOf is every row of a closed data file as text.
func rowsOf(t *testing.T, path string) string {
	t.Helper()
	var b strings.Builder
	must(t, readFile(path, schemaVersion, defaultLockTimeout, func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			return bucket.ForEach(func(k, v []byte) error { fmt.Fprintf(&b, "%s %x %x\n", name, k, v); return nil })
		})
	}))
	return b.String()
}

// What a backlog left behind is given back, no row changes, and the file goes on from
// there.
func TestCompact(t *testing.T) {
	f := populated(t)
	f.fleetMore(t, 400)
	if _, err := Compact(ctx, f.o.Path); !errors.Is(err, ErrInUse) {
		t.Fatalf("under a daemon: %v", err)
	}
	must(t, f.Close())
	must(t, os.Chmod(f.o.Path, 0o640))
	rows := rowsOf(t, f.o.Path)
	before := fileSize(t, f.o.Path)
	c, err := Compact(ctx, f.o.Path)
	must(t, err)
	info, err := os.Stat(f.o.Path)
	must(t, err)
	if c.Before != before || c.After != info.Size() || c.After*4 > c.Before || info.Mode().Perm() != 0o640 {
		t.Errorf("%+v, was %d, is %d, %v", c, before, info.Size(), info.Mode())
	}
	if d := cmp.Diff(rows, rowsOf(t, f.o.Path)); d != "" {
		t.Errorf("rows changed:\n%.2000s", d)
	}
	if got := entries(t, filepath.Dir(f.o.Path)); got != "plugbeat.db" {
		t.Errorf("left: %s", got)
	}
	again, err := Compact(ctx, f.o.Path)
	if err != nil || again.After != again.Before {
		t.Errorf("again: %+v, %v", again, err)
	}
	f.open()
	f.settle(f.produce(1)[0], webhook.Delivered)
	f.sound()
}

// fleetMore makes and removes a backlog, which leaves free pages.
func (f *fixture) fleetMore(t *testing.T, n int) {
	t.Helper()
	big := make([]byte, 4000)
	for i := range n {
		must(t, f.PutSecret(ctx, fmt.Sprintf("%06d", i), big))
	}
	for i := range n {
		must(t, f.DeleteSecret(ctx, fmt.Sprintf("%06d", i)))
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func TestCompactRefuses(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.db")
	if _, err := Compact(ctx, none); err == nil || !strings.Contains(err.Error(), none) {
		t.Error(err)
	}
	_, content := small(t)
	zeroed := bytes.Clone(content)
	clear(zeroed[8192:20480])
	for name, b := range map[string][]byte{"text": []byte("text"), "a hole": zeroed, "unsound": unsound(t)} {
		path := filepath.Join(t.TempDir(), "plugbeat.db")
		must(t, os.WriteFile(path, b, 0o600))
		if _, err := Compact(ctx, path); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), ".next-") {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(read(t, path), b) || entries(t, filepath.Dir(path)) != "plugbeat.db" {
			t.Errorf("%s: something changed: %s", name, entries(t, filepath.Dir(path)))
		}
	}
}

// A row that got lost on the way is noticed.
func TestSameRows(t *testing.T) {
	path, _ := small(t)
	for name, change := range map[string]func(*bolt.Tx) error{
		"a row less": func(tx *bolt.Tx) error {
			k, _ := tx.Bucket([]byte(bucketPayloads)).Cursor().Last()
			return tx.Bucket([]byte(bucketPayloads)).Delete(bytes.Clone(k))
		},
		"a row more":      func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucketWaiting)).Put([]byte("x"), nil) },
		"a value changed": func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucketMeta)).Put(metaLastID, make([]byte, idLen)) },
		"a bucket less":   func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte(bucketFinished)) },
		"a bucket more":   func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("zz")); return err },
		"nothing":         func(*bolt.Tx) error { return nil },
	} {
		changed := edit(t, path, change)
		must(t, readFile(path, 0, defaultLockTimeout, func(a *bolt.Tx) error {
			return readFile(changed, 0, defaultLockTimeout, func(b *bolt.Tx) error {
				for _, pair := range [][2]*bolt.Tx{{a, b}, {b, a}} {
					if same, err := sameRows(ctx, pair[0], pair[1]); err != nil || same != (name == "nothing") {
						t.Errorf("%s: same %v, %v", name, same, err)
					}
				}
				return nil
			})
		}))
	}
}
