package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
)

// held is the data file that a restore or a compaction is about to replace, locked
// until that is done.
type held struct {
	path string
	// db is the open file; nil where there is none or it cannot be opened, for the
	// reason why.
	db   *bolt.DB
	why  error
	file *os.File    // the lock of a file without db
	info fs.FileInfo // nil where there is no file
}

// hold locks the data file at path, which need not be there and need not be sound.
// It is ErrInUse while a daemon or another command has it.
func hold(path string) (*held, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &held{path: path}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("data file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(path)
	}
	h := &held{path: path, info: info}
	h.db, _, err = openFile(path, bolt.Options{Timeout: defaultLockTimeout})
	if err == nil {
		return h, nil
	}
	if !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	h.why = err
	if h.file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("data file: %w", err)
	}
	if err := lock(h.file); err != nil {
		_ = h.file.Close()
		return nil, inUse(path, "stop it first")
	}
	return h, nil
}

// free lets go of the file.
func (h *held) free() error {
	if h.db != nil {
		return h.db.Close()
	}
	if h.file != nil {
		unlock(h.file)
		return h.file.Close()
	}
	return nil
}

// read runs read on what the open file holds, in the layout: a file of an older
// schema is read in a copy that is brought up to date. Damage is an error.
func (h *held) read(ctx context.Context, l layout, read func(*bolt.Tx) error) error {
	err := guarded(h.path, func() error {
		return h.db.View(func(tx *bolt.Tx) error {
			if err := checkFile(h.path, tx, l.version); err != nil {
				return err
			}
			return read(tx)
		})
	})
	if errors.Is(err, errOlder) {
		return l.readCopy(ctx, h.path, read)
	}
	return err
}
