package egress

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/test/faults"
)

// FuzzGuard: whatever a callback's host is and whatever its name resolves to, what
// is dialled is no address that is refused, by arithmetic that shares no table with
// the guard; and nothing panics.
func FuzzGuard(f *testing.F) {
	for _, class := range classed {
		for text := range strings.FieldsSeq(class.addrs) {
			addr := netip.MustParseAddr(text)
			for i, s := range map[bool]func(netip.Addr) []spelling{true: spellings4, false: spellings6}[addr.Is4()](addr) {
				if i%7 == len(class.says)%7 { // the corpus tries them all
					f.Add(s.host, addr.AsSlice(), uint8(i))
				}
			}
		}
	}
	nets, _ := connected()
	own := netip.MustParseAddrPort("[::]:8080")
	var guards []*Guard
	for _, allow := range [][]string{nil, {"private"}, {"loopback"}, {"0.0.0.0/0", "::/0"}} {
		g := guardOf(f, Options{Allow: allow, Interfaces: connected})
		g.SetOwn([]netip.AddrPort{own})
		guards = append(guards, g)
	}
	var mu sync.Mutex
	var answers []netip.Addr
	var dialled []string
	resolver := faults.Names(func(faults.Question) faults.Reply {
		mu.Lock()
		defer mu.Unlock()
		return faults.Reply{Addrs: answers}
	})
	for _, g := range guards {
		g.resolver = resolver
		g.dialling = func(address string) error {
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, address)
			return errCut
		}
	}
	f.Fuzz(func(t *testing.T, host string, answer []byte, how uint8) {
		g, consent, port := guards[how%4], how&4 != 0, "80"
		if how&8 != 0 {
			port = "8080" // our own
		}
		if strings.Contains(host, "localhost") && strings.Contains(strings.ToLower(host), "localhost") {
			return // that is /etc/hosts's
		}
		mu.Lock()
		answers, dialled = nil, nil
		for len(answer) > 0 {
			n := 4
			if how&16 != 0 {
				n = 16
			}
			if a, ok := netip.AddrFromSlice(answer[:min(n, len(answer))]); ok {
				answers = append(answers, a)
			}
			answer = answer[min(n, len(answer)):]
		}
		mu.Unlock()
		uri := "http://" + host + ":" + port + "/"
		_ = g.CheckURL(uri, consent) // refused or not, it may have been stored before
		_ = g.Check(host, host, consent)
		connections := g.Transport(always(consent), 10*time.Second)
		if status, err := post(t, connections, uri); err == nil {
			t.Fatalf("%q is answered with %d", uri, status)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, a := range dialled {
			ap, err := netip.ParseAddrPort(a)
			if err != nil {
				t.Fatalf("%q is dialled, which is no address", a)
			}
			never, ask := refusedAt(ap.Addr(), nets)
			ip := ap.Addr().Unmap()
			near := slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(ip) })
			loopback := ip.IsLoopback() || slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Addr() == ip && !ip.IsPrivate() })
			granted := consent || how%4 == 3 || how%4 == 2 && loopback || how%4 == 1 && !loopback
			if never || ask && !granted {
				t.Fatalf("%q leads to %s (consent %v, allowed %v, near %v)", uri, a, consent, how%4, near)
			}
			if ap.Port() == own.Port() && (ip.IsLoopback() || slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Addr() == ip })) {
				t.Fatalf("%q leads to our own listener at %s", uri, a)
			}
		}
	})
}
