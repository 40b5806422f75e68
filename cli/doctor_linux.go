package cli

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Magic numbers of file systems, statfs(2).
var fileSystems = map[int64]string{
	0x6969: "nfs", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x517b: "smb", 0x01021997: "9p", 0x65735546: "fuse", 0x00c36400: "ceph", 0x5346414f: "afs", 0x0bd00bd0: "lustre",
	0x01021994: "tmpfs", 0x858458f6: "ramfs",
}

// diskOf tells of the file system that holds the path.
func diskOf(path string) (d disk, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return d, err
	}
	size := int64(st.Bsize)                                        //nolint:unconvert // it is not an int64 everywhere
	d.free, d.total = int64(st.Bavail)*size, int64(st.Blocks)*size //nolint:gosec // far below the most
	d.files, d.freeFiles = st.Files, st.Ffree
	const readOnly = 0x1
	d.readOnly = st.Flags&readOnly != 0
	d.kind = fileSystems[int64(st.Type)&0xffffffff] //nolint:unconvert // it is not an int64 everywhere
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

// listenerOf names the process that listens at the port, as far as we may look: a
// process of another user is seen by root only.
func listenerOf(port uint16) string {
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listening(file, port, inodes)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well-formed
	for _, l := range links {
		to, err := os.Readlink(l)
		if err != nil {
			continue
		}
		inode, ok := strings.CutPrefix(to, "socket:[")
		if !ok || !inodes[strings.TrimSuffix(inode, "]")] {
			continue
		}
		pid := strings.Split(l, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf("process %s (%s)", pid, clean(strings.TrimSpace(string(name))))
	}
	return ""
}

// listening notes the inodes of the sockets that listen at the port.
func listening(file string, port uint16, inodes map[string]bool) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		w := strings.Fields(lines.Text())
		if len(w) < 10 || w[3] != "0A" { // LISTEN
			continue
		}
		_, p, _ := strings.Cut(w[1], ":") // as hex
		if n, err := strconv.ParseUint(p, 16, 16); err == nil && uint16(n) == port {
			inodes[w[9]] = true
		}
	}
}
