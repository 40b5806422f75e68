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
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/egress"
	"plugbeat/internal/faults"
	"plugbeat/webhook"
)

// No resolver answers: that is our own fault, however long it takes to see.
func TestSilentResolver(t *testing.T) {
	// Package net reads the system's configuration once, which must not be inside a bubble.
	none := faults.Names(func(faults.Question) faults.Reply { return faults.Reply{RCode: 3} })
	if _, err := none.LookupHost(t.Context(), "receiver.invalid"); err == nil {
		t.Fatal("it resolves")
	}
	synctest.Test(t, func(t *testing.T) {
		silence := faults.Names(func(faults.Question) faults.Reply { return faults.Reply{Silent: true} })
		x := wireSenderOver(t, Settings{Timeout: 3 * time.Second}, egress.Options{Resolver: silence, Interfaces: connected})
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
	if a.Outcome != webhook.OutcomeUnreachable || !strings.Contains(answerText(a), "no answer within 200ms: no connection came about") {
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
	if a.Outcome != webhook.OutcomeUnreachable || a.Duration > 10*time.Second || !strings.Contains(answerText(a), "no answer within 300ms") {
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
	x := wireSenderOver(t, Settings{}, egress.Options{
		Interfaces: func() ([]netip.Prefix, error) { return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}, nil },
		Resolver: faults.Names(func(faults.Question) faults.Reply {
			return faults.Reply{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
		}),
	})
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
	for _, host := range []string{"127.0.0.1", "localhost", "receiver.invalid"} {
		if a := x.send(t.Context(), hookAt("http://"+host+":"+port+"/"), uuid.New(), nil); a.Outcome != webhook.OutcomeUnreachable {
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
