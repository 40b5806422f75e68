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

	"plugbeat/egress"
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
			other := &sender{s: x.s, guard: x.guard, heard: x.heard, token: testToken}
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
			blamed := webhook.OutcomeUnreachable
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
					r.heard.note("8.8.8.8:443", time.Now())
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
func TestMissingFamily(t *testing.T) {
	for tried, want := range map[string]webhook.Outcome{
		"[2606:4700::1]:80": webhook.OutcomeUnreachable, "1.1.1.1:80": webhook.OutcomeOurs,
	} {
		x := wireSenderOver(t, Settings{}, egress.Options{Interfaces: func() ([]netip.Prefix, error) {
			return []netip.Prefix{netip.MustParsePrefix("192.168.77.2/24"), netip.MustParsePrefix("::1/128")}, nil
		}})
		x.transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			err := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}
			hooks := httptrace.ContextClientTrace(r.Context())
			hooks.ConnectStart("tcp", tried)
			hooks.ConnectDone("tcp", tried, err)
			return nil, err
		})
		for range 2 {
			a := x.send(t.Context(), hookAt("http://receiver.test/"), uuid.New(), nil)
			if a.Outcome != want || a.Address != tried || strings.Contains(a.Cause, "the callback has only IPv6") != (want == webhook.OutcomeUnreachable) {
				t.Errorf("%s: %s, %s", tried, a.Outcome, answerText(a))
			}
		}
	}
}
