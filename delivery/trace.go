package delivery

import (
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"sync"
	"time"

	"plugbeat/egress"
)

// trace notes how far a request came: the name that is looked up, the addresses that
// were dialled, and whether a connection, with TLS where the URI asks for it, came
// about. net/http may use a second connection for a request; trace then tells of that
// one alone.
type trace struct {
	mu        sync.Mutex
	name      string
	tried     []string
	address   string
	connected bool
}

// follow returns a context under which a request notes itself in the trace.
func (t *trace) follow(ctx context.Context) context.Context {
	note := func(change func()) {
		t.mu.Lock()
		defer t.mu.Unlock()
		change()
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { note(func() { t.connected = false }) },
		DNSStart:     func(i httptrace.DNSStartInfo) { note(func() { t.name = i.Host }) },
		DNSDone:      func(httptrace.DNSDoneInfo) { note(func() { t.name = "" }) },
		ConnectStart: func(_, address string) { note(func() { t.address = address }) },
		ConnectDone: func(_, address string, err error) {
			note(func() {
				switch {
				case !egress.NotDialled(err):
					t.tried = append(t.tried, address)
				case t.address == address && len(t.tried) > 0:
					t.address = t.tried[len(t.tried)-1]
				case t.address == address:
					t.address = ""
				}
			})
		},
		GotConn: func(c httptrace.GotConnInfo) {
			note(func() { t.address, t.connected = c.Conn.RemoteAddr().String(), true })
		},
	})
}

// late is the error of a request whose time is over.
func (t *trace) late(after time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.name != "" && !t.connected {
		return &net.DNSError{Err: errTimeout{after: after}.Error(), Name: t.name, IsTimeout: true}
	}
	return errTimeout{after: after, connected: t.connected}
}

// dialled returns the address of the connection, or else the last one that was dialled,
// and every address that was. One that the guard refused was not.
func (t *trace) dialled() (last string, all []netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.tried {
		if ap, err := netip.ParseAddrPort(a); err == nil {
			all = append(all, ap.Addr())
		}
	}
	return t.address, all
}

// reached reports whether the request had its connection.
func (t *trace) reached() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.connected
}
