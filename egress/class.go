package egress

import (
	"fmt"
	"net/netip"
)

// class is what kind of address a request would go to.
type class uint8

const (
	classPublic class = iota
	// A request to a class from classPrivate to classOwn needs consent, or an entry
	// of Options.Allow.
	classPrivate
	classNear
	classLoopback
	classOwn
	// Nothing allows a request to classMetadata or a class below it.
	classMetadata
	classLinkLocal
	classUnspecified
	classMulticast
	classBroadcast
	classThisNetwork
	classReserved
	classDocumentation
	classBenchmark
	classTransition
)

// String names the class as errors show it.
func (c class) String() string {
	return [...]string{"public", "private", "this machine's network", "loopback", "this machine", "cloud metadata", "link-local",
		"unspecified", "multicast", "broadcast", "this network", "reserved", "documentation", "benchmarking", "IPv6 transition"}[c]
}

// never reports whether nothing allows the class.
func (c class) never() bool { return c >= classMetadata }

func prefixes(ss ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(ss))
	for i, s := range ss {
		ps[i] = netip.MustParsePrefix(s)
	}
	return ps
}

// classes is searched in order: the first prefix that holds the address decides. An
// IPv4 address in none of them is public. An IPv6 address in none of them is public
// within 2000::/3 and reserved elsewhere. The ranges are those of IANA's
// special-purpose registries (RFC 6890 and its successors), and the metadata
// addresses that clouds document.
var classes = []struct {
	class class
	in    []netip.Prefix
}{
	// AWS and most others, AWS containers, AWS time and DNS, Alibaba, Oracle,
	// Azure, Volcengine.
	{classMetadata, prefixes("169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "169.254.169.253/32", "169.254.169.123/32",
		"100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "100.96.0.96/32")},
	// AWS, Google, Oracle and Scaleway.
	{classMetadata, prefixes("fd00:ec2::/64", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128")},
	{classUnspecified, prefixes("0.0.0.0/32", "::/128")},
	{classLoopback, prefixes("127.0.0.0/8", "::1/128")},
	{classBroadcast, prefixes("255.255.255.255/32")},
	{classLinkLocal, prefixes("169.254.0.0/16", "fe80::/10")},
	{classPrivate, prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")},
	{classMulticast, prefixes("224.0.0.0/4", "ff00::/8")},
	{classThisNetwork, prefixes("0.0.0.0/8")},
	{classDocumentation, prefixes("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")},
	{classBenchmark, prefixes("198.18.0.0/15", "2001:2::/48")},
	// IPv4: protocol assignments, 6to4 relays, unassigned. IPv6: site-local, ORCHID
	// and other identifiers that are no locators, 6bone.
	{classReserved, prefixes("192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4", "fec0::/10", "2001::/23", "3ffe::/16")},
}

var global = netip.MustParsePrefix("2000::/3")

// A form is a way to embed an IPv4 address in an IPv6 one.
type form struct {
	name   string
	prefix netip.Prefix
	// inside returns the embedded IPv4 addresses; none where the network decides.
	inside func(b [16]byte) [][4]byte
	// open is true of NAT64 alone: IPv6-only machines reach public IPv4 hosts through
	// it. An address of any other form is refused, also with a public one inside.
	open bool
}

func nowhere([16]byte) [][4]byte { return nil }

func lastFour(b [16]byte) [][4]byte { return [][4]byte{[4]byte(b[12:])} }

func afterPrefix(b [16]byte) [][4]byte { return [][4]byte{[4]byte(b[2:])} }

// teredo returns the server and the client, whose bits are inverted.
func teredo(b [16]byte) [][4]byte {
	return [][4]byte{[4]byte(b[4:]), {^b[12], ^b[13], ^b[14], ^b[15]}}
}

// forms leaves out the mapped form, which means the IPv4 address itself, and NAT64
// under a network's own prefix, which looks like any other address. The RFCs are
// 6052, 8215, 3056, 4380, 2765 and 4291.
var forms = []form{
	{name: "NAT64", prefix: netip.MustParsePrefix("64:ff9b::/96"), inside: lastFour, open: true},
	{name: "local NAT64", prefix: netip.MustParsePrefix("64:ff9b:1::/48"), inside: nowhere},
	{name: "6to4", prefix: netip.MustParsePrefix("2002::/16"), inside: afterPrefix},
	{name: "Teredo", prefix: netip.MustParsePrefix("2001::/32"), inside: teredo},
	{name: "SIIT", prefix: netip.MustParsePrefix("::ffff:0:0:0/96"), inside: lastFour},
	{name: "IPv4-compatible", prefix: netip.MustParsePrefix("::/96"), inside: lastFour},
}

// isatap is the form that may follow any prefix (RFC 5214).
var isatap = form{name: "ISATAP", inside: lastFour}

// formOf returns the form of an IPv6 address, nil for none.
func formOf(a netip.Addr) *form {
	if !a.Is6() || a == netip.IPv6Unspecified() || a == netip.IPv6Loopback() {
		return nil
	}
	for i := range forms {
		if forms[i].prefix.Contains(a) {
			return &forms[i]
		}
	}
	if b := a.As16(); b[8]&^3 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		return &isatap
	}
	return nil
}

// judge returns the class of an address, the class in words for an error, and the
// address that the request reaches. That is the embedded one of an IPv6 address that
// embeds an IPv4 one, and the address itself otherwise. nets are this machine's
// addresses with their networks.
//
// An IPv6 address that embeds an IPv4 one takes the embedded address's class if that
// class is never allowed. Otherwise it is public if its form is open and the embedded
// address is public, and classTransition, which is never allowed, if not.
func judge(a netip.Addr, nets []netip.Prefix) (c class, text string, reached netip.Addr) {
	switch {
	case !a.IsValid():
		return classReserved, classReserved.String(), a
	case a.Zone() != "":
		return classLinkLocal, "link-local, for it names a zone", a
	}
	a = a.Unmap()
	f := formOf(a)
	if f == nil {
		c = near(a, nets)
		return c, c.String(), a
	}
	for _, b := range f.inside(a.As16()) {
		a = netip.AddrFrom4(b)
		c = near(a, nets)
		text = fmt.Sprintf("the %s form of %s, %s", f.name, a, c)
		if c.never() {
			return c, text, a
		}
		if c != classPublic {
			return classTransition, text, a
		}
	}
	if f.open {
		return classPublic, text, a
	}
	if text == "" {
		return classTransition, "a " + f.name + " address", a
	}
	return classTransition, text + "; no receiver needs that form", a
}

// listed returns the class of an address that embeds no other, by the table alone.
func listed(a netip.Addr) class {
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
