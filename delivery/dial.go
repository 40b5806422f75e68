package delivery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxDials bounds how many addresses of one name a request tries: more would make
// us a scanner for whoever writes the name's records.
const maxDials = 16

var errManyAddresses = errors.New("too many addresses")

// Transport returns connections of their own that pass the guard: none through a
// proxy, headers capped, bodies as they come and never inflated. Consent tells of a
// host:port that was asked for whether it may be at a private or loopback address.
// Connect bounds the making of a connection and, once more, its TLS.
func (g *Guard) Transport(consent func(asked string) bool, connect time.Duration) *http.Transport {
	return &http.Transport{
		Proxy: nil, // never from the environment: behind a proxy the check sees only the proxy
		DialContext: func(ctx context.Context, network, asked string) (net.Conn, error) {
			return g.dial(ctx, network, asked, consent(asked), connect)
		},
		TLSHandshakeTimeout:    connect,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

func (g *Guard) dial(ctx context.Context, network, asked string, allowPrivate bool, timeout time.Duration) (net.Conn, error) {
	at, ok := ctx.Value(dialledKey{}).(*dialled)
	if !ok {
		at = &dialled{}
	}
	var n atomic.Int32
	d := net.Dialer{Timeout: timeout, Resolver: g.resolver, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		if err := g.Check(address, asked, allowPrivate); err != nil {
			return err
		}
		if n.Add(1) > maxDials {
			return errManyAddresses
		}
		at.set(address)
		if g.dialling != nil {
			return g.dialling(address)
		}
		return nil
	}}
	c, err := d.DialContext(ctx, network, asked)
	many := n.Load() > maxDials
	if _, denied := errors.AsType[*DeniedError](err); denied && n.Swap(0) > 0 {
		// The error is the first address's. What those say that were dialled is more
		// to the point, so the last of them says it again.
		last, _ := at.get()
		c, err = d.DialContext(ctx, network, last)
	}
	if err != nil && many {
		err = fmt.Errorf("%w; its name has more addresses, of which no more than %d are tried", err, maxDials)
	}
	return c, err
}

// dialled is where a request notes how far it came: the name it looks up now, the
// addresses it tried and the last of them, whether it has a connection.
type dialled struct {
	mu        sync.Mutex
	name      string
	address   string
	tried     []netip.Addr
	connected bool
}

type dialledKey struct{}

func (d *dialled) lookup(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.name = name
}

func (d *dialled) connect(a string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.address, d.connected = a, true
}

// late is the error of a request whose time is over.
func (d *dialled) late(after time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.name != "" && !d.connected {
		return &net.DNSError{Err: errTimeout{after: after}.Error(), Name: d.name, IsTimeout: true}
	}
	return errTimeout{after: after, connected: d.connected}
}

func (d *dialled) set(a string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.address = a
	if ap, err := netip.ParseAddrPort(a); err == nil {
		d.tried = append(d.tried, ap.Addr())
	}
}

func (d *dialled) get() (last string, tried []netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.address, append([]netip.Addr(nil), d.tried...)
}
