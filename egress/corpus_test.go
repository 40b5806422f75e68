package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/test/faults"
	"plugbeat/webhook"
)

// errCut ends the dialling of an address that passed and is not on this machine.
var errCut = errors.New("cut by the test")

// corpus tries callbacks through the real connections. What is dialled is noted, and what
// arrives at a trap that listens on every address.
type corpus struct {
	t    *testing.T
	port string
	dns  *faults.DNS
	// whole is true where every address there is leads to the trap.
	whole bool

	// numbers counts the numbers without a letter that a resolver took for addresses.
	numbers int

	mu       sync.Mutex
	names    map[string][]netip.Addr
	dialled  []netip.Addr
	accepted map[netip.Addr]int // connections, by the address that they reached
	arrived  map[netip.Addr]int // requests
	answer   http.HandlerFunc
}

func newCorpus(t *testing.T) *corpus {
	t.Helper()
	c := &corpus{t: t, names: map[string][]netip.Addr{}, accepted: map[netip.Addr]int{}, arrived: map[netip.Addr]int{}, whole: os.Getenv(wholeWorld) != ""}
	c.dns = faults.NewDNS(t, c.resolve)
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	_, c.port, _ = net.SplitHostPort(ln.Addr().String())
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		c.mu.Lock()
		c.arrived[addrOf(at)]++
		answer := c.answer
		c.mu.Unlock()
		w.Header().Set("Connection", "close")
		if answer != nil {
			answer(w, r)
		}
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Config.ConnState = func(conn net.Conn, s http.ConnState) {
		if s == http.StateNew {
			c.mu.Lock()
			c.accepted[addrOf(conn.LocalAddr())]++
			c.mu.Unlock()
		}
	}
	_ = srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	t.Cleanup(srv.Close)
	return c
}

func addrOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return t.AddrPort().Addr().Unmap()
}

// untouched fails the test when a connection arrived where none may. It first makes
// one of its own, behind which none can be on its way.
func (c *corpus) untouched() {
	c.t.Helper()
	res, err := http.Get("http://127.0.0.1:" + c.port + "/mark") //nolint:noctx // loopback
	if err != nil {
		c.t.Fatal(err)
	}
	_ = res.Body.Close()
	nets, _ := connected()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accepted[netip.MustParseAddr("127.0.0.1")]--; c.accepted[netip.MustParseAddr("127.0.0.1")] == 0 {
		delete(c.accepted, netip.MustParseAddr("127.0.0.1"))
	}
	for at, times := range c.accepted {
		if never, ask := refusedAt(at, nets); never || ask {
			c.t.Errorf("%d connections arrived at %s", times, at)
		}
	}
}

// resolve answers with what was registered for a name, also where the machine's
// search list was added to it.
func (c *corpus) resolve(q faults.Question) faults.Reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := q.Name; ; {
		if as := c.names[name]; as != nil {
			return faults.Reply{Addrs: as}
		}
		i := strings.LastIndexByte(name, '.')
		if i < 0 {
			return faults.Reply{RCode: 3}
		}
		name = name[:i]
	}
}

// way is a guard with the connections that it gives to a webhook with consent and to
// one without.
type way struct {
	guard             *Guard
	consented, strict *http.Transport
}

func (c *corpus) way(allow ...string) *way {
	g := guardOf(c.t, Options{Allow: allow, Resolver: c.dns.Resolver(), Interfaces: connected})
	g.dialling = func(address string) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			c.t.Errorf("%q is dialled", address)
			return errCut
		}
		c.mu.Lock()
		c.dialled = append(c.dialled, ap.Addr())
		c.mu.Unlock()
		if !c.whole && !ap.Addr().Unmap().IsLoopback() {
			return errCut
		}
		return nil
	}
	w := &way{g, g.Transport(always(true), 20*time.Second), g.Transport(always(false), 20*time.Second)}
	c.t.Cleanup(w.consented.CloseIdleConnections)
	c.t.Cleanup(w.strict.CloseIdleConnections)
	return w
}

