package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// Compaction is what a compaction did, in bytes of the file.
type Compaction struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
	// Warning says that the new file is in its place and may be lost in a power cut;
	// empty for no such trouble.
	Warning string `json:"warning,omitempty"`
}

// compactPiece is how many bytes of rows one transaction of a compaction writes.
const compactPiece = 16 << 20

// Compact rewrites a data file that no process has open without its free pages. The
// new file is made beside it, held against it row by row, checked as [CheckFile]
// does, and only then takes its place; where it is not smaller nothing is done. It
// needs no key. A daemon at work is ErrInUse.
func Compact(ctx context.Context, path string) (Compaction, error) {
	return compact(ctx, path, flushFolder)
}

func compact(ctx context.Context, path string, flushFolder func(dir string) error) (c Compaction, err error) {
	path = resolved(path)
	h, err := hold(path)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, h.free()) }()
	if h.info == nil {
		return c, fmt.Errorf("there is no data file at %s", path)
	}
	if h.why != nil {
		return c, h.why
	}
	c.Before, c.After = h.info.Size(), h.info.Size()
	failed := func(err error) (Compaction, error) {
		return c, fmt.Errorf("compact data file %s: %w; it is as it was", path, diskError(err))
	}
	clearTemps(path)
	temp := ""
	defer func() { _ = os.Remove(temp) }() // once it has its name there is none
	err = guarded(path, func() error {
		return h.db.View(func(tx *bolt.Tx) (err error) {
			if err := checkFile(path, tx, schemaVersion); err != nil {
				return err
			}
			if err := roomFor(filepath.Dir(path), liveBytes(h.db, tx), 0); err != nil {
				return err
			}
			if temp, err = tempBeside(path, nextPattern, func(*os.File) error { return nil }); err != nil {
				return err
			}
			return h.rewrite(ctx, tx, temp)
		})
	})
	if err == nil {
		_, err = verify(ctx, temp, path, thisLayout(), nil)
	}
	if err != nil {
		return failed(err)
	}
	info, err := os.Stat(temp)
	if err != nil {
		return failed(err)
	}
	if info.Size() >= c.Before {
		return c, nil
	}
	if _, c.Warning, err = (replacement{temp: temp, path: path, info: h.info, flushFolder: flushFolder}).do(); err != nil {
		return failed(err)
	}
	c.After = info.Size()
	return c, nil
}

// rewrite writes all that tx sees into the empty file temp, and holds it against tx.
func (h *held) rewrite(ctx context.Context, tx *bolt.Tx, temp string) error {
	to, err := bolt.Open(temp, 0o600, &bolt.Options{
		FreelistType: bolt.FreelistMapType, NoSync: true, NoGrowSync: true, Timeout: defaultLockTimeout,
	})
	if err != nil {
		return err
	}
	to.AllocSize = 64 << 10
	err = func() error {
		if err := bolt.Compact(to, h.db, compactPiece); err != nil {
			return err
		}
		if err := to.Sync(); err != nil {
			return err
		}
		return to.View(func(copied *bolt.Tx) error {
			same, err := sameRows(ctx, tx, copied)
			if err == nil && !same {
				err = errors.New("what was written is not what was read")
			}
			return err
		})
	}()
	return errors.Join(err, to.Close())
}
