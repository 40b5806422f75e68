package systemd

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// Messages arrive whole, at a path and at an abstract socket.
func TestNotifier(t *testing.T) {
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, socket := range []string{filepath.Join(dir, "notify"), "@plugbeat-test-" + strconv.Itoa(os.Getpid())} {
		ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		n, err := NewNotifier(env(map[string]string{"NOTIFY_SOCKET": socket}))
		if err != nil || n == nil {
			t.Fatal(n, err)
		}
		if err := n.Tell(Ready, Fed, Status("two\nlines"), Extend(90*time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 200)
		if err := ln.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		k, err := ln.Read(b)
		if got := string(b[:k]); err != nil || got != "READY=1\nWATCHDOG=1\nSTATUS=two lines\nEXTEND_TIMEOUT_USEC=90000000" {
			t.Errorf("%s: %q, %v", socket, got, err)
		}
		_ = ln.Close()
		if err := n.Tell(Ready); err == nil {
			t.Error("nobody was told, and no error")
		}
	}
}

func TestNotifierFromEnvironment(t *testing.T) {
	own, other := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())
	for _, c := range []struct {
		vars     map[string]string
		none     bool
		watchdog time.Duration
	}{
		{vars: map[string]string{}, none: true},
		{vars: map[string]string{"WATCHDOG_USEC": "1000"}, none: true},
		{vars: map[string]string{"NOTIFY_SOCKET": "/s"}},
		{vars: map[string]string{"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "60000000"}, watchdog: time.Minute},
		{vars: map[string]string{"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": own}, watchdog: time.Minute},
		{vars: map[string]string{"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": other}},
		{vars: map[string]string{"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "never"}},
	} {
		n, err := NewNotifier(env(c.vars))
		if err != nil || (n == nil) != c.none || n != nil && n.Watchdog() != c.watchdog {
			t.Errorf("%v: %+v, %v", c.vars, n, err)
		}
	}
	if _, err := NewNotifier(env(map[string]string{"NOTIFY_SOCKET": "vsock:2:1"})); err == nil {
		t.Error("a socket of another kind was taken")
	}
}
