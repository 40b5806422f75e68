//go:build linux || darwin || freebsd || netbsd || openbsd

package store

import (
	"io/fs"
	"os"
	"syscall"
)

// lock takes the lock that bbolt takes, or fails at once.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// unlock lets go of a file that bbolt locked before it panicked. Closing is not
// enough, because the mapping that is left behind keeps the lock alive.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

// inherit gives a file the owner that another file or directory has, where this
// process may.
func inherit(path string, from fs.FileInfo) error {
	st, ok := from.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, int(st.Uid), int(st.Gid))
}
