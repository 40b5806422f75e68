package delivery

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/internal/faults"
	"plugbeat/webhook"
)

// names is a resolver that answers every question with the IPv4 addresses of the
// name, in the order of asking; none is silence.
func names(answers func(n int) []string) *net.Resolver {
	var n atomic.Int32
	return faults.Names(func(q faults.Question) (r faults.Reply) {
		if q.IPv6 {
			return r
		}
		as := answers(int(n.Add(1)))
		for _, a := range as {
			r.Addrs = append(r.Addrs, netip.MustParseAddr(a))
		}
		r.Silent = as == nil
		return r
	})
}

// A name is judged by the address it resolves to, at each connection again.
func TestNamesAreJudgedWhenDialled(t *testing.T) {
	var served atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { served.Add(1); w.Header().Set("Connection", "close") }))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	answers := map[int][]string{1: {"127.0.0.1"}, 2: {"169.254.169.254"}, 3: {"0.0.0.0"}, 4: {"0.0.0.0", "127.0.0.1"}, 5: {"127.0.0.1"}}
	x := wireSender(t, Settings{Timeout: 5 * time.Second})
	x.guard.resolver = names(func(n int) []string { return answers[n] })
	w := hookAt("http://receiver.invalid.:" + port + "/")
	for i, c := range []struct {
		outcome webhook.Outcome
		text    string
	}{{webhook.OutcomeDelivered, ""}, {webhook.OutcomeDenied, "169.254.169.254:" + port + " is refused: cloud metadata"}, {webhook.OutcomeDenied, "unspecified"}, {webhook.OutcomeDelivered, ""}} {
		a := x.send(t.Context(), w, uuid.New(), nil)
		if a.Outcome != c.outcome || !strings.Contains(answerText(a), c.text) {
			t.Errorf("%d: %s %s", i+1, a.Outcome, answerText(a))
		}
	}
	w.AllowPrivate = false
	if a := x.send(t.Context(), w, uuid.New(), nil); a.Outcome != webhook.OutcomeDenied || !strings.Contains(answerText(a), "127.0.0.1:"+port+" is refused: loopback") {
		t.Errorf("without consent: %s %s", a.Outcome, answerText(a))
	}
	if served.Load() != 2 {
		t.Errorf("%d requests arrived", served.Load())
	}
}

// Of a name with hundreds of addresses no more than sixteen are dialled, which is
// also said; those that are refused do not count, and are not what is blamed.
func TestManyAddresses(t *testing.T) {
	x := wireSender(t, Settings{Timeout: 10 * time.Second})
	x.guard.resolver = names(func(int) []string {
		var as []string
		for i := range 150 {
			as = append(as, fmt.Sprint("10.1.1.", i), fmt.Sprint("93.184.1.", i))
		}
		return as
	})
	dialled := 0
	x.guard.dialling = func(string) error { dialled++; return syscall.ECONNREFUSED }
	w := hookAt("http://receiver.invalid/")
	w.AllowPrivate = false
	a := x.send(t.Context(), w, uuid.New(), nil)
	// The seventeenth is the last of them once more, for its error.
	if dialled != maxDials+1 || a.Outcome != webhook.OutcomeNoAnswer || !strings.Contains(a.Cause, "nothing listens there") || !strings.Contains(a.Error, "no more than 16 are tried") {
		t.Errorf("%d dialled: %s", dialled, answerText(a))
	}
}

// However loopback is written, it is not reached without consent.
func TestSpellingsOfLoopback(t *testing.T) {
	var served atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	x := wireSender(t, Settings{Timeout: 5 * time.Second})
	// What a resolver would make of the odd spellings at worst.
	x.guard.resolver = names(func(int) []string { return []string{"127.0.0.1"} })
	d := &Dispatcher{guard: x.guard}
	for _, host := range []string{
		"127.0.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "127.1", "127.0.1", "127.0.0.1.", "0", "0.0.0.0", "localhost", "LOCALHOST", "localhost.", "%6c%6fcalhost",
		"[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]",
		"[::1%25lo]", "[fe80::1%25lo]", "①②⑦.0.0.1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "xn--a.test", "localtest。me",
	} {
		uri := "http://" + host + ":" + port + "/"
		if d.checkCallback(uri, false) != nil {
			continue // told when it is added
		}
		w := hookAt(uri)
		w.AllowPrivate = false
		if a := x.send(t.Context(), w, uuid.New(), nil); a.Outcome == webhook.OutcomeDelivered || a.Status != 0 {
			t.Errorf("%s: %s %d", host, a.Outcome, a.Status)
		}
	}
	if served.Load() != 0 {
		t.Errorf("%d requests arrived", served.Load())
	}
}

