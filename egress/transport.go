package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxDials bounds how many addresses of one name a connection tries. Without it
	// plugbeat would scan ports for whoever writes the name's records.
	maxDials = 16
	// maxHeaderBytes is far above what any answer needs.
	maxHeaderBytes = 64 << 10
)

var errManyAddresses = errors.New("too many addresses")

// NotDialled reports whether err says that an address was not dialled: the guard
// refused it, or the name has too many.
func NotDialled(err error) bool {
	_, denied := errors.AsType[*DeniedError](err)
	return denied || errors.Is(err, errManyAddresses)
}

// Transport returns connections of their own whose every address the guard checks as
// it is dialled. They go through no proxy of the environment, for behind a proxy the
// guard would see only the proxy. The answer's headers are bounded, and its body is
// never inflated.
//
// consent is asked with the host:port as it was before resolution, whether it may be
// at a private or loopback address. connect bounds the making of a connection and,
// once more, its TLS handshake.
func (g *Guard) Transport(consent func(asked string) bool, connect time.Duration) *http.Transport {
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, network, asked string) (net.Conn, error) {
			return g.dial(ctx, network, asked, consent(asked), connect)
		},
		TLSHandshakeTimeout:    connect,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// RepeatOnNew returns a context for one request that net/http may repeat because a kept
// connection drops it before the first byte of an answer. The other kept connections are
// closed before that. So the request is made once more, on a new connection; net/http
// repeats none that a new connection drops.
func RepeatOnNew(ctx context.Context, connections interface{ CloseIdleConnections() }) context.Context {
	var wanted atomic.Int32
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) {
		if wanted.Add(1) > 1 {
			connections.CloseIdleConnections()
		}
	}})
}

func (g *Guard) dial(ctx context.Context, network, asked string, allowPrivate bool, timeout time.Duration) (net.Conn, error) {
	var passed atomic.Int32
	d := net.Dialer{Timeout: timeout, Resolver: g.resolver}
	d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		if err := g.Check(address, asked, allowPrivate); err != nil {
			return err
		}
		if passed.Add(1) > maxDials {
			return errManyAddresses
		}
		if g.dialling != nil {
			return g.dialling(address)
		}
		return nil
	}
	return g.connect(ctx, d, network, asked)
}

// connect dials the addresses of asked, one after the other where its name is under .local.
func (g *Guard) connect(ctx context.Context, d net.Dialer, network, asked string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(asked)
	if err != nil || g.local == nil || !IsLocal(host) {
		return d.DialContext(ctx, network, asked)
	}
	looking, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	found, err := g.local(looking, host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	err = &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no address", Name: host, IsNotFound: true}}
	for _, a := range found {
		var c net.Conn
		if c, err = d.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// IsLocal reports whether a host is a name under .local, which is mDNS's.
func IsLocal(host string) bool {
	return strings.HasSuffix(strings.TrimSuffix(strings.ToLower(host), "."), ".local")
}
