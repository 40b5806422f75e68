package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// resolved is where the data file really lies: a link to it stays a link.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// tempPattern is the name, beside the data file, of what is about to replace it.
// Whoever has the data file's lock may remove what has such a name.
func tempPattern(path string) string { return "." + filepath.Base(path) + ".next-*" }

// tempBeside makes a file that is to replace the one at path, mode 0600, and
// flushes it. Nothing is left of it after an error.
func tempBeside(path string, fill func(*os.File) error) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern(path))
	if err != nil {
		return "", err
	}
	if err := errors.Join(fill(f), f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// clearTemps removes what a killed process could not end. The caller holds the lock
// of the data file. What a first start makes (create) may be another's that is at
// it, unless it is old.
func clearTemps(path string) {
	dir := filepath.Dir(path)
	left, _ := filepath.Glob(filepath.Join(dir, tempPattern(path))) // the patterns are well-formed
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

// newPattern is the name, beside a file, of what is to become that file.
func newPattern(path string) string { return "." + filepath.Base(path) + ".new-*" }

// replaceFile puts temp in the place of path, with the owner and mode of info: of
// the file that is there, or of the directory where there is none. What is there
// keeps a second name, path.label-TIME, unless label is empty. At every moment
// there is the one file or the other at path, also after a power cut.
func replaceFile(temp, path string, info fs.FileInfo, label string, now time.Time) (kept string, err error) {
	if err := inherit(temp, info); err != nil {
		return "", err
	}
	if !info.IsDir() {
		if err := os.Chmod(temp, info.Mode().Perm()); err != nil {
			return "", err
		}
	}
	if err := syncPath(temp); err != nil {
		return "", err
	}
	if info.IsDir() {
		// A link, unlike a rename, never replaces; some file systems have none.
		err := os.Link(temp, path)
		if errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("%s came to be meanwhile: is a daemon starting? stop it", path)
		}
		if err == nil {
			return "", syncDir(filepath.Dir(path))
		}
	} else if label != "" {
		if kept, err = keepAs(path, label, now); err != nil {
			return "", fmt.Errorf("keep the older file: %w", err)
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return "", err
	}
	return kept, syncDir(filepath.Dir(path))
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
func copyPlain(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err = errors.Join(err, dst.Sync(), dst.Close()); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}
