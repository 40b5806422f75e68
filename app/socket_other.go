//go:build !unix

package app

import (
	"context"
	"net"
)

// listenUnix binds the socket; the folder's permissions guard it.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}