// No resolver answers: that is our own fault, however long it takes to see.
func TestSilentResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := wireSender(t, Settings{Timeout: 3 * time.Second})
		x.guard.resolver = names(func(int) []string { return nil })
		a := x.send(t.Context(), hookAt("http://receiver.invalid/"), uuid.New(), nil)
		if a.Outcome != webhook.OutcomeOurs || !strings.Contains(answerText(a), "no resolver answers") || a.Duration != 3*time.Second {
			t.Errorf("%s after %s: %s", a.Outcome, a.Duration, answerText(a))
		}
		x.close()
		time.Sleep(time.Minute)
	})
}

// A receiver that takes the connection and never speaks TLS holds neither
// connection nor goroutine once the attempt is over.
func TestSilentTLS(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	closed := make(chan struct{})
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, c)
		close(closed)
		_ = c.Close()
	}()
	x := wireSender(t, Settings{Timeout: 200 * time.Millisecond})
	a := x.send(t.Context(), hookAt("https://"+ln.Addr().String()+"/"), uuid.New(), nil)
	if a.Outcome != webhook.OutcomeNoAnswer || !strings.Contains(answerText(a), "no answer within 200ms: no connection came about") {
		t.Errorf("%s %s", a.Outcome, answerText(a))
	}
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("the connection is still open")
	}
}

// A receiver that takes the connection and reads nothing of a large payload is held
// to the same time.
func TestBlockedWrite(t *testing.T) {
	x := wireSender(t, Settings{Timeout: 300 * time.Millisecond})
	uri := "http://" + faults.Listen(t, func(net.Conn) { <-t.Context().Done() }) + "/"
	a := x.send(t.Context(), hookAt(uri), uuid.New(), make([]byte, 64<<20))
	if a.Outcome != webhook.OutcomeNoAnswer || a.Duration > 10*time.Second || !strings.Contains(answerText(a), "no answer within 300ms") {
		t.Errorf("%s after %s: %s", a.Outcome, a.Duration, answerText(a))
	}
}

// HTTP/2 is not even offered: it would lower the spelling of SC-Signature.
func TestOffersNoHTTP2(t *testing.T) {
	offered := make(chan []string, 1)
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) { //nolint:gosec // a test's server
		offered <- h.SupportedProtos
		return nil, nil
	}}
	srv.StartTLS()
	defer srv.Close()
	a := wireSender(t, Settings{}).send(t.Context(), hookAt(srv.URL), uuid.New(), nil)
	if got := <-offered; slices.Contains(got, "h2") {
		t.Errorf("offered %v; %s", got, answerText(a))
	}
}

// A machine without a network blames no receiver outside, but one on loopback.
func TestOffline(t *testing.T) {
	x := wireSender(t, Settings{})
	x.guard.interfaces = func() ([]netip.Prefix, error) { return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}, nil }
	x.transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, syscall.EHOSTUNREACH })
	if a := x.send(t.Context(), hookAt("http://receiver.test/"), uuid.New(), nil); a.Outcome != webhook.OutcomeOurs || !strings.Contains(a.Cause, "no address but loopback") {
		t.Errorf("%+v", a)
	}
	x.transport = nil
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	_ = ln.Close()
	x.guard.resolver = names(func(int) []string { return []string{"127.0.0.1"} })
	for _, host := range []string{"127.0.0.1", "localhost", "receiver.invalid"} {
		if a := x.send(t.Context(), hookAt("http://"+host+":"+port+"/"), uuid.New(), nil); a.Outcome != webhook.OutcomeNoAnswer {
			t.Errorf("%s: %+v", host, a)
		}
	}
}

