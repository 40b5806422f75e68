package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A name under .local goes to the resolver of its own, whose addresses pass the same check.
func TestLocalNames(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string][]string{"a.local": {"127.0.0.2", "127.0.0.1"}, "b.local": {"169.254.169.254"}, "c.local": nil}
	g, err := New(Options{Local: func(ctx context.Context, host string) ([]netip.Addr, error) {
		time.Sleep(time.Millisecond)
		found := []netip.Addr{}
		for _, a := range answers[strings.ToLower(strings.TrimSuffix(host, "."))] {
			found = append(found, netip.MustParseAddr(a))
		}
		return found, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host    string
		consent bool
		denied  bool
		ok      bool
	}{
		{"a.local", true, false, true}, {"A.Local.", true, false, true}, {"a.local", false, true, false},
		{"b.local", true, true, false}, {"c.local", true, false, false},
	} {
		transport := g.Transport(func(string) bool { return c.consent }, 5*time.Second)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.host+":"+port+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
		}
		transport.CloseIdleConnections()
		if _, denied := errors.AsType[*DeniedError](err); denied != c.denied || (err == nil) != c.ok {
			t.Errorf("%s, consent %t: %v; want denied %t, reached %t", c.host, c.consent, err, c.denied, c.ok)
		}
	}
}
