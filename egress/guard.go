// Package egress says where requests may go. Deliveries, alerts and sources take
// their connections from one [Guard], which judges each address as it is dialled,
// after the name was resolved, so that a name that changes its mind gains nothing.
//
// A public address is reached by every request. A private or loopback one, this
// machine's own and its neighbours' are reached with consent or an entry of
// [Options].Allow. Metadata, link-local, unspecified, multicast and reserved
// addresses, IPv6 forms of IPv4 ones, and plugbeat's own listeners are never reached.
package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Options is what a Guard is made of. The zero Options allow public addresses alone.
type Options struct {
	// Allow lists private and loopback addresses that every request may reach: a CIDR
	// (192.168.1.0/24), an IP, host:port, "loopback" or "private".
	Allow []string
	// Resolver resolves names; nil for the system's.
	Resolver *net.Resolver
	// Local resolves names under .local, which are mDNS's; nil for Resolver. What it
	// returns is judged as it is dialled, as every address is.
	Local func(ctx context.Context, host string) ([]netip.Addr, error)
	// Interfaces returns this machine's addresses with their networks; nil for the
	// system's.
	Interfaces func() ([]netip.Prefix, error)
}

// Guard is the check that every request out passes. It is safe for concurrent use.
type Guard struct {
	private, loopback bool
	prefixes          []netip.Prefix
	hosts             map[string]bool // as canonical spells them
	resolver          *net.Resolver
	local             func(ctx context.Context, host string) ([]netip.Addr, error)
	interfaces        func() ([]netip.Prefix, error)
	// dialling is nil but in tests. It sees each address that passed, and its error
	// ends the dialling of that one.
	dialling func(address string) error

	mu  sync.RWMutex
	own []netip.AddrPort
}

// DeniedError is a refused address.
type DeniedError struct {
	Address string
	Class   string
	// Setting says what would allow the address; empty where nothing does.
	Setting string
}

// Error implements error. It names the address and its class.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("address %s is refused: %s", e.Address, e.Class)
}

// Advice says what would allow the address, or that nothing does.
func (e *DeniedError) Advice() string {
	if e.Setting == "" {
		return "plugbeat never sends there; no setting allows it"
	}
	return "to allow it, " + e.Setting
}

// EntryError is an entry of Options.Allow that cannot be taken.
type EntryError struct {
	Index      int
	Entry, Why string
}

// Error implements error. It names the setting, the entry and what is allowed.
func (e *EntryError) Error() string {
	const allowed = `a CIDR (192.168.1.0/24), an IP, host:port, "loopback" or "private"`
	return fmt.Sprintf("delivery.allow[%d] %q: %s; allowed: %s", e.Index, e.Entry, e.Why, allowed)
}

// New returns a guard. The error is an *[EntryError].
func New(o Options) (*Guard, error) {
	g := &Guard{hosts: map[string]bool{}, resolver: o.Resolver, local: o.Local, interfaces: o.Interfaces}
	if g.interfaces == nil {
		g.interfaces = interfaces
	}
	for i, entry := range o.Allow {
		if err := g.allow(entry); err != nil {
			return nil, &EntryError{Index: i, Entry: entry, Why: err.Error()}
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
	g.hosts[canonical(entry)] = true
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return fmt.Errorf("link-local addresses are never allowed")
		}
		a = a.Unmap()
		return never(netip.PrefixFrom(a, a.BitLen()))
	}
	return nil
}

// never returns an error where no address of a prefix is ever allowed. A wider prefix
// may hold such addresses; they stay refused.
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
		whole = whole || f.name != nat64 && f.prefix.Bits() <= p.Bits() && f.prefix.Contains(p.Addr())
	}
	if !whole {
		return nil
	}
	return fmt.Errorf("%s is never allowed: %s", p, text)
}

// canonical returns a host:port in lower case without a final dot, an address in its
// canonical form.
func canonical(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.ToLower(hostport)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return net.JoinHostPort(strings.TrimSuffix(strings.ToLower(host), "."), port)
}

// SetOwn names plugbeat's own listeners, which no request may reach. It may be called
// again.
func (g *Guard) SetOwn(listeners []netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own = slices.Clone(listeners)
}

// Check returns a *[DeniedError] when a request may not go to the address. asked is
// the host:port as it was before resolution. allowPrivate is the consent to private
// and loopback addresses.
func (g *Guard) Check(address, asked string, allowPrivate bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &DeniedError{Address: strconv.Quote(address), Class: "unreadable"}
	}
	nets, err := g.interfaces()
	if err != nil {
		nets = nil
	}
	c, text, at := judge(ap.Addr(), nets)
	ip := ap.Addr().Unmap()
	switch {
	case g.isOwn(netip.AddrPortFrom(at, ap.Port()), nets):
		return &DeniedError{Address: address, Class: "plugbeat's own listener"}
	case c.never():
		return &DeniedError{Address: address, Class: text}
	case c == classPublic, allowPrivate:
		return nil
	case g.private && (c == classPrivate || c == classNear), g.loopback && (c == classLoopback || c == classOwn):
		return nil
	case g.hosts[canonical(asked)], g.hosts[canonical(address)]:
		return nil
	case slices.ContainsFunc(g.prefixes, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return nil
	}
	return &DeniedError{Address: address, Class: text,
		Setting: "add the webhook with --allow-private, or list " + address + " in delivery.allow"}
}

// isOwn reports whether an address reaches one of plugbeat's listeners. It does at the
// listener's port by the listener's own address and by any loopback one. A listener on
// the unspecified address is reached by every address of this machine, which nets are; where
// those cannot be read, nets is nil and any address may be one.
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
		return o.Addr().IsUnspecified() && (nets == nil || slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Addr() == ap.Addr() }))
	})
}
