package delivery

import "net/netip"

// class is what kind of address a request would go to.
type class uint8

const (
	classPublic class = iota
	classPrivate
	classLoopback
	// The classes from here on are never reached, whatever is allowed.
	classMetadata
	classLinkLocal
	classUnspecified
	classMulticast
	classBroadcast
	classReserved
	classDocumentation
	classTransition
)

// String names the class as errors show it.
func (c class) String() string {
	return [...]string{"public", "private", "loopback", "cloud metadata", "link-local", "unspecified",
		"multicast", "broadcast", "reserved", "documentation", "IPv6 transition"}[c]
}

func prefixes(ss ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(ss))
	for i, s := range ss {
		ps[i] = netip.MustParsePrefix(s)
	}
	return ps
}

// classes is searched in order; the first prefix that holds the address decides.
// An IPv4 address in none of them is public; an IPv6 one only within 2000::/3.
var classes = []struct {
	class class
	in    []netip.Prefix
}{
	// AWS and most others, AWS containers, AWS time and DNS, Alibaba, Oracle,
	// Azure, Volcengine, and over IPv6 AWS, Google and Scaleway.
	{classMetadata, prefixes("169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "169.254.169.253/32", "169.254.169.123/32",
		"100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "100.96.0.96/32", "fd00:ec2::/64", "fd20:ce::254/128", "fd00:42::42/128")},
	{classUnspecified, prefixes("0.0.0.0/32", "::/128")},
	{classLoopback, prefixes("127.0.0.0/8", "::1/128")},
	{classBroadcast, prefixes("255.255.255.255/32")},
	{classLinkLocal, prefixes("169.254.0.0/16", "fe80::/10")},
	{classPrivate, prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")},
	{classMulticast, prefixes("224.0.0.0/4", "ff00::/8")},
	{classDocumentation, prefixes("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")},
	// IPv4-compatible, SIIT, NAT64 of a local prefix, 6to4, Teredo.
	{classTransition, prefixes("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")},
	{classReserved, prefixes("0.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4", "2001::/23")},
}

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	global = netip.MustParsePrefix("2000::/3")
)

// classify returns the class of an address. IPv4 inside IPv6 is judged as the
// IPv4 address it reaches, or refused where no honest host needs the form.
func classify(a netip.Addr) class {
	if !a.IsValid() {
		return classReserved
	}
	if a.Zone() != "" {
		return classLinkLocal
	}
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		if c := classify(netip.AddrFrom4([4]byte(b[12:]))); c == classPublic || c == classMetadata {
			return c
		}
		return classTransition
	}
	for _, c := range classes {
		for _, p := range c.in {
			if p.Contains(a) {
				return c.class
			}
		}
	}
	if a.Is6() && !global.Contains(a) {
		return classReserved
	}
	return classPublic
}
