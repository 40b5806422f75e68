package egress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func guardOf(t testing.TB, o Options) *Guard {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// connected are the interfaces of a machine with both families and a home network,
// whatever the one has that runs the test.
func connected() ([]netip.Prefix, error) {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.168.77.2/24"),
		netip.MustParsePrefix("2a01:db77:1::2/64"), netip.MustParsePrefix("81.2.69.140/24"), netip.MustParsePrefix("fe80::2/64"),
	}, nil
}

func always(consent bool) func(string) bool { return func(string) bool { return consent } }

// post makes a request and returns its status, 0 where no answer came.
func post(t testing.TB, connections *http.Transport, uri string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, uri, strings.NewReader("{}"))
	if err != nil {
		return 0, err
	}
	res, err := connections.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10))
	_ = res.Body.Close()
	return res.StatusCode, nil
}

func TestClasses(t *testing.T) {
	for class, addrs := range map[class]string{
		classPublic:      "1.1.1.1 8.8.8.8 100.128.0.1 172.32.0.1 192.169.0.1 198.20.0.1 2606:4700::1 2a00:1450::1 2001:4860::1 2001:200::1 64:ff9b::808:808 ::ffff:8.8.8.8 223.255.255.255 11.0.0.1 126.255.255.255 128.0.0.1 169.253.1.1",
		classPrivate:     "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 fc00::1 fd12::1 fd00:42::43 100.96.0.97 ::ffff:10.0.0.1",
		classLoopback:    "127.0.0.1 127.255.0.1 ::1 ::ffff:127.0.0.1",
		"cloud metadata": "169.254.169.254 169.254.170.2 169.254.170.23 fd00:ec2::254 fd00:ec2::23 fd00:42::42 fd00:c1::a9fe:a9fe 100.96.0.96 ::ffff:100.96.0.96 64:ff9b::6460:60 100.100.100.200 168.63.129.16 192.0.0.192 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe      ",
		classLinkLocal:   "169.254.1.1 fe80::1 fe80::1%eth0 febf::1 ::1%lo 2606:4700::1%eth0 ::ffff:169.254.1.1 64:ff9b::a9fe:101",
		"unspecified":    "0.0.0.0 :: ::ffff:0.0.0.0 64:ff9b::",
		"multicast":      "224.0.0.1 239.255.255.255 ff02::1 ::ffff:224.0.0.1 ",
		"broadcast":      "255.255.255.255 64:ff9b::ffff:ffff",
		"this network":   "0.1.2.3 0.255.255.255 ",
		classReserved:    "192.0.0.8 192.88.99.1 240.0.0.1 100::1 4000::1 fec0::1 2001:10::1 2001:20::1 2001:1::1 5f00::1 3ffe::1 1::1",
		"benchmarking":   "198.18.0.1 198.19.255.255 2001:2::1 ::ffff:198.18.0.1",
		"documentation":  " 192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1",
		classTransition:  "2002:a9fe:a9fe::1 ::169.254.169.254 ::ffff:0:a9fe:a9fe 2001:0:a9fe:a9fe:: 2001:0:808:808::5601:5601 2606::200:5efe:a9fe:a9fe 2002:e000:1:: ::0.0.0.2 2001:0:4136:e378:8000:63bf:3fff:fdd2 2002:7f00:1::1 2002:808:808::1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::7f00:1 64:ff9b:1::808:808 64:ff9b:1:a9fe:a9:fe00:: ::7f00:1 ::8.8.8.8 ::ffff:0:7f00:1 2001:0:7f00:1::f7f7:f7f7 2001:0:808:808::80ff:fffe 2606::5efe:10.0.0.1 fd12::200:5efe:8.8.8.8",
	} {
		for a := range strings.FieldsSeq(addrs) {
			ip, err := netip.ParseAddr(a)
			if err != nil {
				t.Fatal(err)
			}
			if got, text, _ := judge(ip, nil); got != class || text == "" {
				t.Errorf("%s is %s (%s), want %s", a, got, text, class)
			}
		}
	}
	if _, text, _ := judge(netip.MustParseAddr("2001:0:808:808::80ff:fffe"), nil); text != "the Teredo form of an IPv4 address" {
		t.Error(text)
	}
}

