package delivery

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

// near returns the class of an address that carries no other. One that is listed
// as public may be of this machine, or of a network this machine is in: such a one
// is neither kept from us by a firewall nor a stranger's, and with IPv6 every device
// of a home has one. Networks wider than a site's tell nothing.
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

// NeedsConsent returns in words what an address is that a webhook reaches only with
// consent: private, loopback, this machine or its network. It is empty for others.
func NeedsConsent(ip netip.Addr) string {
	nets, err := interfaces()
	if err != nil {
		nets = nil
	}
	c, _, _ := judge(ip, nets)
	if c == classPublic || c.never() {
		return ""
	}
	return c.String()
}

// online reports whether this machine has any address but loopback ones. Without
// one, what fails to arrive outside is our own fault.
func (g *Guard) online() bool {
	nets, err := g.interfaces()
	if err != nil || len(nets) == 0 {
		return true // nothing is known
	}
	for _, n := range nets {
		if !n.Addr().IsLoopback() && !n.Addr().IsLinkLocalUnicast() {
			return true
		}
	}
	return false
}

// oneSided tells in words that this machine has no address of the only family that
// a receiver's addresses are of, and does have one of the other; empty else. Then
// no network of ours has failed: it never led there.
func (g *Guard) oneSided(tried []netip.Addr) string {
	nets, err := g.interfaces()
	if err != nil || len(tried) == 0 {
		return ""
	}
	has4, has6 := false, false
	for _, n := range nets {
		a := n.Addr()
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			has4, has6 = has4 || a.Is4(), has6 || a.Is6() && (global.Contains(a) || !global.Contains(tried[0]))
		}
	}
	only4, only6 := true, true
	for _, a := range tried {
		only4, only6 = only4 && a.Unmap().Is4(), only6 && a.Unmap().Is6()
	}
	switch {
	case only6 && has4 && !has6:
		return "the callback has only IPv6 addresses, and this machine has none that leads there"
	case only4 && has6 && !has4:
		return "the callback has only IPv4 addresses, and this machine has only IPv6"
	}
	return ""
}
