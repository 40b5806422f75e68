package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"plugbeat/config"
)

// listen binds an address of the config; an empty one is off.
func (a *App) listen(ctx context.Context, setting, addr string, srv *http.Server) error {
	if addr == "" {
		return nil
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %s is taken by another program (another plugbeat?): stop it, or choose another port", setting, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		why := ""
		if strings.HasPrefix(addr, "[") {
			why = "; is IPv6 switched off?"
		}
		return fmt.Errorf("%s: %s is no address of this machine (%w)%s: set it to one that is, such as 127.0.0.1 with a port", setting, addr, err, why)
	case err != nil:
		return fmt.Errorf("%s: %w", setting, err)
	}
	a.serveLater(setting, ln, srv)
	return nil
}

// socketMode is the local socket's: file permissions are its access control, in a
// folder that init made 0700 or systemd gave the group.
const socketMode = 0o660

// listenSocket binds the local socket.
func (a *App) listenSocket(ctx context.Context, srv *http.Server) error {
	path := a.cfg.Socket
	if len(path) > config.MaxSocket {
		return fmt.Errorf("socket: %s has %d characters; allowed: at most %d, which is all that a unix socket's path may have", path, len(path), config.MaxSocket)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := clearSocket(ctx, path); err != nil {
		return err
	}
	ln, err := listenUnix(ctx, path)
	if err != nil {
		return fmt.Errorf("socket %s: %w", path, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return errors.Join(fmt.Errorf("socket: %w", err), ln.Close())
	}
	a.serveLater("socket", ln, srv)
	return nil
}

// clearSocket removes the socket a killed daemon left. The store's lock was taken
// before, so no other daemon of this data file is alive. Only a socket that nobody
// listens at is removed: one that answers, or that cannot be asked, may be
// another's, and a path that is no socket is left alone.
func clearSocket(ctx context.Context, path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("socket: %w", err)
	case st.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("socket: %s is there and is no socket: move it away, or set another path", path)
	}
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = c.Close()
		return fmt.Errorf("socket: another plugbeat answers at %s: stop it, or set another path", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("socket: %s may be in use by another program: %w; remove it if it is not, or set another path", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	return nil
}

func (a *App) serveLater(name string, ln net.Listener, srv *http.Server) {
	srv.BaseContext = func(net.Listener) context.Context { return a.requests.ctx }
	srv.Handler = a.requests.counted(srv.Handler)
	a.listeners = append(a.listeners, &served{name: name, ln: ln, http: srv})
	a.onClose(name, func() error {
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
}

// serve starts every server. The channel yields the first that ends by itself.
func (a *App) serve() <-chan error {
	failed := make(chan error, len(a.listeners))
	for _, l := range a.listeners {
		a.serving.Go(func() {
			if err := l.http.Serve(l.ln); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", l.name, err)
			}
		})
	}
	return failed
}

// cutTime is how long requests that were cut off may take to notice.
const cutTime = 5 * time.Second

// shutdown ends the servers: requests under way may finish until ctx ends, and are
// then cut off. No handler runs when it returns, or it is told which had to be left.
func (a *App) shutdown(ctx context.Context) {
	for _, l := range a.listeners {
		if err := l.http.Shutdown(ctx); err != nil {
			_ = l.http.Close()
		}
	}
	a.serving.Wait()
	a.requests.cut()
	if n := a.requests.wait(cutTime); n > 0 {
		a.log.Error().Str("event", "daemon.cut").Int("requests", n).Msg("requests do not end and are left")
	}
}