func TestGuard(t *testing.T) {
	all := []string{"10.0.0.1:80", "192.168.1.5:8123", "127.0.0.1:9000", "[::1]:9000", "[fd00::1]:80", "8.8.8.8:443"}
	for _, c := range []struct {
		allow   string
		private bool
		want    string // which of all pass
	}{
		{"", false, "8.8.8.8:443"},
		{"", true, strings.Join(all, " ")},
		{"private", false, "10.0.0.1:80 192.168.1.5:8123 [fd00::1]:80 8.8.8.8:443"},
		{"loopback", false, "127.0.0.1:9000 [::1]:9000 8.8.8.8:443"},
		{"192.168.1.0/24", false, "192.168.1.5:8123 8.8.8.8:443"},
		{"192.168.1.5", false, "192.168.1.5:8123 8.8.8.8:443"},
		{"192.168.1.5:8123", false, "192.168.1.5:8123 8.8.8.8:443"},
		{"192.168.1.5:80", false, "8.8.8.8:443"},
		{"::1", false, "[::1]:9000 8.8.8.8:443"},
		{"0.0.0.0/0", false, "10.0.0.1:80 192.168.1.5:8123 127.0.0.1:9000 8.8.8.8:443"},
	} {
		var allow []string
		if c.allow != "" {
			allow = []string{c.allow}
		}
		g := guardOf(t, Options{Allow: allow})
		for _, a := range all {
			err := g.Check(a, a, c.private)
			if want := strings.Contains(" "+c.want+" ", " "+a+" "); (err == nil) != want {
				t.Errorf("allow %q, consent %v: %s: %v", c.allow, c.private, a, err)
			}
			var denied *DeniedError
			if err != nil && (!errors.As(err, &denied) || !strings.Contains(denied.Advice(), "delivery.allow") || !strings.Contains(err.Error(), a)) {
				t.Errorf("%v", err)
			}
		}
		for _, a := range []string{"169.254.169.254:80", "[fe80::1%lo]:80", "0.0.0.0:80", "224.0.0.1:80", "240.0.0.1:80", "[2002:7f00:1::]:80", "192.0.2.1:80", "[fd00:42::42]:80", "100.96.0.96:80", "nonsense", ""} {
			if g.Check(a, a, true) == nil {
				t.Errorf("allow %q: %s passes", c.allow, a)
			}
		}
	}
	// Wide networks are fine, and open nothing that is never allowed.
	g := guardOf(t, Options{Allow: []string{"::/0", "0.0.0.0/0", "fd00::/8", "64:ff9b::/96"}})
	for _, a := range []string{"[fd00:ec2::254]:80", "[::7f00:1]:80", "[64:ff9b::7f00:1]:80", "169.254.169.254:80", "[fe80::1]:80", "[::]:80"} {
		if g.Check(a, a, true) == nil {
			t.Errorf("%s passes", a)
		}
	}
	// A name in the list allows what it resolves to, at that port.
	g = guardOf(t, Options{Allow: []string{"Home.Local:8123", "dot.test.:1", "[FD12:0::1]:2"}})
	if g.Check("192.168.1.5:8123", "home.local:8123", false) != nil || g.Check("192.168.1.5:8123", "other.local:8123", false) == nil {
		t.Error("host:port does not go by name")
	}
	if g.Check("10.0.0.1:1", "dot.test:1", false) != nil || g.Check("10.0.0.1:8123", "HOME.local.:8123", false) != nil || g.Check("[fd12::1]:2", "x.test:2", false) != nil {
		t.Error("another spelling of the same is refused")
	}
	if g.Check("169.254.169.254:8123", "home.local:8123", false) == nil {
		t.Error("a name reaches the metadata service")
	}
	for _, bad := range []string{"", "everything", "10.0.0.0/33", "169.254.169.254", "169.254.169.254:80", "fd00:42::42", "100.96.0.96", "0.0.0.0", "224.0.0.1/32", "host", "host:0", "host:99999", "*:80", "::ffff:10.0.0.0/104",
		"169.254.0.0/16", "169.254.169.0/24", "fe80::/10", "fe80::1%eth0", "[fe80::1%eth0]:80", "224.0.0.0/8", "2002:7f00::/24", "2001::/40", "64:ff9b:1::/48", "::7f00:1", "0.0.0.0/8", "[::ffff:169.254.169.254]:80", "64:ff9b::a00:1"} {
		_, err := New(Options{Allow: []string{"private", bad}})
		if invalid, ok := errors.AsType[*EntryError](err); !ok || !strings.HasPrefix(invalid.Error(), fmt.Sprintf("delivery.allow[1] %q: ", bad)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestOwnListeners(t *testing.T) {
	g := guardOf(t, Options{Allow: []string{"loopback", "private"}})
	g.interfaces = connected
	g.SetOwn([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("[::]:9090"), netip.MustParseAddrPort("[::ffff:192.168.77.2]:7070")})
	for a, refused := range map[string]bool{
		"192.168.77.2:9090": true, "[::ffff:192.168.77.2]:9090": true, "[2a01:db77:1::2]:9090": true, "[2a01:db77:1:0:0::2]:9090": true, "81.2.69.140:9090": true, "192.168.77.2:7070": true, "127.0.0.1:7070": true,
		"192.168.77.3:9090": false, "[2a01:db77:1::3]:9090": false, "192.168.77.2:8080": false, "[2a01:db77:1::2]:7070": false,
		"127.0.0.1:8080": true, "[::1]:8080": true, "127.0.0.2:8080": true, "[::ffff:127.0.0.1]:8080": true, "127.0.0.1:9090": true,
		"127.0.0.1:8081": false, "10.99.0.1:8080": false, "10.99.0.1:9090": false,
	} {
		if err := g.Check(a, a, true); (err != nil) != refused {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// What looks public may be this machine, or a device of its network: both need
// consent, or an entry.
func TestNear(t *testing.T) {
	for _, c := range []struct {
		address, class string
		entries        []string // that allow it
	}{
		{"81.2.69.140:80", "this machine", []string{"loopback", "81.2.69.140", "81.2.69.0/24", "81.2.69.140:80"}},
		{"81.2.69.141:80", "this machine's network", []string{"private", "81.2.69.0/24", "[::ffff:81.2.69.141]:80"}},
		{"[2a01:db77:1::2]:80", "this machine", []string{"loopback", "[2A01:DB77:1:0::2]:80", "2a01:db77:1::/64"}},
		{"[2a01:db77:1:0:1::9]:80", "this machine's network", []string{"private", "2a01:db77:1::/64"}},
		{"[2a01:db77:1:1::9]:80", "", nil},
		{"81.2.68.141:80", "", nil},
	} {
		g := guardOf(t, Options{})
		g.interfaces = connected
		err := g.Check(c.address, c.address, false)
		if (err == nil) != (c.class == "") || err != nil && !strings.HasSuffix(err.Error(), c.address+" is refused: "+c.class) {
			t.Errorf("%s: %v", c.address, err)
		}
		if err := g.Check(c.address, c.address, true); err != nil {
			t.Errorf("with consent: %v", err)
		}
		for _, e := range []string{"loopback", "private", "81.2.69.140", "81.2.69.0/24", "81.2.69.140:80", "[::ffff:81.2.69.141]:80", "[2A01:DB77:1:0::2]:80", "2a01:db77:1::/64"} {
			g := guardOf(t, Options{Allow: []string{e}})
			g.interfaces = connected
			if err := g.Check(c.address, "name.test:80", false); c.class != "" && (err == nil) != slices.Contains(c.entries, e) {
				t.Errorf("%s with %s: %v", c.address, e, err)
			}
		}
		// Where this machine's addresses cannot be read, its own ports are left alone.
		g.interfaces = func() ([]netip.Prefix, error) { return nil, errors.New("no netlink") }
		if err := g.Check(c.address, c.address, true); err != nil {
			t.Errorf("without a list: %v", err)
		}
		g.SetOwn([]netip.AddrPort{netip.MustParseAddrPort("[::]:80")})
		if err := g.Check(c.address, c.address, true); err == nil {
			t.Errorf("%s may be our own listener, and passes", c.address)
		}
	}
	// The machine's own list is read as it is.
	g := guardOf(t, Options{})
	nets, err := g.interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nets {
		if a := netip.AddrPortFrom(n.Addr(), 80).String(); g.Check(a, a, false) == nil {
			t.Errorf("%s of this machine passes", a)
		}
	}
}
