//go:build unix

package terminal

import (
	"io/fs"
	"syscall"
)

// OwnerOf returns the ids of a file's owner and group.
func OwnerOf(_ string, info fs.FileInfo) (uid, gid int) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(st.Uid), int(st.Gid)
}
