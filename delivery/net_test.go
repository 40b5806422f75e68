package delivery

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/egress"
	"plugbeat/test/faults"
	"plugbeat/test/long"
	"plugbeat/webhook"
)

// That no resolver answers is a fault of our own, however long it takes to see.
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

// A receiver that takes the connection and never speaks TLS keeps no connection once
// the attempt is over.
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

// A receiver that takes the connection and reads nothing of a large payload is held to
// the same time. It had its connection, so it is unavailable.
func TestBlockedWrite(t *testing.T) {
	long.Test(t)
	x := wireSender(t, Settings{Timeout: 3 * time.Second})
	uri := "http://" + faults.Listen(t, func(net.Conn) { <-t.Context().Done() }) + "/"
	a := x.send(t.Context(), hookAt(uri), uuid.New(), make([]byte, 16<<20))
	text := "no answer within 3s: the receiver takes too long"
	if a.Outcome != webhook.OutcomeUnavailable || a.Duration > 10*time.Second || !strings.Contains(answerText(a), text) {
		t.Errorf("%s after %s: %s", a.Outcome, a.Duration, answerText(a))
	}
}

// The sender does not offer HTTP/2, which would lower the spelling of SC-Signature.
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

// A machine without a network blames no receiver but one on loopback.
func TestOffline(t *testing.T) {
	x := wireSenderOver(t, Settings{}, egress.Options{
		Interfaces: func() ([]netip.Prefix, error) { return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}, nil },
		Resolver: faults.Names(func(faults.Question) faults.Reply {
			return faults.Reply{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
		}),
	})
	x.d.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, syscall.EHOSTUNREACH })
	a := x.send(t.Context(), hookAt("http://receiver.test/"), uuid.New(), nil)
	if a.Outcome != webhook.OutcomeOurs || !strings.Contains(a.Cause, "no address but loopback") {
		t.Errorf("%+v", a)
	}
	x.d.Transport = nil
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

// Neither a record nor an error shows a password that a redirect or a callback contains.
func TestRedirectWithPassword(t *testing.T) {
	uri := raw(t, func(_ int, _ string, c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: https://joe:hunter2@other.test/\r\nContent-Length: 0\r\n\r\n")
	})
	a := wireSender(t, Settings{}).send(t.Context(), hookAt(uri), uuid.New(), nil)
	if text := fmt.Sprint(answerText(a), a); strings.Contains(text, "hunter2") || !strings.Contains(text, "other.test") {
		t.Error(text)
	}
	err := Webhooks{wireSender(t, Settings{}).d}.checkCallback("https://joe:hunter2@other.test/"+strings.Repeat("x", 3000), false)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// endless is a body of a megabyte, which stands for one without an end. It counts what
// is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read >= 1<<20 {
		return 0, io.EOF
	}
	e.read += len(p)
	return len(p), nil
}

// The sender reads no more of an answer than a challenge may need, and one byte.
func TestEndlessBody(t *testing.T) {
	x := wireSender(t, Settings{})
	body := &endless{}
	x.d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body), Request: r}, nil
	})
	a := x.send(t.Context(), hookAt("http://receiver.test/"), uuid.New(), nil)
	if a.Outcome != webhook.OutcomeDelivered || len(a.Body) != bodyKept || body.read > bodyRead+1 {
		t.Errorf("%s, %d bytes kept, %d read", a.Outcome, len(a.Body), body.read)
	}
}

// A network that fails is this machine's fault, unless the machine has addresses and none of
// the receiver's family.
func TestNetworkOfOneFamily(t *testing.T) {
	const v4, v6 = "1.1.1.1:443", "[2606:4700::1]:443"
	for _, c := range []struct {
		has, dialled string
		want         webhook.Outcome
	}{
		{"192.168.77.2/24", v6, webhook.OutcomeUnreachable},
		{"192.168.77.2/24", v4, webhook.OutcomeOurs},
		{"192.168.77.2/24", "", webhook.OutcomeOurs},
		{"2a01:db77:1::2/64", v4, webhook.OutcomeUnreachable},
		{"2a01:db77:1::2/64", v6, webhook.OutcomeOurs},
		{"127.0.0.1/8", v6, webhook.OutcomeOurs},
	} {
		x := wireSenderOver(t, Settings{}, egress.Options{
			Interfaces: func() ([]netip.Prefix, error) { return []netip.Prefix{netip.MustParsePrefix(c.has)}, nil },
		})
		v := ClassifyError(syscall.ENETUNREACH, false)
		x.network(&v, c.dialled)
		if v.Outcome != c.want || (c.want == webhook.OutcomeUnreachable) != strings.Contains(v.Cause, "a family") {
			t.Errorf("%s to %s: %s: %s", c.has, c.dialled, v.Outcome, v.Cause)
		}
	}
}
