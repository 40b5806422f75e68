package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"plugbeat/cli/terminal"
)

// unfinished is the name of a file that is being written.
const unfinished = ".plugbeat-new-*"

// RemoveUnfinished removes what a crash left of files that were being written in a folder.
func RemoveUnfinished(dir string) error {
	left, _ := filepath.Glob(filepath.Join(dir, unfinished)) // the pattern is well-formed
	for _, file := range left {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

// Rewrite replaces the text of a file that is there, whole or not at all. Its owner, its mode and
// a link that leads to it stay.
func Rewrite(path string, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	uid, gid := terminal.OwnerOf(path, info)
	return PutFile(path, text, info.Mode().Perm(), uid, gid, true)
}

// PutFile writes a file whole or not at all, and durably: it is made beside its place and
// then takes it. Unless replace is true a file that is there stays, and the error is
// [fs.ErrExist]. Its owner is left to the system where uid is negative.
func PutFile(path string, text []byte, mode fs.FileMode, uid, gid int, replace bool) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, unfinished)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if uid >= 0 {
		err = errors.Join(err, f.Chown(uid, gid))
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	switch {
	case err != nil:
	case replace:
		err = os.Rename(f.Name(), path)
	default:
		err = os.Link(f.Name(), path) // unlike a rename, it never replaces what is there
	}
	if err == nil {
		err = SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// SyncDir makes durable what was made in a folder, or removed from it.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
