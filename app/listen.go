package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/config"
)

// listeners are the addresses that plugbeat serves at, and the requests that come in.
type listeners struct {
	log      zerolog.Logger
	list     []*served
	requests *requests
	serving  sync.WaitGroup
}

// served is a bound listener with the server that will speak on it.
type served struct {
	name string
	ln   net.Listener
	http *http.Server
}

// addr is the address that the listener of the name is bound to; empty when it is off.
func (l *listeners) addr(name string) string {
	for _, s := range l.list {
		if s.name == name {
			return s.ln.Addr().String()
		}
	}
	return ""
}

// own names the addresses that are listened at, where no request goes.
func (l *listeners) own() []netip.AddrPort {
	var own []netip.AddrPort
	for _, s := range l.list {
		if ap, err := netip.ParseAddrPort(s.ln.Addr().String()); err == nil {
			own = append(own, ap)
		}
	}
	return own
}

// tcp binds an address of the config; an empty one is off.
func (l *listeners) tcp(ctx context.Context, setting, addr string, srv *http.Server) error {
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
		return fmt.Errorf("%s: %s is no address of this machine (%w)%s: set it to one that is, such as 127.0.0.1 with a port",
			setting, addr, err, why)
	case err != nil:
		return fmt.Errorf("%s: %w", setting, err)
	}
	l.add(setting, ln, srv)
	return nil
}

// socketMode is the local socket's: file permissions are its access control, in a
// folder that init made 0700 or systemd gave the group.
const socketMode = 0o660

// unix binds the local socket.
func (l *listeners) unix(ctx context.Context, path string, srv *http.Server) error {
	if len(path) > config.MaxSocket {
		return fmt.Errorf("socket: %s has %d characters; allowed: at most %d, which is all that a unix socket's path may have",
			path, len(path), config.MaxSocket)
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
	l.add("socket", ln, srv)
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

// add has a bound listener served later.
func (l *listeners) add(name string, ln net.Listener, srv *http.Server) {
	srv.BaseContext = func(net.Listener) context.Context { return l.requests.ctx }
	srv.Handler = l.requests.counted(srv.Handler)
	l.list = append(l.list, &served{name: name, ln: ln, http: srv})
}

// close closes what was bound; listeners that a server closed already are no error.
func (l *listeners) close() error {
	var errs []error
	for _, s := range l.list {
		if err := s.ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// serve starts every server. The channel yields the first that ends by itself.
func (l *listeners) serve() <-chan error {
	failed := make(chan error, len(l.list))
	for _, s := range l.list {
		l.serving.Go(func() {
			if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", s.name, err)
			}
		})
	}
	return failed
}

// cutTime is how long requests that were cut off may take to notice.
const cutTime = 5 * time.Second

// shutdown ends the servers: requests under way may finish until ctx ends, and are
// then cut off. No handler runs when it returns, or it is told which had to be left.
func (l *listeners) shutdown(ctx context.Context) {
	for _, s := range l.list {
		if err := s.http.Shutdown(ctx); err != nil {
			_ = s.http.Close()
		}
	}
	l.serving.Wait()
	l.requests.cut()
	if n := l.requests.wait(cutTime); n > 0 {
		l.log.Error().Str("event", "daemon.cut").Int("requests", n).Msg("requests do not end and are left")
	}
}
