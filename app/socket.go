//go:build unix

package app

import (
	"context"
	"net"
	"syscall"
)

// listenUnix binds a socket that nobody but owner and group could ever open: with
// the mode set only afterwards there would be a moment for others.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	was := syscall.Umask(0o777 &^ socketMode)
	defer syscall.Umask(was)
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}
