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
	"syscall"
	"time"
)

// listen binds an address of the config; an empty one is off.
func (a *App) listen(setting, addr string, srv *http.Server) error {
	if addr == "" {
		return nil
	}
	ln, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %s is taken by another program (another plugbeat?): stop it, or choose another port", setting, addr)
	case err != nil:
		return fmt.Errorf("%s: %w", setting, err)
	}
	a.serveLater(setting, ln, srv)
	return nil
}

// listenSocket binds the local socket: file permissions are its access control,
// 0660 in a folder that init made 0700 or systemd gave the group.
func (a *App) listenSocket(srv *http.Server) error {
	path := a.cfg.Socket
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := clearSocket(path); err != nil {
		return err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return errors.Join(fmt.Errorf("socket: %w", err), ln.Close())
	}
	a.serveLater("socket", ln, srv)
	return nil
}

// clearSocket removes the socket a killed daemon left. The store's lock was taken
// before, so no other daemon of this data file is alive; a socket that somebody
// answers belongs to another, and a path that is no socket is left alone.
func clearSocket(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("socket: %w", err)
	case st.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("socket: %s is there and is no socket: move it away, or set another path", path)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return fmt.Errorf("socket: another plugbeat answers at %s: stop it, or set another path", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	return nil
}

func (a *App) serveLater(name string, ln net.Listener, srv *http.Server) {
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
		go func() {
			if err := l.http.Serve(l.ln); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", l.name, err)
			}
		}()
	}
	return failed
}

// shutdown ends the servers: requests under way may finish until ctx ends.
func (a *App) shutdown(ctx context.Context) {
	for _, l := range a.listeners {
		if err := l.http.Shutdown(ctx); err != nil {
			_ = l.http.Close()
		}
	}
}
