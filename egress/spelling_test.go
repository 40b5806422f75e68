package egress

import (
	"fmt"
	"net/netip"
	"strings"
)

// spelling is one way to write a callback's host so that it means an address.
type spelling struct {
	how  string
	host string
	// answers are what the name resolves to, where it is one. For odd spellings of
	// an address that is what the most obliging resolver makes of them.
	answers []netip.Addr
	// says is what the refusal says in place of the address's own class.
	says string
	// final is true where no consent helps, whatever the class.
	final bool
	// number is true of a name without a letter, which Go takes for none.
	number bool
}

var public4, public6 = netip.MustParseAddr("93.184.215.14"), netip.MustParseAddr("2606:2800:21f:cb07:6820:80da:af6b:8b2c")

// spellings4 are ways to write an IPv4 address.
func spellings4(a netip.Addr) []spelling {
	b := a.As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	dotted := a.String()
	wide := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r - '0' + '０'
		}
		return r
	}, dotted)
	circled := strings.Map(func(r rune) rune {
		switch {
		case r == '0':
			return '⓪'
		case r >= '1' && r <= '9':
			return r - '1' + '①'
		}
		return r
	}, dotted)
	hex := fmt.Sprintf("%02x%02x:%02x%02x", b[0], b[1], b[2], b[3])
	var percent, percentWide strings.Builder
	for _, c := range []byte(dotted) {
		fmt.Fprintf(&percent, "%%%02x", c)
	}
	for _, c := range []byte(wide) {
		fmt.Fprintf(&percentWide, "%%%02X", c)
	}
	in := func(form string) string {
		if form == "NAT64" {
			return "the NAT64 form of " + dotted
		}
		return "the " + form + " form of an IPv4 address"
	}
	label := strings.ReplaceAll(dotted, ".", "-")
	v6 := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	// As resolvers that call inet_aton would read them.
	texts := []spelling{
		{how: "dotted", host: dotted},
		{how: "trailing dot", host: dotted + ".", number: true},
		{how: "octal", host: fmt.Sprintf("0%o.0%o.0%o.0%o", b[0], b[1], b[2], b[3]), number: true},
		{how: "octal, padded", host: fmt.Sprintf("0000%o.00%o.0%o.000%o", b[0], b[1], b[2], b[3]), number: true},
		{how: "padded", host: fmt.Sprintf("%03d.%03d.%03d.%03d", b[0], b[1], b[2], b[3]), number: true},
		{how: "hex", host: fmt.Sprintf("0x%x.0x%x.0x%x.0x%x", b[0], b[1], b[2], b[3])},
		{how: "hex, upper case", host: fmt.Sprintf("0X%02X.0X%02X.0X%02X.0X%02X", b[0], b[1], b[2], b[3])},
		{how: "mixed bases", host: fmt.Sprintf("0x%x.0%o.%d.0x%x", b[0], b[1], b[2], b[3])},
		{how: "hex integer", host: fmt.Sprintf("0x%08x", n)},
		{how: "hex integer, trailing dot", host: fmt.Sprintf("0x%x.", n)},
		{how: "decimal integer", host: fmt.Sprint(n), number: true},
		{how: "octal integer", host: fmt.Sprintf("0%o", n), number: true},
		{how: "two parts", host: fmt.Sprintf("%d.%d", b[0], n&0xffffff), number: true},
		{how: "three parts", host: fmt.Sprintf("%d.%d.%d", b[0], b[1], n&0xffff), number: true},
		{how: "full-width digits", host: wide},
		{how: "full-width dots", host: strings.ReplaceAll(dotted, ".", "．")},
		{how: "ideographic dots", host: strings.ReplaceAll(dotted, ".", "。")},
		{how: "circled digits", host: circled},
		{how: "percent-encoded", host: percent.String()},
		{how: "percent-encoded full-width digits", host: percentWide.String()},
		{how: "soft hyphen", host: dotted[:1] + "\u00ad" + dotted[1:]},
		{how: "behind user info", host: "93.184.215.14@" + dotted},
		{how: "behind a port as user info", host: "93.184.215.14:80@" + dotted},
		{how: "behind a backslash", host: `93.184.215.14\@` + dotted},
		{how: "behind a fragment", host: "93.184.215.14#@" + dotted},
		{how: "name", host: "a-" + label + ".test"},
		{how: "name, upper case, trailing dot", host: "A-" + label + ".TEST."},
		{how: "name of the address itself", host: dotted + ".nip.test"},
		{how: "international name", host: "bücher-" + label + ".test"},
		{how: "punycode", host: "xn--bcher-" + label + "-x.test"},
		{how: "name with an underscore", host: "_http._tcp." + label + ".test"},
	}
	for i := range texts {
		texts[i].answers = []netip.Addr{a}
	}
	return append(texts,
		spelling{how: "name, after a public address", host: "after-" + label + ".test", answers: []netip.Addr{public4, a}},
		spelling{how: "name, before a public address", host: "before-" + label + ".test", answers: []netip.Addr{a, public4}},
		spelling{how: "name, beside a public IPv6 address", host: "beside-" + label + ".test", answers: []netip.Addr{a, public6}},
		spelling{how: "name, mapped", host: "mapped-" + label + ".test", answers: []netip.Addr{v6("::ffff:" + hex)}},
		spelling{how: "name, NAT64", host: "nat64-" + label + ".test", answers: []netip.Addr{v6("64:ff9b::" + hex)}, says: in("NAT64"), final: true},
		spelling{how: "mapped", host: "[::ffff:" + dotted + "]"},
		spelling{how: "mapped, hex", host: "[::ffff:" + hex + "]"},
		spelling{how: "mapped, expanded, upper case", host: "[0000:0000:0000:0000:0000:FFFF:" + strings.ToUpper(hex) + "]"},
		spelling{how: "mapped, with a zone", host: "[::ffff:" + dotted + "%25lo]", says: "unreadable", final: true}, // IPv4 has no zone
		spelling{how: "compatible", host: "[::" + hex + "]", says: in("IPv4-compatible"), final: true},
		spelling{how: "compatible, dotted", host: "[::" + dotted + "]", says: in("IPv4-compatible"), final: true},
		spelling{how: "SIIT", host: "[::ffff:0:" + dotted + "]", says: in("SIIT"), final: true},
		spelling{how: "NAT64", host: "[64:ff9b::" + dotted + "]", says: in("NAT64"), final: true},
		spelling{how: "NAT64, hex, upper case", host: "[64:FF9B::" + strings.ToUpper(hex) + "]", says: in("NAT64"), final: true},
		spelling{how: "NAT64, expanded", host: "[0064:ff9b:0000:0000:0000:0000:" + hex + "]", says: in("NAT64"), final: true},
		spelling{how: "local NAT64", host: "[64:ff9b:1::" + hex + "]", says: "local NAT64", final: true},
		spelling{how: "local NAT64, 48 bits", host: fmt.Sprintf("[64:ff9b:1:%02x%02x:%02x:%02x00::]", b[0], b[1], b[2], b[3]), says: "local NAT64", final: true},
		spelling{how: "6to4", host: "[2002:" + hex + "::]", says: in("6to4"), final: true},
		spelling{how: "6to4, a host of it", host: "[2002:" + hex + ":1:2:3:4:5]", says: in("6to4"), final: true},
		spelling{how: "Teredo, the server", host: "[2001:0:" + hex + "::f7f7:f7f7]", says: "the Teredo form of ", final: true},
		spelling{how: "Teredo, the client", host: fmt.Sprintf("[2001:0:808:808::%02x%02x:%02x%02x]", ^b[0], ^b[1], ^b[2], ^b[3]), says: "the Teredo form of ", final: true},
		spelling{how: "ISATAP", host: "[2606:4700:1:2::5efe:" + hex + "]", says: in("ISATAP"), final: true},
		spelling{how: "ISATAP, global", host: "[2606:4700:1:2:200:5efe:" + hex + "]", says: in("ISATAP"), final: true},
	)
}

