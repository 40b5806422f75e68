package delivery

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// far is a connection to an address.
type far struct {
	net.Conn
	to string
}

func (f far) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.to)) }

// answers is a network on which whoever is at an address answers.
func answers(at string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{Conn: far{to: at}})
		return &http.Response{StatusCode: http.StatusInternalServerError, Body: http.NoBody, Request: r}, nil
	}
}

// A name that no resolver answers for, or an address that cannot be reached, is
// the receiver's own trouble once others out there were heard since the last try.
func TestNetworkFaultWhileOthersAnswer(t *testing.T) {
	for _, fault := range []error{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, syscall.ENETUNREACH, syscall.EMFILE} {
		synctest.Test(t, func(t *testing.T) {
			x := wireSender(t, Settings{})
			x.transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, fault })
			other := &sender{s: x.s, guard: x.guard, token: testToken}
			try := func(want webhook.Outcome, when string) {
				t.Helper()
				time.Sleep(time.Second)
				if a := x.send(t.Context(), hookAt("http://one.test/"), uuid.New(), nil); a.Outcome != want || a.Cause == "" {
					t.Errorf("%v, %s: %s: %s", fault, when, a.Outcome, answerText(a))
				}
			}
			heard := func(at string) {
				t.Helper()
				time.Sleep(time.Second)
				other.transport = answers(at)
				if a := other.send(t.Context(), hookAt("http://two.test/"), uuid.New(), nil); a.Status != 500 || a.Address != at {
					t.Fatalf("%+v", a)
				}
			}
			blamed := webhook.OutcomeNoAnswer
			if errors.Is(fault, syscall.EMFILE) {
				blamed = webhook.OutcomeOurs // whoever answers, this is ours
			}
			heard("8.8.8.8:80")
			try(webhook.OutcomeOurs, "the first")
			try(webhook.OutcomeOurs, "again, nobody was heard")
			heard("192.168.1.5:80")
			heard("127.0.0.1:80")
			try(webhook.OutcomeOurs, "only neighbours were heard")
			heard("8.8.8.8:80")
			try(blamed, "another was heard")
			heard("8.8.8.8:80")
			try(blamed, "another was heard again")
			try(webhook.OutcomeOurs, "nobody was heard since: now it is our network")
		})
	}
}

// A webhook whose name nobody resolves goes down its ladder while another one
// gets its deliveries; without the other it waits.
func TestUnresolvedBesideOthers(t *testing.T) {
	for _, heard := range []bool{true, false} {
		bubble(t, Settings{}, func(t *testing.T, r *rig) {
			r.r.set(func(context.Context, string, int) (int, error) {
				return 0, &net.DNSError{Err: "i/o timeout", IsTimeout: true}
			})
			r.produce(1)
			for range 60 {
				rest(10 * time.Second)
				if heard {
					r.guard.answered.Store(time.Now().UnixNano())
				}
			}
			if w := r.m.hook(r.id); w.Health.Failing() != heard {
				t.Errorf("others heard %v: failing %v", heard, w.Health.Failing())
			}
		})
	}
}

// A receiver that is only at addresses of a family this machine has none of was
// never in reach: that is no fault of our network, whatever others answer.
func TestOneSided(t *testing.T) {
	only := func(nets ...string) func() ([]netip.Prefix, error) {
		return func() (ps []netip.Prefix, err error) {
			for _, n := range append(nets, "127.0.0.1/8", "::1/128", "fe80::2/64", "169.254.3.4/16") {
				ps = append(ps, netip.MustParsePrefix(n))
			}
			return ps, nil
		}
	}
	v4, v6, ula := "192.168.77.2/24", "2a01:db77:1::2/64", "fd77::2/64"
	for _, c := range []struct {
		has   []string
		tried string
		want  string // what its cause says; empty for a fault of our own
	}{
		{[]string{v4}, "2606:4700::1", "only IPv6"},
		{[]string{v4}, "2606:4700::1 2606:4700::2", "only IPv6"},
		{[]string{v4, ula}, "2606:4700::1", "only IPv6"},
		{[]string{v6}, "1.1.1.1", "only IPv4"},
		{[]string{v6}, "::ffff:1.1.1.1", "only IPv4"},
		{[]string{v4, ula}, "fd78::1", ""},
		{[]string{v4, v6}, "2606:4700::1", ""},
		{[]string{v4}, "2606:4700::1 1.1.1.1", ""},
		{[]string{v4}, "1.1.1.1", ""},
		{nil, "1.1.1.1", ""},
		{nil, "2606:4700::1", ""},
		{[]string{v4}, "", ""},
	} {
		x := wireSender(t, Settings{})
		x.guard.interfaces = only(c.has...)
		x.transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			at := r.Context().Value(dialledKey{}).(*dialled)
			for a := range strings.FieldsSeq(c.tried) {
				at.set(netip.AddrPortFrom(netip.MustParseAddr(a), 80).String())
			}
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}
		})
		for range 2 {
			a := x.send(t.Context(), hookAt("http://receiver.test/"), uuid.New(), nil)
			want := webhook.OutcomeNoAnswer
			if c.want == "" {
				want = webhook.OutcomeOurs
			}
			if a.Outcome != want || !strings.Contains(a.Cause, c.want) {
				t.Errorf("%v to %s: %s, %s", c.has, c.tried, a.Outcome, answerText(a))
			}
		}
	}
}
