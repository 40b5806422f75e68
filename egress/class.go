package egress

import (
	"fmt"
	"net/netip"
)

// class is what kind of address a request would go to, in words. A request to a private
// one, to this machine and to its network needs consent, or an entry of Options.Allow.
// Nothing allows a request to any class but those and public.
type class string

const (
	classPublic     class = "public"
	classPrivate    class = "private"
	classNear       class = "this machine's network"
	classLoopback   class = "loopback"
	classOwn        class = "this machine"
	classLinkLocal  class = "link-local"
	classReserved   class = "reserved"
	classTransition class = "IPv6 transition"
)

// never reports whether nothing allows the class.
func (c class) never() bool {
	switch c {
	case classPublic, classPrivate, classNear, classLoopback, classOwn:
		return false
	}
	return true
}

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
	{"cloud metadata", prefixes("169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "169.254.169.253/32", "169.254.169.123/32",
		"100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "100.96.0.96/32")},
	// AWS, Google, Oracle and Scaleway.
	{"cloud metadata", prefixes("fd00:ec2::/64", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128")},
	{"unspecified", prefixes("0.0.0.0/32", "::/128")},
	{classLoopback, prefixes("127.0.0.0/8", "::1/128")},
	{"broadcast", prefixes("255.255.255.255/32")},
	{classLinkLocal, prefixes("169.254.0.0/16", "fe80::/10")},
	{classPrivate, prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")},
	{"multicast", prefixes("224.0.0.0/4", "ff00::/8")},
	{"this network", prefixes("0.0.0.0/8")},
	{"documentation", prefixes("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")},
	{"benchmarking", prefixes("198.18.0.0/15", "2001:2::/48")},
	// IPv4: protocol assignments, 6to4 relays, unassigned. IPv6: site-local, ORCHID
	// and other identifiers that are no locators, 6bone.
	{classReserved, prefixes("192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4", "fec0::/10", "2001::/23", "3ffe::/16")},
}

var global = netip.MustParsePrefix("2000::/3")

const nat64 = "NAT64"

// forms are the ways to embed an IPv4 address in an IPv6 one, but for the mapped form, which
// means the IPv4 address itself, and for NAT64 under a network's own prefix, which looks like
// any other address. The RFCs are 6052, 8215, 3056, 4380, 2765 and 4291.
var forms = []struct {
	name   string
	prefix netip.Prefix
}{
	{nat64, netip.MustParsePrefix("64:ff9b::/96")},
	{"local NAT64", netip.MustParsePrefix("64:ff9b:1::/48")},
	{"6to4", netip.MustParsePrefix("2002::/16")},
	{"Teredo", netip.MustParsePrefix("2001::/32")},
	{"SIIT", netip.MustParsePrefix("::ffff:0:0:0/96")},
	{"IPv4-compatible", netip.MustParsePrefix("::/96")},
}

// formOf returns the name of an IPv6 address's form, empty for none.
func formOf(a netip.Addr) string {
	if !a.Is6() || a == netip.IPv6Unspecified() || a == netip.IPv6Loopback() {
		return ""
	}
	for _, f := range forms {
		if f.prefix.Contains(a) {
			return f.name
		}
	}
	if b := a.As16(); b[8]&^3 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		return "ISATAP" // may follow any prefix (RFC 5214)
	}
	return ""
}

// judge returns the class of an address, the class in words for an error, and the
// address that the request reaches. nets are this machine's addresses with their networks.
//
// IPv6-only machines reach public IPv4 hosts through NAT64, so a NAT64 address takes the
// class of the IPv4 address in it if that is public or never allowed. Every other IPv6
// address that embeds an IPv4 one is classTransition, which is never allowed: no receiver
// needs such a form.
func judge(a netip.Addr, nets []netip.Prefix) (c class, text string, reached netip.Addr) {
	switch {
	case !a.IsValid():
		return classReserved, string(classReserved), a
	case a.Zone() != "":
		return classLinkLocal, "link-local, for it names a zone", a
	}
	a = a.Unmap()
	switch form := formOf(a); form {
	case "":
		c = near(a, nets)
		return c, string(c), a
	case nat64:
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
		c = near(a, nets)
		text = fmt.Sprintf("the NAT64 form of %s, %s", a, c)
		if !c.never() && c != classPublic {
			c = classTransition
		}
		return c, text, a
	default:
		return classTransition, "the " + form + " form of an IPv4 address", a
	}
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
