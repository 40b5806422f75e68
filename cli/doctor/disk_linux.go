package doctor

import (
	"syscall"
)

// Magic numbers of file systems, statfs(2).
var fileSystems = map[int64]string{
	0x6969: "nfs", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x517b: "smb", 0x01021997: "9p",
	0x65735546: "fuse", 0x00c36400: "ceph", 0x5346414f: "afs", 0x0bd00bd0: "lustre",
	0x01021994: "tmpfs", 0x858458f6: "ramfs",
}

// diskOf tells of the file system that holds the path.
func diskOf(path string) (d Disk, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return d, err
	}
	size := int64(st.Bsize)                                        //nolint:unconvert // it is not an int64 everywhere
	d.Free, d.Total = int64(st.Bavail)*size, int64(st.Blocks)*size //nolint:gosec // far below the most
	d.Files, d.FreeFiles = st.Files, st.Ffree
	const readOnly = 0x1
	d.ReadOnly = st.Flags&readOnly != 0
	d.Kind = fileSystems[int64(st.Type)&0xffffffff] //nolint:unconvert // it is not an int64 everywhere
	return d, nil
}

// clockSynchronised reports whether the kernel's clock is kept by a time service;
// known is false where the kernel does not say.
func clockSynchronised() (yes, known bool) {
	var t syscall.Timex
	const unsynchronised = 0x40 // STA_UNSYNC
	if _, err := syscall.Adjtimex(&t); err != nil {
		return false, false
	}
	return t.Status&unsynchronised == 0, true
}
