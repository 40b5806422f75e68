package delivery

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"plugbeat/webhook"
)

// Guard is the one check that every request out passes: on the address that is
// really dialled, after name resolution, for each address tried. It is safe for
// concurrent use.
type Guard struct {
	private, loopback bool
	prefixes          []netip.Prefix
	hosts             map[string]bool // host:port, lower case
	// resolver is nil, for the system's, and online the function of that name;
	// tests put their own there.
	resolver *net.Resolver
	online   func() bool
	// answered is when any receiver at a public address last answered, in unix
	// nanoseconds.
	answered atomic.Int64

	mu  sync.RWMutex
	own []netip.AddrPort
}

// DeniedError is a refused address. It names the address, its class and the
// setting that would allow it, if one does.
type DeniedError struct {
	Address string
	Class   string
	// Setting is empty where nothing allows the address.
	Setting string
}

// Error implements error.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("address %s is refused: %s", e.Address, e.Class)
}

func (e *DeniedError) advice() string {
	if e.Setting == "" {
		return "plugbeat never sends there; no setting allows it"
	}
	return "to allow it, " + e.Setting
}

const allowedEntries = `a CIDR (192.168.1.0/24), an IP, host:port, "loopback" or "private"`

// NewGuard returns a guard with the entries of delivery.allow.
func NewGuard(allow []string) (*Guard, error) {
	g := &Guard{hosts: map[string]bool{}, online: online}
	for i, entry := range allow {
		if err := g.allow(entry); err != nil {
			return nil, &webhook.Invalid{Field: "delivery.allow[" + strconv.Itoa(i) + "]", Value: entry, Allowed: allowedEntries, Why: err.Error()}
		}
	}
	return g, nil
}

func (g *Guard) allow(entry string) error {
	switch entry {
	case "loopback":
		g.loopback = true
		return nil
	case "private":
		g.private = true
		return nil
	}
	never := func(a netip.Addr) error {
		if c := classify(a); c >= classMetadata {
			return fmt.Errorf("%s addresses are never allowed", c)
		}
		return nil
	}
	if p, err := netip.ParsePrefix(entry); err == nil {
		if p.Addr().Is4In6() {
			return fmt.Errorf("write it as IPv4")
		}
		// A wide prefix may hold refused addresses: they stay refused.
		if p.IsSingleIP() {
			if err := never(p.Addr()); err != nil {
				return err
			}
		}
		g.prefixes = append(g.prefixes, p.Masked())
		return nil
	}
	if a, err := netip.ParseAddr(entry); err == nil {
		a = a.Unmap()
		if err := never(a); err != nil {
			return err
		}
		g.prefixes = append(g.prefixes, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	host, port, err := net.SplitHostPort(entry)
	if err != nil || host == "" || strings.ContainsAny(host, "/ *") {
		return fmt.Errorf("it is none of these")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("its port is not 1 to 65535")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if err := never(a); err != nil {
			return err
		}
	}
	g.hosts[strings.ToLower(entry)] = true
	return nil
}

// SetOwn names plugbeat's own listeners, which no webhook may reach. It is
// called once they are bound, and may be called again.
func (g *Guard) SetOwn(listeners []netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own = append([]netip.AddrPort(nil), listeners...)
}

// Check returns a *[DeniedError] when a request may not go to the address.
// Target is the host:port that was asked for before it was resolved.
func (g *Guard) Check(address, target string, allowPrivate bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &DeniedError{Address: clean(address), Class: "unreadable"}
	}
	ip := ap.Addr().Unmap()
	c := classify(ap.Addr())
	if c >= classMetadata {
		return &DeniedError{Address: address, Class: c.String()}
	}
	if g.isOwn(netip.AddrPortFrom(ip, ap.Port())) {
		return &DeniedError{Address: address, Class: "plugbeat's own listener"}
	}
	if c == classPublic || allowPrivate {
		return nil
	}
	if c == classPrivate && g.private || c == classLoopback && g.loopback || g.hosts[strings.ToLower(target)] || g.hosts[strings.ToLower(address)] {
		return nil
	}
	for _, p := range g.prefixes {
		if p.Contains(ip) {
			return nil
		}
	}
	return &DeniedError{Address: address, Class: c.String(),
		Setting: "add the webhook with --allow-private, or list " + address + " in delivery.allow"}
}

// isOwn reports whether the address reaches one of our listeners: a loopback
// address at a port of ours, or an address of this machine.
func (g *Guard) isOwn(ap netip.AddrPort) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, o := range g.own {
		switch {
		case o.Port() != ap.Port():
		case o.Addr().Unmap() == ap.Addr(), ap.Addr().IsLoopback():
			return true
		case o.Addr().IsUnspecified() && local(ap.Addr()):
			return true
		}
	}
	return false
}

// local reports whether the address is one of this machine's.
func local(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // refuse what cannot be told
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == ip {
				return true
			}
		}
	}
	return false
}

// dialled is where a request notes how far it came: the name it looks up now, the
// address it tried last, whether it has a connection.
type dialled struct {
	mu        sync.Mutex
	name      string
	address   string
	connected bool
}

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
}

func (d *dialled) get() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.address
}

type dialledKey struct{}

// dialer returns a dial function that passes every address through the guard.
func (g *Guard) dialer(allowPrivate bool, timeout time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, target string) (net.Conn, error) {
		d := net.Dialer{Timeout: timeout, Resolver: g.resolver, ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
			if err := g.Check(address, target, allowPrivate); err != nil {
				return err
			}
			if at, ok := ctx.Value(dialledKey{}).(*dialled); ok {
				at.set(address)
			}
			return nil
		}}
		return d.DialContext(ctx, network, target)
	}
}

// online reports whether this machine has any address but loopback ones. Without
// one, what fails to arrive outside is our own fault.
func online() bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return true
		}
	}
	return len(addrs) == 0
}
