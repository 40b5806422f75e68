package store

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
)

// A file system that flushes no folders is no reason to refuse; every other trouble is
// told.
func TestFolderThatCannotBeFlushed(t *testing.T) {
	dir := fastDir(t)
	must(t, flushFolder(dir))
	for _, err := range []error{syscall.EINVAL, syscall.ENOTSUP, syscall.ENOSYS, &os.PathError{Op: "sync", Path: dir, Err: syscall.EINVAL}} {
		if got := flushable(err); got != nil {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := flushable(syscall.EIO); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

// Once a file has its name, what is done is done: a folder that then fails to flush is a
// warning, for each way that a file takes its place.
func TestWarnsOfFolderAfterRename(t *testing.T) {
	broken := func(string) error { return syscall.EIO }
	warned := func(what, warning, file string, err error) {
		t.Helper()
		if err != nil || !strings.Contains(warning, syscall.EIO.Error()) || !strings.Contains(warning, file) {
			t.Errorf("%s: warning %q, %v", what, warning, err)
		}
		if problems, err := CheckFile(file); err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", what, problems, err)
		}
	}
	f := open(t, func(o *Options) { o.flushFolder = broken })
	f.fleet(1, 1)
	dir := filepath.Dir(f.o.Path)

	backup := filepath.Join(dir, "backup.db")
	sum, err := f.Backup(ctx, backup)
	warned("backup", sum.Warning, backup, err)

	saved := filepath.Join(dir, "saved.db")
	sum, err = saveCopy(ctx, saved, broken, func(w io.Writer) error { return copyInto(w, backup) })
	warned("save", sum.Warning, saved, err)

	for n := range 200 {
		must(t, f.PutSecret(ctx, strings.Repeat("x", n+1), make([]byte, 64<<10)))
		must(t, f.DeleteSecret(ctx, strings.Repeat("x", n+1)))
	}
	must(t, f.PutSecret(ctx, "later", []byte("than the backup")))
	must(t, f.Close())
	c, err := compact(ctx, f.o.Path, broken)
	warned("compact", c.Warning, f.o.Path, err)
	if c.After >= c.Before {
		t.Errorf("compact: %+v", c)
	}

	for what, path := range map[string]string{"restore over a file": f.o.Path, "restore": filepath.Join(dir, "other", "plugbeat.db")} {
		from, err := os.Open(backup)
		must(t, err)
		res, err := Restore(ctx, RestoreOptions{Path: path, From: from, Name: "backup", Key: testKey, DiscardNewer: true, flushFolder: broken})
		must(t, from.Close())
		warned(what, res.Warning, path, err)
	}
}

// A data file that was upgraded is open, whatever its folder says afterwards.
func TestUpgradeWarnsOfFolder(t *testing.T) {
	var log strings.Builder
	path := filepath.Join(fastDir(t), "plugbeat.db")
	must(t, copyPlain(v1Path, path))
	f := open(t, func(o *Options) {
		o.Path, o.Log = path, zerolog.New(&log)
		o.flushFolder = func(string) error { return syscall.EIO }
	})
	f.sound()
	if !strings.Contains(log.String(), `"event":"store.migrated"`) || !strings.Contains(log.String(), "could not be flushed") {
		t.Error(log.String())
	}
}

// A backup that cannot be checked where it is to lie names its own folder, and not that
// of the data.
func TestBackupNamesItsFolder(t *testing.T) {
	err := uncheckable(&refusedError{doing: "open data file /mnt/share/.b.db.new-1", err: &os.PathError{Op: "mmap", Path: "x", Err: syscall.ENODEV}}, "/mnt/share/b.db")
	if text := err.Error(); strings.Contains(text, "data_dir") || !strings.Contains(text, "/mnt/share/b.db") || !errors.Is(err, syscall.ENODEV) {
		t.Error(err)
	}
	if other := errors.New("other"); !errors.Is(uncheckable(other, "x"), other) {
		t.Error("another error is changed")
	}
}

// A backup on a share without locks or memory mapping is read back from there, and verified
// beside the data file: a sound one is kept, any other is not, and nothing else is left.
func TestBackupToAShare(t *testing.T) {
	share := t.TempDir()
	var spoil bool
	f := open(t, func(o *Options) {
		o.verify = func(ctx context.Context, file, name string) (Summary, error) {
			if filepath.Dir(file) == share {
				if spoil {
					must(t, os.Truncate(file, 8192))
				}
				return Summary{}, &refusedError{doing: "open data file " + file, err: &os.PathError{Op: "flock", Path: file, Err: syscall.ENOLCK}}
			}
			return verifyBackup(ctx, file, name)
		}
	})
	f.fleet(2, 2)
	path := filepath.Join(share, "b.db")
	sum, err := f.Backup(ctx, path)
	if err != nil || sum.Vehicles != 2 {
		t.Fatal(sum, err)
	}
	if problems, err := CheckFile(path); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	spoil = true
	other := filepath.Join(share, "c.db")
	if _, err := f.Backup(ctx, other); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), other) {
		t.Error(err)
	}
	for _, dir := range []string{share, filepath.Dir(f.o.Path)} {
		left, err := filepath.Glob(filepath.Join(dir, ".*"))
		must(t, err)
		if len(left) > 0 {
			t.Error(left)
		}
	}
	if _, err := os.Stat(other); err == nil {
		t.Error("a damaged backup is kept")
	}
}
