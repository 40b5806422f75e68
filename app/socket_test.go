//go:build unix

package app

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The socket is never open to others, not even between its binding and the next
// line of the program.
func TestSocketIsBornClosed(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	was := syscall.Umask(0)
	defer syscall.Umask(was)
	ln, err := listenUnix(t.Context(), path)
	must(t, err)
	defer func() { _ = ln.Close() }()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != socketMode {
		t.Errorf("as it is bound its mode is %v, %v", st.Mode(), err)
	}
}