// try sends to a callback as a webhook of it would, also where adding the webhook
// would have been refused. It returns whether it would have been taken, the status or
// why none came, and what was dialled.
func (c *corpus) try(x *way, uri string, consent bool) (taken bool, status int, err error, dialled []netip.Addr) { //nolint:revive,staticcheck // in the order of the steps
	c.mu.Lock()
	c.dialled = nil
	c.mu.Unlock()
	taken = webhook.CheckCallback(uri) == nil && x.guard.CheckURL(uri, consent) == nil
	connections := x.strict
	if consent {
		connections = x.consented
	}
	status, err = post(c.t, connections, uri)
	c.mu.Lock()
	defer c.mu.Unlock()
	return taken, status, err, c.dialled
}

// register makes the name server know a host, as the transport will ask for it.
func (c *corpus) register(host string, answers []netip.Addr) {
	if len(answers) == 0 {
		return
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[name] = answers
	// What an international name becomes is asked of net/http itself.
	x := &http.Transport{DialContext: func(_ context.Context, _, asked string) (net.Conn, error) {
		if h, _, err := net.SplitHostPort(asked); err == nil {
			c.names[strings.ToLower(strings.TrimSuffix(h, "."))] = answers
		}
		return nil, errCut
	}}
	if req, err := http.NewRequest(http.MethodPost, "http://"+host+"/", nil); err == nil {
		if res, err := x.RoundTrip(req); err == nil {
			_ = res.Body.Close()
		}
	}
}

// TestGuardCorpus tries every spelling of every class as a callback: none that must
// be refused is dialled, and each that must be allowed is. Run it with -v for its
// count.
func TestGuardCorpus(t *testing.T) {
	c := newCorpus(t)
	nets, _ := connected()
	n, atOnce, per := 0, 0, map[string]int{}
	strict, open := c.way(), c.way("private", "loopback", "0.0.0.0/0", "::/0")
	const own = "65432"
	for _, a := range []string{"[::]:65432", "0.0.0.0:65432"} {
		open.guard.SetOwn(append(open.guard.own, netip.MustParseAddrPort(a)))
	}
	for _, class := range classed {
		for text := range strings.FieldsSeq(class.addrs) {
			addr := netip.MustParseAddr(text)
			spellings := spellings6
			if addr.Is4() {
				spellings = spellings4
			}
			all := spellings(addr)
			for _, s := range all {
				c.register(s.host, s.answers)
				x, consent := strict, false
				if s.final || !class.asks {
					x, consent = open, true // whatever is allowed
				}
				port := c.port
				if class.own {
					port = own
				}
				x.guard.resolver = c.dns.Resolver()
				if s.number && c.whole {
					x.guard.resolver = nil // the system's reads it as a number
				}
				for _, scheme := range []string{"http", "https"} {
					taken, status, err, dialled := c.try(x, scheme+"://"+s.host+":"+port+"/", consent)
					n++
					per[class.says]++
					where := fmt.Sprintf("%s %s, %s (%s)", class.says, addr, s.how, s.host)
					if !taken {
						atOnce++
					}
					for _, d := range dialled {
						if never, ask := refusedAt(d, nets); never || ask && !consent {
							t.Errorf("%s: %s is dialled", where, d)
						}
					}
					if status != 0 && (len(dialled) == 0 || !c.whole) {
						t.Errorf("%s: answered %d", where, status)
					}
					c.judge(where, s, class.says, class.asks, taken, err, dialled)
				}
			}
			if len(all) < 8 {
				t.Errorf("%s has only %d spellings", addr, len(all))
			}
		}
	}
	c.untouched()
	t.Logf("%d callbacks that must be refused, none dialled; %d of them refused as they were added", n, atOnce)
	for _, class := range classed {
		t.Logf("  %-24s %d", class.says, per[class.says])
	}
	if c.whole {
		t.Logf("the system's resolver took %d numbers for addresses", c.numbers)
	}
	t.Logf("%d callbacks that must be allowed, all dialled", c.allowed())
}

// judge looks at how a callback was refused: by an error that names what is wrong.
func (c *corpus) judge(where string, s spelling, class string, asks, taken bool, err error, dialled []netip.Addr) {
	c.t.Helper()
	denied, ok := errors.AsType[*DeniedError](err)
	switch {
	case len(dialled) > 0:
		// A public address beside it, or before it in what is no callback.
		// Or what a number means in another base.
		if len(s.answers) < 2 && taken && !s.number {
			c.t.Errorf("%s: %v is dialled", where, dialled)
		}
	case ok:
		if s.number {
			c.numbers++
		}
		named := strings.Contains(denied.Class, class) || s.says != "" && strings.Contains(denied.Class, s.says)
		if !strings.Contains(denied.Error(), " is refused: ") || !named && len(s.answers) < 2 {
			c.t.Errorf("%s: %v", where, denied)
		}
		if ask := asks && !s.final; strings.Contains(denied.Advice(), "delivery.allow") != ask && strings.Contains(denied.Advice(), "no setting allows it") == ask {
			c.t.Errorf("%s: %v; %s", where, denied, denied.Advice())
		}
	case !taken:
		// No callback at all: a URI that is refused for its form.
	case s.number && (c.whole || strings.Contains(fmt.Sprint(err), "no such host")):
		// A name that is none.
	default:
		c.t.Errorf("%s: neither refused nor dialled: %v", where, err)
	}
}

// allowed tries what must be let through and returns how much that is.
func (c *corpus) allowed() int {
	for _, ok := range allowedCallbacks {
		var answers []netip.Addr
		for a := range strings.FieldsSeq(ok.answers) {
			answers = append(answers, netip.MustParseAddr(a))
		}
		c.register(ok.host, answers)
		var allow []string
		if ok.allow != "" {
			allow = []string{strings.ReplaceAll(ok.allow, "{port}", c.port)}
		}
		want := netip.MustParseAddr(ok.want)
		c.mu.Lock()
		before := c.arrived[want]
		c.mu.Unlock()
		taken, status, err, dialled := c.try(c.way(allow...), "http://"+ok.host+":"+c.port+"/hook", ok.consent)
		c.mu.Lock()
		arrived := c.arrived[want] - before
		c.mu.Unlock()
		reached := len(dialled) > 0 && !slices.ContainsFunc(dialled, func(d netip.Addr) bool { return d.Unmap() != want }) || ok.host == "localhost" && len(dialled) > 0
		if !taken || !reached {
			c.t.Errorf("%s with %q: taken %v, dialled %v: %v", ok.host, ok.allow, taken, dialled, err)
		}
		if (c.whole || want.IsLoopback()) && (status != http.StatusOK || arrived != 1) && ok.host != "localhost" && hasIPv6(want) {
			c.t.Errorf("%s with %q: %d, %d arrived: %v", ok.host, ok.allow, status, arrived, err)
		}
	}
	if len(allowedCallbacks) < 50 {
		c.t.Errorf("only %d", len(allowedCallbacks))
	}
	return len(allowedCallbacks)
}

// hasIPv6 is true of IPv4, and of IPv6 where this machine speaks it at all.
func hasIPv6(a netip.Addr) bool {
	if a.Is4() {
		return true
	}
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return false
	}
	_ = ln.Close()
	return true
}

