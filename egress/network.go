package egress

import (
	"net"
	"net/netip"
	"slices"
)

// interfaces returns the addresses of this machine with their networks.
func interfaces() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	nets := make([]netip.Prefix, 0, len(addrs))
	for _, a := range addrs {
		if n, err := netip.ParsePrefix(a.String()); err == nil { // an address with its network
			nets = append(nets, n)
		}
	}
	return nets, nil
}

// near returns the class of an address that embeds no other. An address that the
// table calls public may be this machine's, or a neighbour's in one of its networks:
// with IPv6 every device of a home has a public address, and a firewall at the border
// does not part plugbeat from it. A network wider than a site is no neighbourhood.
func near(ip netip.Addr, nets []netip.Prefix) class {
	c := listed(ip)
	if c != classPublic {
		return c
	}
	site := 16
	if ip.Is6() {
		site = 48
	}
	for _, n := range nets {
		switch {
		case n.Addr() == ip:
			return classOwn
		case n.Bits() >= site && n.Contains(ip):
			c = classNear
		}
	}
	return c
}

// NeedsConsent returns the class, in words, of an address that a request reaches only
// with consent: private, loopback, this machine or its network. It returns "" for
// every other address.
func NeedsConsent(ip netip.Addr) string {
	nets, err := interfaces()
	if err != nil {
		nets = nil
	}
	c, _, _ := judge(ip, nets)
	if c == classPublic || c.never() {
		return ""
	}
	return string(c)
}

// HasWayTo reports whether this machine has an address from which a request to another
// may leave: one of the same family, beyond loopback and link-local, and a global IPv6
// one where the other is global. For the zero address any family will do. HasWayTo is
// true where this machine's addresses cannot be read.
func (g *Guard) HasWayTo(to netip.Addr) bool {
	nets, err := g.interfaces()
	if err != nil || len(nets) == 0 {
		return true
	}
	to = to.Unmap()
	return slices.ContainsFunc(nets, func(n netip.Prefix) bool {
		a := n.Addr()
		switch {
		case a.IsLoopback() || a.IsLinkLocalUnicast():
			return false
		case !to.IsValid():
			return true
		}
		return a.Is4() == to.Is4() && (a.Is4() || global.Contains(a) || !global.Contains(to))
	})
}
