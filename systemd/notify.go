package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The assignments of sd_notify(3) that plugbeat uses.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Fed      = "WATCHDOG=1"
)

// Status is the assignment of the one line that systemctl status shows.
func Status(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}

// Extend is the assignment that asks for at least d more, from now, before the
// manager's patience with a start or a stop ends.
func Extend(d time.Duration) string {
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds())
}

// Notifier tells the service manager how the process fares, by sd_notify(3).
type Notifier struct {
	socket   *net.UnixAddr
	watchdog time.Duration
}

// NewNotifier returns the notifier of the manager that the environment names, and
// nil when it names none. The watchdog is off unless it is meant for this process.
func NewNotifier(env func(string) string) (*Notifier, error) {
	socket := env("NOTIFY_SOCKET")
	if socket == "" {
		return nil, nil
	}
	if socket[0] != '/' && socket[0] != '@' {
		return nil, fmt.Errorf("$NOTIFY_SOCKET %q: it is no path and no abstract socket", socket)
	}
	n := &Notifier{socket: &net.UnixAddr{Name: socket, Net: "unixgram"}}
	if us, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		if pid := env("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
			n.watchdog = time.Duration(us) * time.Microsecond
		}
	}
	return n, nil
}

// Watchdog is the time within which [Fed] has to be told again and again; 0 when
// the manager does not watch.
func (n *Notifier) Watchdog() time.Duration { return n.watchdog }

// Tell sends the assignments as one message.
func (n *Notifier) Tell(assignments ...string) error {
	c, err := net.DialUnix("unixgram", nil, n.socket)
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
