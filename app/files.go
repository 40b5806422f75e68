package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"plugbeat/config"
	"plugbeat/store"
)

// FileSummary says what a data file holds.
type FileSummary = store.Summary

// CheckFile looks for what is wrong in a data file that no daemon has open and
// returns one line a problem. It needs no key.
func CheckFile(path string) ([]string, error) {
	ps, err := store.CheckFile(path)
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = p.String()
	}
	return out, err
}

// The errors of what works on files that a caller tells apart.
var (
	// ErrInUse means that a daemon, or another command, has the data file open.
	ErrInUse = store.ErrInUse
	// ErrOtherInstance and ErrOlder are what [Restore] refuses without its leave.
	ErrOtherInstance = store.ErrOther
	ErrOlder         = store.ErrOlder
)

// SaveBackup writes a backup that fill gives, checks it, and only then gives it its
// name. What has that name already is replaced if it is a backup too.
func SaveBackup(ctx context.Context, path string, fill func(io.Writer) error) (FileSummary, error) {
	if err := replaceable(path); err != nil {
		return FileSummary{}, err
	}
	return store.SaveCopy(ctx, path, fill)
}

// CopyDataFile is SaveBackup of a data file that no daemon has open.
func CopyDataFile(ctx context.Context, from, path string) (FileSummary, error) {
	if err := replaceable(path); err != nil {
		return FileSummary{}, err
	}
	return store.CopyFile(ctx, from, path)
}

// WriteDataFile checks a data file that no daemon has open and writes it to w.
func WriteDataFile(ctx context.Context, from string, w io.Writer) (FileSummary, error) {
	return store.WriteFile(ctx, from, w)
}

// replaceable returns an error for a file that a backup must not take the place of.
func replaceable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder: name a file in it", path)
	}
	switch _, err := store.Describe(path); {
	case errors.Is(err, ErrInUse):
		return fmt.Errorf("%s is a data file %w: name another file", path, store.ErrInUse)
	case err != nil:
		return fmt.Errorf("%s exists and is no sound backup, so it is not replaced: name another file, or remove it", path)
	}
	return nil
}

// Compaction is what a compaction did.
type Compaction = store.Compaction

// CompactDataFile rewrites a data file that no daemon has open without its free
// pages.
func CompactDataFile(ctx context.Context, path string) (Compaction, error) {
	return store.Compact(ctx, path)
}

// Restored is what a restore found and did.
type Restored = store.Restored

// Restore puts a backup in the place of the config's data file, which no daemon has
// open. name is what messages call the backup. See [store.Restore].
func Restore(ctx context.Context, cfg config.Config, from io.Reader, name string, otherInstance, discardNewer bool) (Restored, error) {
	key, err := cfg.SealingKey()
	if err != nil {
		return Restored{}, err
	}
	return store.Restore(ctx, store.RestoreOptions{
		Path: cfg.DataFile(), From: from, Name: name, Key: key, OtherInstance: otherInstance, DiscardNewer: discardNewer,
	})
}
