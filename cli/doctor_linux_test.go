package cli

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// TestListenerOf holds that who has a port is named: here it is the test itself.
func TestListenerOf(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", at)
		if err != nil {
			t.Logf("%s: %v", at, err) // a machine without IPv6
			continue
		}
		port := ln.Addr().(*net.TCPAddr).Port
		if got := listenerOf(uint16(port)); !strings.HasPrefix(got, fmt.Sprintf("process %d (", os.Getpid())) {
			t.Errorf("%s: %q", at, got)
		}
		_ = ln.Close()
		if got := listenerOf(uint16(port)); got != "" {
			t.Errorf("nobody listens: %q", got)
		}
	}
}

func TestDiskOf(t *testing.T) {
	d, err := diskOf(t.TempDir())
	if err != nil || d.total <= 0 || d.free > d.total || d.readOnly {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := diskOf("/no/such/place"); err == nil {
		t.Error("a path that is not there")
	}
	if d, err := diskOf("/dev/shm"); err == nil && d.kind != "tmpfs" {
		t.Logf("/dev/shm is on %q", d.kind)
	}
}
