package delivery

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	"plugbeat/egress"
)

// trace notes how far a request came: the name that is looked up, the address that was
// dialled last, and whether a connection, with TLS where the URI asks for it, came about.
// net/http may use a second connection for a request; trace then tells of that one alone.
type trace struct {
	mu        sync.Mutex
	name      string
	address   string
	before    string // the address that was dialled before
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
		ConnectStart: func(_, address string) { note(func() { t.before, t.address = t.address, address }) },
		ConnectDone: func(_, address string, err error) {
			note(func() {
				if t.address == address && egress.NotDialled(err) {
					t.address = t.before
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

// came returns the address of the connection, or else the last one that was dialled, and
// whether the request had its connection. An address that the guard refused was not dialled.
func (t *trace) came() (address string, connected bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.address, t.connected
}
