//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package store

import (
	"io/fs"
	"os"
)

// lock does nothing where there is no such lock; opening takes the system's own.
func lock(*os.File) error { return nil }

// unlock does nothing where closing a file ends its locks.
func unlock(*os.File) {}

// inherit does nothing where files have no such owners.
func inherit(string, fs.FileInfo) error { return nil }