// A name that is public when somebody looks and refused when it is dialled, at
// every change of its answer: what is dialled is what was judged.
func TestRebinding(t *testing.T) {
	c := newCorpus(t)
	nets, _ := connected()
	addresses := []netip.Addr{public4, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("10.1.2.3"), public6, netip.MustParseAddr("::1"), netip.MustParseAddr("fd00:ec2::254")}
	asked := 0
	resolver := faults.NewDNS(t, func(faults.Question) faults.Reply {
		c.mu.Lock()
		defer c.mu.Unlock()
		asked++
		return faults.Reply{Addrs: []netip.Addr{addresses[asked%len(addresses)], addresses[asked/len(addresses)%len(addresses)]}}
	})
	x := c.way()
	x.guard.resolver = resolver.Resolver()
	refused, cut := 0, 0
	for range 200 {
		taken, _, err, dialled := c.try(x, "http://addresses.test:"+c.port+"/", false)
		if !taken {
			t.Fatal("refused before it is known")
		}
		if NotDialled(err) {
			refused++
		} else if errors.Is(err, errCut) {
			cut++
		}
		for _, d := range dialled {
			if never, ask := refusedAt(d, nets); never || ask {
				t.Errorf("%s is dialled", d)
			}
		}
	}
	c.untouched()
	c.mu.Lock()
	defer c.mu.Unlock()
	if asked < 200 || refused == 0 || !c.whole && cut == 0 {
		t.Errorf("%d questions, %d refused, %d dialled", asked, refused, cut)
	}
	t.Logf("200 requests to a name of changing addresses: %d refused, %d dialled outside", refused, cut)
}
