package faults

import (
	"net"
	"syscall"
	"testing"
)

// Hole returns the host:port of a listener that takes no connection any more, as an
// address behind a firewall that drops what it is sent: connecting neither succeeds
// nor fails.
func Hole(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	in, ok := sa.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatal("no IPv4 address")
	}
	addr := net.TCPAddr{IP: in.Addr[:], Port: in.Port}
	// The queue of one is filled, and nobody takes from it.
	c, err := net.DialTCP("tcp", nil, &addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return addr.String()
}
