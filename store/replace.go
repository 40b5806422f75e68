package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Every file that this package makes is made beside the place where it goes, under a
// temporary name, flushed, and given its name when it is whole: see tempBeside, and
// replace and linkOrRename for the last step.

// resolved is where the data file really lies: a link to it stays a link.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// nextPattern is the temporary name of what is about to replace the data file at path.
// Whoever has the data file's lock may remove what has such a name.
func nextPattern(path string) string { return "." + filepath.Base(path) + ".next-*" }

// newPattern is the temporary name of a file that is made without a lock: a first data
// file or a backup.
func newPattern(path string) string { return "." + filepath.Base(path) + ".new-*" }

// tempBeside makes a file beside path, mode 0600, and flushes it. Nothing is left of it
// after an error.
func tempBeside(path string, pattern func(path string) string, fill func(*os.File) error) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), pattern(path))
	if err != nil {
		return "", err
	}
	if err := errors.Join(fill(f), f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// clearTemps removes what a killed process could not end. The caller holds the lock of
// the data file. A file of newPattern may be one that another process is making, unless
// it is old.
func clearTemps(path string) {
	dir := filepath.Dir(path)
	left, _ := filepath.Glob(filepath.Join(dir, nextPattern(path))) // the patterns are well-formed
	half, _ := filepath.Glob(filepath.Join(dir, newPattern(path)))
	for _, name := range half {
		if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > time.Hour {
			left = append(left, name)
		}
	}
	for _, name := range left {
		_ = os.Remove(name) // what stays is only space
	}
}

// replacement is how a file takes the place of the data file.
type replacement struct {
	temp, path string
	// info is of the data file that is there, or of its folder where there is none. The
	// new file gets its owner, and a data file's mode too.
	info fs.FileInfo
	// keep is the label of the name that the replaced file keeps, path.label-TIME; empty
	// for none.
	keep string
	now  time.Time
	// flushFolder is [flushFolder], but for tests.
	flushFolder func(dir string) error
}

// do puts the new file in its place. At every moment there is the one file or the other
// at path, also after a power cut. kept is the name that the replaced file keeps. An
// error means that nothing was done; a warning, that it was done and the folder could
// not be flushed.
func (r replacement) do() (kept, warning string, err error) {
	if err := inherit(r.temp, r.info); err != nil {
		return "", "", err
	}
	if !r.info.IsDir() {
		if err := os.Chmod(r.temp, r.info.Mode().Perm()); err != nil {
			return "", "", err
		}
	}
	if err := flush(r.temp); err != nil {
		return "", "", err
	}
	if r.info.IsDir() {
		err := linkOrRename(r.temp, r.path)
		if errors.Is(err, fs.ErrExist) {
			return "", "", fmt.Errorf("%s came to be meanwhile: is a daemon starting? stop it", r.path)
		}
		if err != nil {
			return "", "", err
		}
		return "", unflushed(r.flushFolder, r.path), nil
	}
	if r.keep != "" {
		if kept, err = keepAs(r.path, r.keep, r.now); err != nil {
			return "", "", fmt.Errorf("keep the older file: %w", err)
		}
	}
	if err := os.Rename(r.temp, r.path); err != nil {
		return "", "", err
	}
	return kept, unflushed(r.flushFolder, r.path), nil
}

// linkOrRename gives the file temp the name path, which should be free. A link never
// replaces: it fails with fs.ErrExist. Where the file system has no links, a rename does.
func linkOrRename(temp, path string) error {
	if err := os.Link(temp, path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(temp, path)
}

// keepAs gives a file a second name that nothing has; where the file system has no
// links it makes a copy.
func keepAs(path, label string, now time.Time) (kept string, err error) {
	for n := 1; ; n++ {
		kept = fmt.Sprintf("%s.%s-%s", path, label, now.UTC().Format("20060102T150405Z"))
		if n > 1 {
			kept += fmt.Sprintf("-%d", n)
		}
		if _, err := os.Lstat(kept); err == nil {
			continue
		}
		err := os.Link(path, kept)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			err = copyPlain(path, kept)
		}
		return kept, err
	}
}

// copyPlain copies a file byte by byte under a name that nothing has.
func copyPlain(from, to string) error {
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(copyInto(dst, from), dst.Sync(), dst.Close()); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// copyInto copies a file byte by byte into another.
func copyInto(dst io.Writer, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	_, err = io.Copy(dst, src)
	return err
}

// flush flushes a file to disk.
func flush(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// flushFolder flushes a folder, so that a new name in it survives a power cut.
func flushFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(flushable(d.Sync()), d.Close())
}

// flushable is err, but for a file system that flushes no folders, as some network
// shares: it writes names as it sees fit, and nobody can do more.
func flushable(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// unflushed flushes the folder of a file that has just got its name, and says in words
// when that fails. The file is in its place all the same.
func unflushed(flushFolder func(dir string) error, path string) (warning string) {
	if err := flushFolder(filepath.Dir(path)); err != nil {
		return fmt.Sprintf("%s is in its place, but its folder could not be flushed to disk (%v): after a power cut it may be missing there",
			path, err)
	}
	return ""
}
