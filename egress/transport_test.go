package egress

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"plugbeat/test/faults"
)

// names is a resolver that answers every question with the IPv4 addresses of the name,
// in the order of asking.
func names(answers func(n int) []string) *net.Resolver {
	var n atomic.Int32
	return faults.Names(func(q faults.Question) (r faults.Reply) {
		if q.IPv6 {
			return r
		}
		for _, a := range answers(int(n.Add(1))) {
			r.Addrs = append(r.Addrs, netip.MustParseAddr(a))
		}
		return r
	})
}

// A name is judged by the address it resolves to, at each connection again.
func TestNamesAreJudgedWhenDialled(t *testing.T) {
	var served atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		w.Header().Set("Connection", "close")
	}))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	answers := map[int][]string{1: {"127.0.0.1"}, 2: {"169.254.169.254"}, 3: {"0.0.0.0"}, 4: {"0.0.0.0", "127.0.0.1"}, 5: {"127.0.0.1"}}
	g := guardOf(t, Options{Interfaces: connected, Resolver: names(func(n int) []string { return answers[n] })})
	for i, c := range []struct {
		consent bool
		want    string // what the refusal says; empty for an answer
	}{
		{true, ""}, {true, "169.254.169.254:" + port + " is refused: cloud metadata"}, {true, "unspecified"}, {true, ""},
		{false, "127.0.0.1:" + port + " is refused: loopback"},
	} {
		connections := g.Transport(always(c.consent), 5*time.Second)
		_, err := post(t, connections, "http://receiver.invalid.:"+port+"/")
		connections.CloseIdleConnections()
		if (err == nil) != (c.want == "") || err != nil && (!NotDialled(err) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%d: %v", i+1, err)
		}
	}
	if served.Load() != 2 {
		t.Errorf("%d requests arrived", served.Load())
	}
}

// Of a name with hundreds of addresses no more than sixteen are dialled. The refused ones do
// not count.
func TestManyAddresses(t *testing.T) {
	var as []string
	for i := range 150 {
		as = append(as, fmt.Sprint("10.1.1.", i), fmt.Sprint("93.184.1.", i))
	}
	g := guardOf(t, Options{Interfaces: connected, Resolver: names(func(int) []string { return as })})
	dialled := 0
	g.dialling = func(string) error { dialled++; return syscall.ECONNREFUSED }
	if _, err := post(t, g.Transport(always(false), 10*time.Second), "http://receiver.invalid/"); dialled != maxDials || err == nil {
		t.Errorf("%d dialled: %v", dialled, err)
	}
}

// However loopback is written, it is not reached without consent.
func TestSpellingsOfLoopback(t *testing.T) {
	var served atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	// What a resolver would make of the odd spellings at worst.
	g := guardOf(t, Options{Interfaces: connected, Resolver: names(func(int) []string { return []string{"127.0.0.1"} })})
	connections := g.Transport(always(false), 5*time.Second)
	for _, host := range []string{
		"127.0.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "127.1", "127.0.1", "127.0.0.1.", "0", "0.0.0.0", "localhost",
		"LOCALHOST", "localhost.", "%6c%6fcalhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
		"[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[::1%25lo]",
		"[fe80::1%25lo]", "①②⑦.0.0.1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "xn--a.test", "localtest。me",
	} {
		if status, err := post(t, connections, "http://"+host+":"+port+"/"); err == nil {
			t.Errorf("%s: %d", host, status)
		}
	}
	if served.Load() != 0 {
		t.Errorf("%d requests arrived", served.Load())
	}
}

// A proxy of the environment would hide from the guard where a request goes.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if guardOf(t, Options{}).Transport(always(true), time.Second).Proxy != nil {
		t.Error("a proxy is used")
	}
}

// An origin's consent is to its own host, where that is an address or localhost.
func TestOrigins(t *testing.T) {
	consent := Origins("http://127.0.0.1:4000", "http://LocalHost/x", "https://10.0.0.5", "https://api.smartcar.com", "%")
	for asked, want := range map[string]bool{
		"127.0.0.1:80": true, "LOCALHOST:4000": true, "10.0.0.5:443": true, "api.smartcar.com:443": false, "10.0.0.6:443": false, "10.0.0.5": false, "": false,
	} {
		if consent(asked) != want {
			t.Errorf("%q: %v", asked, !want)
		}
	}
}

// An address is out of reach of a machine that has none of its family, or only a private
// one where a global one is needed.
func TestHasWayTo(t *testing.T) {
	v4, v6, ula := "192.168.77.2/24", "2a01:db77:1::2/64", "fd77::2/64"
	for _, c := range []struct {
		has  []string
		to   string
		want bool
	}{
		{[]string{v4}, "2606:4700::1", false},
		{[]string{v4, ula}, "2606:4700::1", false},
		{[]string{v6}, "1.1.1.1", false},
		{[]string{v6}, "::ffff:1.1.1.1", false},
		{[]string{v4, ula}, "fd78::1", true},
		{[]string{v4, v6}, "2606:4700::1", true},
		{[]string{v4}, "1.1.1.1", true},
		{nil, "1.1.1.1", false},
		{nil, "2606:4700::1", false},
	} {
		g := guardOf(t, Options{Interfaces: func() (ps []netip.Prefix, err error) {
			for _, n := range append(c.has, "127.0.0.1/8", "::1/128", "fe80::2/64", "169.254.3.4/16") {
				ps = append(ps, netip.MustParsePrefix(n))
			}
			return ps, nil
		}})
		if got := g.HasWayTo(netip.MustParseAddr(c.to)); got != c.want {
			t.Errorf("%v to %s: %v", c.has, c.to, got)
		}
		if got := g.HasWayTo(netip.Addr{}); got != (len(c.has) > 0) {
			t.Errorf("%v: a way out %v", c.has, got)
		}
	}
	for _, unread := range []error{nil, errors.New("no netlink")} {
		g := guardOf(t, Options{Interfaces: func() ([]netip.Prefix, error) { return nil, unread }})
		if !g.HasWayTo(netip.MustParseAddr("1.1.1.1")) {
			t.Errorf("a machine whose addresses cannot be read (%v) has no way out", unread)
		}
	}
}