// Neither a log nor a record shows a password that a receiver puts into its
// redirect.
func TestRedirectWithPassword(t *testing.T) {
	uri := raw(t, func(_ int, _ string, c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: https://joe:hunter2@other.test/\r\nContent-Length: 0\r\n\r\n")
	})
	a := wireSender(t, Settings{}).send(t.Context(), hookAt(uri), uuid.New(), nil)
	if text := fmt.Sprint(answerText(a), a); strings.Contains(text, "hunter2") || !strings.Contains(text, "other.test") {
		t.Error(text)
	}
	d := &Dispatcher{guard: wireSender(t, Settings{}).guard}
	if err := d.checkCallback("https://joe:hunter2@other.test/"+strings.Repeat("x", 3000), false); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// A hundred webhooks with much waiting at receivers that hang: what runs is
// bounded, and the one that is well is not delayed.
func TestManyLanes(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		ids := []uuid.UUID{r.id}
		for i := range 99 {
			w, err := r.Add(t.Context(), webhook.Webhook{Name: fmt.Sprint("hook ", i), CallbackURI: "http://receiver.test/"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Enable(t.Context(), w.ID, false, ""); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, w.ID)
		}
		fast := map[string]bool{}
		r.r.set(func(ctx context.Context, id string, _ int) (int, error) {
			if locked(&r.m.mu, func() bool { return fast[id] }) {
				return 200, nil
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
			}
			return 200, ctx.Err()
		})
		idle := runtime.NumGoroutine()
		for i, id := range ids {
			ds := r.m.produce(id, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
			if i == 0 {
				r.m.mu.Lock()
				for _, d := range ds {
					fast[d.ID.String()] = true
				}
				r.m.mu.Unlock()
			}
			r.Produced(ds)
		}
		at := time.Now()
		synctest.Wait()
		if l := r.m.hook(r.id).Ledger; l.Delivered != 16 || time.Since(at) != 0 {
			t.Errorf("%d delivered after %s beside 99 slow webhooks", l.Delivered, time.Since(at))
		}
		rest(11 * time.Second)
		if n := runtime.NumGoroutine() - idle; n > 100*9 {
			t.Errorf("%d goroutines more for 100 webhooks", n)
		}
		rest(time.Minute)
		for _, id := range ids {
			if l := r.m.hook(id).Ledger; l.Delivered != 16 {
				t.Errorf("%d delivered", l.Delivered)
			}
		}
	})
}

// A fault of our own is shown while it lasts, also when nothing is left to send.
func TestPausedIsShownWhileItLasts(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.set(func(context.Context, string, int) (int, error) {
			return 0, &net.DNSError{Err: "i/o timeout", IsTimeout: true}
		})
		d := r.produce(1)
		rest(time.Second)
		if l := r.Lanes()[0]; !strings.Contains(l.Paused, "no resolver") {
			t.Errorf("%+v", l)
		}
		r.m.mu.Lock()
		x := r.m.ds[d[0].ID]
		if err := x.Apply(webhook.Cancelled, time.Now(), "disconnected"); err != nil {
			t.Error(err)
		}
		r.m.ds[d[0].ID] = x
		r.m.mu.Unlock()
		r.Forget(d)
		rest(time.Hour)
		if l := r.Lanes()[0]; l.Paused != "" {
			t.Errorf("%+v", l)
		}
	})
}

// The wall clock went back by hours while a vehicle rested on its own rung.
func TestClockWentBackWhileResting(t *testing.T) {
	bubble(t, Settings{Jitter: -1}, func(t *testing.T, r *rig) {
		r.r.set(func(_ context.Context, _ string, n int) (int, error) {
			if n == 0 {
				time.Sleep(time.Second)
				return 500, nil
			}
			return 200, nil
		})
		bad := r.produce(1)[0]
		rest(time.Millisecond)
		r.produce(2)
		rest(2 * time.Second)
		// As if all of it had been written five hours ahead.
		const step = 5 * time.Hour
		r.m.mu.Lock()
		x := r.m.ds[bad.ID]
		x.NextAttempt = x.NextAttempt.Add(step)
		r.m.ds[bad.ID] = x
		r.m.mu.Unlock()
		l := r.lane(r.id)
		l.mu.Lock()
		l.q.rest(webhook.LaneItem{Delivery: bad.ID, Vehicle: bad.Vehicle}, x.NextAttempt)
		l.turned = l.turned.Add(step)
		l.mu.Unlock()
		rest(maxSleep + 11*time.Second)
		if r.m.state(bad.ID) != webhook.Delivered {
			t.Errorf("%s; its own rung was 10s", r.m.state(bad.ID))
		}
	})
}
