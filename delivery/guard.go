package delivery

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"plugbeat/webhook"
)

// Guard is the one check that every request out passes: on the address that is
// really dialled, after name resolution, for each address tried. It is safe for
// concurrent use.
type Guard struct {
	private, loopback bool
	prefixes          []netip.Prefix
	hosts             map[string]bool // as target spells them
	// resolver is nil, for the system's, and interfaces the function of that name;
	// tests put their own there.
	resolver   *net.Resolver
	interfaces func() ([]netip.Prefix, error)
	// dialling is nil but in tests. It sees each address that passed, and its
	// error ends the dialling of that one.
	dialling func(address string) error
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
	g := &Guard{hosts: map[string]bool{}, interfaces: interfaces}
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
	if p, err := netip.ParsePrefix(entry); err == nil {
		if p.Addr().Is4In6() {
			return fmt.Errorf("write it as IPv4")
		}
		g.prefixes = append(g.prefixes, p.Masked())
		return never(p)
	}
	if a, err := netip.ParseAddr(entry); err == nil {
		p := netip.PrefixFrom(a.WithZone("").Unmap(), a.Unmap().BitLen())
		g.prefixes = append(g.prefixes, p)
		if a.Zone() != "" {
			return fmt.Errorf("link-local addresses are never allowed")
		}
		return never(p)
	}
	host, port, err := net.SplitHostPort(entry)
	if err != nil || host == "" || strings.ContainsAny(host, "/ *") {
		return fmt.Errorf("it is none of these")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("its port is not 1 to 65535")
	}
	g.hosts[target(entry)] = true
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return fmt.Errorf("link-local addresses are never allowed")
		}
		a = a.Unmap()
		return never(netip.PrefixFrom(a, a.BitLen()))
	}
	return nil
}

// never returns an error where all of a prefix is refused whatever is allowed. A
// wider one may hold such addresses: they stay refused.
func never(p netip.Prefix) error {
	first, text, _ := judge(p.Addr(), nil)
	if !first.never() {
		return nil
	}
	whole := p.IsSingleIP()
	for _, c := range classes {
		for _, in := range c.in {
			whole = whole || c.class.never() && in.Bits() <= p.Bits() && in.Contains(p.Addr())
		}
	}
	for _, f := range forms {
		whole = whole || !f.open && f.prefix.Bits() <= p.Bits() && f.prefix.Contains(p.Addr())
	}
	if !whole {
		return nil
	}
	return fmt.Errorf("%s is never allowed: %s", p, text)
}

// target is one spelling of a host:port: lower case, no final dot, an address in
// its canonical form.
func target(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.ToLower(hostport)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return net.JoinHostPort(strings.TrimSuffix(strings.ToLower(host), "."), port)
}

// SetOwn names plugbeat's own listeners, which no request may reach. It is called
// once they are bound, and may be called again.
func (g *Guard) SetOwn(listeners []netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own = slices.Clone(listeners)
}

// Check returns a *[DeniedError] when a request may not go to the address.
// Asked is the host:port that was asked for before it was resolved. AllowPrivate is
// the consent to private and loopback addresses.
func (g *Guard) Check(address, asked string, allowPrivate bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &DeniedError{Address: clean(address), Class: "unreadable"}
	}
	c, text, _ := judge(ap.Addr(), nil)
	if c.never() {
		return &DeniedError{Address: address, Class: text}
	}
	if c == classPublic || g.listens(ap.Port()) {
		nets, err := g.interfaces()
		if err != nil && g.listens(ap.Port()) {
			return &DeniedError{Address: address, Class: "perhaps plugbeat's own listener; this machine's addresses cannot be read: " + clean(err.Error())}
		}
		var at netip.Addr
		c, text, at = judge(ap.Addr(), nets)
		switch {
		case g.isOwn(netip.AddrPortFrom(at, ap.Port()), nets):
			return &DeniedError{Address: address, Class: "plugbeat's own listener"}
		case c.never():
			return &DeniedError{Address: address, Class: text}
		}
	}
	ip := ap.Addr().Unmap()
	switch {
	case c == classPublic, allowPrivate:
		return nil
	case g.private && (c == classPrivate || c == classNear), g.loopback && (c == classLoopback || c == classOwn):
		return nil
	case g.hosts[target(asked)], g.hosts[target(address)]:
		return nil
	case slices.ContainsFunc(g.prefixes, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return nil
	}
	return &DeniedError{Address: address, Class: text, Setting: "add the webhook with --allow-private, or list " + address + " in delivery.allow"}
}

func (g *Guard) listens(port uint16) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.ContainsFunc(g.own, func(o netip.AddrPort) bool { return o.Port() == port })
}

// isOwn reports whether the address reaches one of our listeners: by its own
// address, or at its port any loopback one or, where it listens on all, any of
// this machine, whose interfaces nets are.
func (g *Guard) isOwn(ap netip.AddrPort, nets []netip.Prefix) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.ContainsFunc(g.own, func(o netip.AddrPort) bool {
		switch {
		case o.Port() != ap.Port():
			return false
		case o.Addr().Unmap().WithZone("") == ap.Addr(), ap.Addr().IsLoopback():
			return true
		}
		return o.Addr().IsUnspecified() && slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Addr() == ap.Addr() })
	})
}
