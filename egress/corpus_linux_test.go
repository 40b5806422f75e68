package egress

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"
)

// TestGuardCorpusInAWholeWorld runs the corpus again where a bypass is no matter of
// what the sender says of itself: in a network of its own in which every IPv4 and
// every IPv6 address there is leads to loopback, so that a trap accepts each
// connection made, whatever it is made to. There is no other way out.
func TestGuardCorpusInAWholeWorld(t *testing.T) {
	if os.Getenv(wholeWorld) != "" {
		t.Skip("this is the whole world")
	}
	run := func(flags uintptr) ([]byte, error) {
		cmd := exec.Command(os.Args[0], "-test.run=^(TestWholeWorld|TestGuardCorpus|TestRebinding)$", "-test.v", "-test.timeout=120s") //nolint:gosec // this test's own binary
		// getaddrinfo reads numbers as addresses in every base; Go does not.
		cmd.Env = append(os.Environ(), wholeWorld+"=1", "GODEBUG=netdns=cgo")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if flags&syscall.CLONE_NEWUSER != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		return cmd.CombinedOutput()
	}
	out, err := run(syscall.CLONE_NEWNET)
	if err != nil && len(out) == 0 { // not root
		out, err = run(syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER)
	}
	switch {
	case err != nil && (len(out) == 0 || bytes.Contains(out, []byte(noWorld))):
		t.Skipf("this machine gives no network of its own: %v %s", err, out)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "_test.go:") {
			t.Log(strings.TrimSpace(line[strings.Index(line, ": ")+2:]))
		}
	}
}

// noWorld is printed where the routes cannot be made.
const noWorld = "no whole world"

// TestWholeWorld makes the world, and shows that the trap sees what is dialled
// without the guard. It is the first test of its process.
func TestWholeWorld(t *testing.T) {
	if os.Getenv(wholeWorld) == "" {
		t.Skip("only in a process of TestGuardCorpusInAWholeWorld")
	}
	buildWorld(t)
	c := newCorpus(t)
	reached := 0
	for _, class := range classed {
		for text := range strings.FieldsSeq(class.addrs) {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort(text, c.port))
			if err != nil {
				continue // multicast, broadcast, link-local without a zone
			}
			if addrOf(conn.RemoteAddr()).String() == text || text == "0.0.0.0" || text == "::" {
				reached++
			}
			_ = conn.Close()
		}
	}
	for _, hidden := range []string{"64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::1", "2001:0:7f00:1::1", "::ffff:0:7f00:1", "::7f00:1", "2606::5efe:7f00:1"} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort(hidden, c.port))
		if err != nil {
			t.Logf("%s: %v", hidden, err)
			continue
		}
		reached++
		_ = conn.Close()
	}
	if reached < 45 {
		t.Fatalf("only %d of the refused addresses lead to the trap", reached)
	}
	addrs, err := (&net.Resolver{}).LookupHost(context.Background(), "0x7f.1")
	t.Logf("without the guard %d refused addresses lead to the trap; the system reads 0x7f.1 as %v %v", reached, addrs, err)
}

var world sync.Once

// buildWorld brings loopback up and routes everything to it.
func buildWorld(t *testing.T) {
	t.Helper()
	world.Do(func() {
		if err := loopbackUp(); err != nil {
			t.Fatal(noWorld, err)
		}
		for _, family := range []byte{syscall.AF_INET, syscall.AF_INET6} {
			if err := routeAll(family); err != nil {
				t.Fatal(noWorld, err)
			}
		}
	})
}

func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	var ifreq [40]byte
	copy(ifreq[:], "lo")
	binary.NativeEndian.PutUint16(ifreq[16:], syscall.IFF_UP|syscall.IFF_RUNNING)
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&ifreq[0]))); e != 0 {
		return fmt.Errorf("bring loopback up: %w", e)
	}
	return nil
}

// routeAll is "ip route add local default dev lo".
func routeAll(family byte) error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	e := binary.NativeEndian
	msg := make([]byte, 36)
	e.PutUint32(msg, 36)
	e.PutUint16(msg[4:], syscall.RTM_NEWROUTE)
	e.PutUint16(msg[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_ACK|syscall.NLM_F_CREATE)
	msg[16] = family
	msg[20], msg[21], msg[22], msg[23] = syscall.RT_TABLE_LOCAL, syscall.RTPROT_BOOT, syscall.RT_SCOPE_HOST, syscall.RTN_LOCAL
	e.PutUint16(msg[28:], 8)
	e.PutUint16(msg[30:], syscall.RTA_OIF)
	e.PutUint32(msg[32:], uint32(lo.Index)) //nolint:gosec // 1
	if err := syscall.Sendto(fd, msg, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, buf, 0)
	if err != nil || n < 20 {
		return fmt.Errorf("route everything to loopback: %d bytes, %w", n, err)
	}
	if code := int32(e.Uint32(buf[16:])); code != 0 { //nolint:gosec // an errno
		return fmt.Errorf("route everything to loopback: %w", syscall.Errno(-code))
	}
	return nil
}
