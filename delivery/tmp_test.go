package delivery

import "net/netip"

// connected are the interfaces of a machine with both families and a home network,
// whatever the one has that runs the test.
func connected() ([]netip.Prefix, error) {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.168.77.2/24"),
		netip.MustParsePrefix("2a01:db77:1::2/64"), netip.MustParsePrefix("81.2.69.140/24"), netip.MustParsePrefix("fe80::2/64"),
	}, nil
}
