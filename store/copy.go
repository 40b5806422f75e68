package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

// Copy writes a consistent copy of the data file to path, which it replaces. The
// copy is made under a temporary name beside it, flushed and then renamed, so
// path is never half a copy. It is for local files only: a read transaction is
// open meanwhile, and the data file grows while one is. It ends early with ctx,
// and does not begin where there is no room for it ([webhook.ErrNoSpace]).
func (s *Maintenance) Copy(ctx context.Context, path string) error {
	if _, err := s.copy(ctx, path, func(string) error { return nil }); err != nil {
		return fmt.Errorf("copy data file to %s: %w", path, diskError(err))
	}
	return nil
}

// Backup is Copy that checks the copy before it gets its name, as [CheckFile]
// does, and returns what is in it. A copy that is not sound is not kept; the error
// wraps ErrDamaged.
func (s *Maintenance) Backup(ctx context.Context, path string) (sum Summary, err error) {
	warning, err := s.copy(ctx, path, func(temp string) error {
		sum, err = verifyCopy(temp, s.options.Path, func(file string) (Summary, error) { return s.options.verify(ctx, file, path) })
		return uncheckable(asBackup(err, path, "it is not kept, and what it was made of has the same: run plugbeat check"), path)
	})
	if err != nil {
		return Summary{}, fmt.Errorf("back up data file %s: %w", s.options.Path, diskError(err))
	}
	sum.Warning = warning
	return sum, nil
}

func (s *Maintenance) copy(ctx context.Context, path string, verify func(temp string) error) (warning string, err error) {
	if same, err := filepath.Abs(path); err != nil {
		return "", err
	} else if own, err := filepath.Abs(s.options.Path); err != nil {
		return "", err
	} else if same == own {
		return "", errors.New("it is the data file itself")
	}
	keep := int64(0)
	if sameFileSystem(filepath.Dir(path), filepath.Dir(s.options.Path)) {
		d, err := s.Disk(ctx)
		if err != nil {
			return "", err
		}
		keep = d.MinFreeBytes // the data file must go on growing
	}
	return saveAs(path, s.options.flushFolder, func(f *os.File) error {
		return s.view(ctx, func(r reader) error { return writeCopy(ctx, r.tx, f, path, keep) })
	}, verify)
}

// CopyFile is Backup for a data file that no process has open, or another backup.
// It needs no key.
func CopyFile(ctx context.Context, from, path string) (sum Summary, err error) {
	err = readFile(from, anySchema, defaultLockTimeout, func(tx *bolt.Tx) error {
		sum, err = SaveCopy(ctx, path, func(w io.Writer) error { return writeCopy(ctx, tx, w, path, 0) })
		return err
	})
	return sum, err
}

// WriteFile writes the data file from, which no process has open, to w, once it is
// found sound.
func WriteFile(ctx context.Context, from string, w io.Writer) (sum Summary, err error) {
	err = readFile(from, anySchema, defaultLockTimeout, func(tx *bolt.Tx) error {
		if sum, err = verify(ctx, from, from, thisLayout(), nil); err != nil {
			return err
		}
		return writeTo(ctx, tx, w)
	})
	return sum, err
}

// SaveCopy takes a backup from fill, which writes it, and gives it its name once it
// is whole on disk and found sound; until then, and after an error, there is what
// there was. It needs no key.
func SaveCopy(ctx context.Context, path string, fill func(io.Writer) error) (Summary, error) {
	return saveCopy(ctx, path, flushFolder, fill)
}

func saveCopy(ctx context.Context, path string, flushFolder func(dir string) error, fill func(io.Writer) error) (sum Summary, err error) {
	warning, err := saveAs(path, flushFolder, func(f *os.File) error { return fill(f) }, func(temp string) error {
		local := filepath.Join(os.TempDir(), filepath.Base(path))
		sum, err = verifyCopy(temp, local, func(file string) (Summary, error) { return verifyBackup(ctx, file, path) })
		return uncheckable(asBackup(err, path, "it is not kept: try again"), path)
	})
	if _, ok := errors.AsType[*fileError](err); ok {
		return Summary{}, err
	}
	if err != nil {
		return Summary{}, fmt.Errorf("write backup %s: %w", path, err)
	}
	sum.Warning = warning
	return sum, nil
}

// verifyBackup is verify of a backup that is to have the name.
func verifyBackup(ctx context.Context, file, name string) (Summary, error) {
	return verify(ctx, file, name, thisLayout(), nil)
}

// verifyCopy verifies a file where it lies. Where the system does not open it there, as on a
// network share without locks or memory mapping, it is read back from there into a file beside
// local, and that one is verified.
func verifyCopy(file, local string, verify func(file string) (Summary, error)) (Summary, error) {
	sum, err := verify(file)
	if !refused(err) {
		return sum, err
	}
	back, cerr := tempBeside(local, newPattern, func(f *os.File) error { return copyInto(f, file) })
	if cerr != nil {
		return Summary{}, errors.Join(err, fmt.Errorf("check it elsewhere: %w", cerr))
	}
	defer func() { _ = os.Remove(back) }()
	return verify(back)
}

// saveAs makes a file under a temporary name beside path, mode 0600, flushes it, has it
// verified and gives it its name. Nothing is left of it after an error. A warning means
// that the file is there and its folder could not be flushed.
func saveAs(path string, flushFolder func(dir string) error, fill func(*os.File) error, verify func(temp string) error,
) (warning string, err error) {
	temp, err := tempBeside(path, newPattern, fill)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(temp) }()
	if err := verify(temp); err != nil {
		return "", err
	}
	if err := os.Rename(temp, path); err != nil {
		return "", err
	}
	return unflushed(flushFolder, path), nil
}

// writeCopy is writeTo of a file that is to lie at path, where keep bytes are to stay
// free. It does not begin where there is no room.
func writeCopy(ctx context.Context, tx *bolt.Tx, w io.Writer, path string, keep int64) error {
	if err := roomFor(filepath.Dir(path), tx.Size(), keep); err != nil {
		return err
	}
	return writeTo(ctx, tx, w)
}

// roomFor is an error wrapping webhook.ErrNoSpace when the directory's file system
// has no room for so many bytes and those that are to stay free.
func roomFor(dir string, bytes, keep int64) error {
	free, total, _ := fileSystem(dir)
	if total == 0 || free >= bytes+keep {
		return nil
	}
	return fmt.Errorf("%w: %d MiB are needed in %s and %d are free", webhook.ErrNoSpace, (bytes+keep)>>20+1, dir, free>>20)
}

// writeTo writes what the transaction sees as a data file, until ctx ends.
func writeTo(ctx context.Context, tx *bolt.Tx, w io.Writer) error {
	_, err := tx.WriteTo(whileContext{ctx, w})
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // bbolt keeps only its text
	}
	return err
}

// whileContext is a writer that refuses to go on once its context has ended.
type whileContext struct {
	ctx context.Context
	w   io.Writer
}

func (c whileContext) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}
