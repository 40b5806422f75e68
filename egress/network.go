package egress

import (
	"net"
	"net/netip"
)

// interfaces returns the addresses of this machine with their networks.
func interfaces() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	nets := make([]netip.Prefix, 0, len(addrs))
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok {
			ones, _ := n.Mask.Size()
			nets = append(nets, netip.PrefixFrom(ip.Unmap(), ones))
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

// Public reports whether an address is public by the table alone, so that an answer
// from it shows that this machine's way to the internet works.
func Public(ip netip.Addr) bool {
	c, _, _ := judge(ip, nil)
	return c == classPublic
}

func outside(a netip.Addr) bool { return !a.IsLoopback() && !a.IsLinkLocalUnicast() }

// Online reports whether this machine has an address other than loopback and
// link-local ones. Online is true where the addresses cannot be read.
func (g *Guard) Online() bool {
	nets, err := g.interfaces()
	if err != nil || len(nets) == 0 {
		return true
	}
	for _, n := range nets {
		if outside(n.Addr()) {
			return true
		}
	}
	return false
}

// MissingFamily returns in words which addresses a host has, if all are of a family,
// IPv4 or IPv6, of which this machine has no address that leads there, while it has
// one of the other. It returns "" otherwise. A request to such a host fails although
// this machine's network works.
func (g *Guard) MissingFamily(host []netip.Addr) string {
	nets, err := g.interfaces()
	if err != nil || len(host) == 0 {
		return ""
	}
	has4, has6 := false, false
	for _, n := range nets {
		if a := n.Addr(); outside(a) {
			has4, has6 = has4 || a.Is4(), has6 || a.Is6() && (global.Contains(a) || !global.Contains(host[0]))
		}
	}
	only4, only6 := true, true
	for _, a := range host {
		only4, only6 = only4 && a.Unmap().Is4(), only6 && a.Unmap().Is6()
	}
	switch {
	case only6 && has4 && !has6:
		return "only IPv6 addresses, and this machine has none that leads there"
	case only4 && has6 && !has4:
		return "only IPv4 addresses, and this machine has only IPv6"
	}
	return ""
}
