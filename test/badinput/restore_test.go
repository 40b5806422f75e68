package badinput

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestRestore gives restore what must not take the data file's place: it says why, and
// nothing has changed.
func TestRestore(t *testing.T) {
	d, stranger := used(t), used(t)
	dir := t.TempDir()
	backup := func(name string, from func() []byte) string {
		path := filepath.Join(dir, name)
		write(t, path, from())
		return path
	}
	mine, theirs := filepath.Join(dir, "mine.db"), filepath.Join(dir, "theirs.db")
	d.Must("backup", mine)
	stranger.Must("backup", theirs)
	good, err := os.ReadFile(mine)
	if err != nil {
		t.Fatal(err)
	}
	newer := backup("newer.db", func() []byte { return good })
	db, err := bolt.Open(newer, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), binary.BigEndian.AppendUint32(nil, 7))
	})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	// The data goes on after the backup.
	d.Start()
	d.Must("webhook", "add", "--name", "later", "--callback", "https://receiver.example/later")
	d.Must("token", "add", "later", "--access")
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file  string
		words []string
	}{
		{mine, []string{mine, "older than the data file", "not in the backup: 1 webhook, 1 token", "--discard-newer", "dated name"}},
		{theirs, []string{theirs, "sealed with another key", "key_file"}},
		{newer, []string{newer, "written by a newer version", "its schema is 7 and this one knows 2", "use the newer plugbeat"}},
		{backup("cut.db", func() []byte { return good[:len(good)-4096] }), []string{"cut.db", "damaged", "cut off", "another backup"}},
		{backup("short.db", func() []byte { return good[:100] }), []string{"short.db", "damaged", "another backup"}},
		{backup("text.db", func() []byte { return []byte("hello") }), []string{"text.db", "damaged", "another backup"}},
		{backup("hole.db", func() []byte { b := bytes.Clone(good); clear(b[8192:16384]); return b }), []string{"hole.db", "damaged", "another backup"}},
		{d.DataFile(), nil}, // itself: the same, so nothing is done
	} {
		before := contents(t, d.Dir)
		_, errs, code := d.Run("restore", c.file)
		if c.words == nil && (code != 0 || errs != "") {
			t.Errorf("%s: exit code %d\n%s", c.file, code, errs)
		}
		if c.words != nil {
			if code != 1 {
				t.Errorf("%s: exit code %d", c.file, code)
			}
			complaint(t, errs, c.words...)
		}
		if contents(t, d.Dir) != before {
			t.Errorf("%s: a file changed, came or went", c.file)
		}
	}
	// With the stranger's key it is still a stranger.
	key, err := os.ReadFile(filepath.Join(stranger.Dir, "sealing_key"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(d.Dir, "sealing_key"), key)
	before := contents(t, d.Dir)
	_, errs, code := d.Run("restore", theirs)
	if code != 1 {
		t.Errorf("of another instance: exit code %d", code)
	}
	complaint(t, errs, theirs, "of another instance", "--other-instance", "dated name")
	if contents(t, d.Dir) != before {
		t.Error("of another instance: a file changed, came or went")
	}
	d.Must("restore", theirs, "--other-instance")
	d.Start()
	d.Must("status")
}