// spellings6 are ways to write an IPv6 address.
func spellings6(a netip.Addr) []spelling {
	b := a.As16()
	label := strings.ReplaceAll(a.StringExpanded(), ":", "-")
	dotted := fmt.Sprintf("%d.%d.%d.%d", b[12], b[13], b[14], b[15])
	full := a.StringExpanded()
	zone := "link-local, for it names a zone"
	all := []spelling{
		{how: "as it is", host: "[" + a.String() + "]"},
		{how: "upper case", host: "[" + strings.ToUpper(a.String()) + "]"},
		{how: "expanded", host: "[" + full + "]"},
		{how: "expanded, upper case", host: "[" + strings.ToUpper(full) + "]"},
		{how: "dotted end", host: "[" + full[:30] + dotted + "]"},
		{how: "percent-encoded", host: "[" + strings.ReplaceAll(a.String(), ":", "%3a") + "]"},
		{how: "behind user info", host: "93.184.215.14@[" + a.String() + "]"},
		{how: "without brackets", host: a.String()},
		{how: "IPv6 literal as a name", host: "v6" + strings.ReplaceAll(a.String(), ":", "-") + "x.ipv6-literal.net", answers: []netip.Addr{a}},
		{how: "name", host: "a-" + label + ".test", answers: []netip.Addr{a}},
		{how: "name, upper case, trailing dot", host: "A-" + strings.ToUpper(label) + ".TEST.", answers: []netip.Addr{a}},
		{how: "international name", host: "bücher-" + label + ".test", answers: []netip.Addr{a}},
		{how: "name, after a public address", host: "after-" + label + ".test", answers: []netip.Addr{public6, a}},
		{how: "name, before a public address", host: "before-" + label + ".test", answers: []netip.Addr{a, public6}},
		{how: "name, beside a public IPv4 address", host: "beside-" + label + ".test", answers: []netip.Addr{public4, a}},
	}
	for _, z := range []string{"lo", "eth0", "1", "nowhere"} {
		all = append(all, spelling{how: "zone " + z, host: "[" + a.String() + "%25" + z + "]", says: zone, final: true})
	}
	return all
}

