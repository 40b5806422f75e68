package store

import "syscall"

// fileSystem returns what an unprivileged user may still take of the directory's
// file system, its size, and whether it takes no writes. Zeroes mean not known.
func fileSystem(dir string) (free, total int64, readOnly bool) {
	const stReadOnly = 1 // ST_RDONLY of statfs(2)
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, false
	}
	block := int64(st.Frsize)
	if block == 0 {
		block = int64(st.Bsize)
	}
	return int64(st.Bavail) * block, int64(st.Blocks) * block, int64(st.Flags)&stReadOnly != 0
}

// sameFileSystem reports whether two directories lie on one file system.
func sameFileSystem(a, b string) bool {
	var sa, sb syscall.Stat_t
	return syscall.Stat(a, &sa) == nil && syscall.Stat(b, &sb) == nil && sa.Dev == sb.Dev
}