// refusedAt says, by arithmetic of its own, whether nothing may ever connect to an
// address, and whether consent is needed. It shares no table with the guard; nets
// are this machine's.
func refusedAt(ip netip.Addr, nets []netip.Prefix) (never, ask bool) {
	if ip.Zone() != "" {
		return true, false
	}
	ip = ip.Unmap()
	for _, n := range nets {
		if n.Addr() == ip || n.Masked().Contains(ip) {
			ask = true
		}
	}
	if ip.Is4() {
		b := ip.As4()
		n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		switch n {
		case 0xa9fea9fe, 0x646464c8, 0xa83f8110, 0xc00000c0, 0x64600060: // the clouds' own
			return true, false
		}
		switch {
		case b[0] == 0, b[0] >= 224, n>>16 == 0xa9fe, n>>8 == 0xc00000, n>>8 == 0xc00002, n>>8 == 0xc05863, n>>8 == 0xc63364, n>>8 == 0xcb0071, n>>17 == 0xc612>>1:
			return true, false
		case b[0] == 10, b[0] == 127, n>>20 == 0xac1, n>>16 == 0xc0a8, n>>22 == 0x64400000>>22:
			return false, true
		}
		return false, ask
	}
	b := ip.As16()
	w := func(i int) uint16 { return uint16(b[2*i])<<8 | uint16(b[2*i+1]) }
	zeros := func(from, to int) bool {
		for _, c := range b[from:to] {
			if c != 0 {
				return false
			}
		}
		return true
	}
	inner := func(i int) bool { // refused, or in need of consent
		n, a := refusedAt(netip.AddrFrom4([4]byte(b[i:i+4])), nets)
		return n || a
	}
	switch {
	case zeros(0, 15) && b[15] == 1:
		return false, true
	case w(0) == 0x64 && w(1) == 0xff9b && zeros(4, 12):
		return inner(12), false
	case b[0]&0xfe == 0xfc:
		meta := w(0) == 0xfd00 && w(1) == 0xec2 && zeros(4, 8) || ip == netip.MustParseAddr("fd20:ce::254") || ip == netip.MustParseAddr("fd00:c1::a9fe:a9fe") || ip == netip.MustParseAddr("fd00:42::42")
		return meta || b[8]&0xfc == 0 && b[9] == 0 && w(5) == 0x5efe, true
	case b[0]>>5 != 1, w(0) == 0x2002, w(0) == 0x2001 && w(1) < 0x200, w(0) == 0x2001 && w(1) == 0xdb8, w(0) == 0x3fff && w(1) < 0x1000, w(0) == 0x3ffe, b[8]&0xfc == 0 && b[9] == 0 && w(5) == 0x5efe:
		return true, false
	}
	return false, ask
}
