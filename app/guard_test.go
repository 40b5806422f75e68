package app

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"plugbeat/egress"
	"plugbeat/server"
	"plugbeat/vehicle"
)

// Requests to a source pass the dial check on the address they resolved to.
func TestSourceGuard(t *testing.T) {
	g, err := egress.New(egress.Options{Allow: []string{"proxy.lan:443"}})
	must(t, err)
	g.SetOwn([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8765")})
	consent := egress.Origins("http://127.0.0.1:4000", "http://LocalHost/x", "https://10.0.0.5", "http://100.64.0.7:81", "https://api.smartcar.com", "http://169.254.169.254", "%")
	for _, c := range []struct{ address, target, want string }{
		{"52.1.2.3:443", "api.smartcar.com:443", ""},
		{"127.0.0.1:4000", "127.0.0.1:4000", ""},
		{"[::1]:4000", "LOCALHOST:4000", ""},
		{"10.0.0.5:443", "10.0.0.5:443", ""},
		{"192.168.1.9:443", "proxy.lan:443", ""},
		{"100.64.0.7:81", "100.64.0.7:81", ""},
		{"127.0.0.1:443", "api.smartcar.com:443", "loopback"},
		{"10.0.0.5:443", "api.smartcar.com:443", "private"},
		{"192.168.1.9:444", "proxy.lan:444", "private"},
		{"127.0.0.1:8765", "127.0.0.1:8765", "own listener"},
		{"169.254.169.254:80", "localhost:80", "metadata"},
		{"169.254.1.1:80", "10.0.0.5:80", "link-local"},
		{"0.0.0.0:80", "localhost:80", "unspecified"},
		{"224.0.0.1:80", "localhost:80", "multicast"},
	} {
		switch err := g.Check(c.address, c.target, consent(c.target)); {
		case c.want == "" && err != nil:
			t.Errorf("%s for %s: %v", c.address, c.target, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.address)):
			t.Errorf("%s for %s: %v, want it refused as %s", c.address, c.target, err, c.want)
		}
	}
}

// The client itself: it reaches the origin that the operator named and nothing
// else of this machine, and takes no proxy of the environment.
func TestSourceClient(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	defer srv.Close()
	g, err := egress.New(egress.Options{})
	must(t, err)
	a := &sources{guard: g, clocks: &server.Clocks{}}
	at := func(url string) vehicle.Endpoint { return vehicle.Endpoint{Setting: "api_origin", URL: url} }
	get := func(client *http.Client, url string) error {
		t.Helper()
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		must(t, err)
		res, err := client.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	if tr, ok := a.client("vendor", at(srv.URL)).Transport.(dated); !ok || tr.Proxy != nil {
		t.Error("a source's client would ask a proxy, which hides the address from the check")
	}
	if err := get(a.client("vendor", at(srv.URL)), srv.URL); err != nil {
		t.Error("the configured origin is refused:", err)
	}
	err = get(a.client("vendor", at("https://api.smartcar.com")), srv.URL)
	if _, ok := errors.AsType[*egress.DeniedError](err); !ok {
		t.Errorf("got %v", err)
	}
	wantError(t, err, "loopback", "delivery.allow", "sources.vendor.api_origin")
}

// The daemon's smartcar source goes through it, its token requests too.
func TestSmartcarSourceIsGuarded(t *testing.T) {
	d := start(t, configured(t, shortDir(t), smartcarAt("https://169.254.169.254")))
	_, err := d.client.ConnectVehicles(t.Context(), "vendor", "refresh-token")
	wantError(t, err, "169.254.169.254:443", "metadata")
	must(t, tokens{d.store, "vendor"}.Save(t.Context(), "owner", []byte(`{"access_token":"a","refresh_token":"r","expires_at":"2100-01-01T00:00:00Z","renew_at":"2100-01-01T00:00:00Z"}`)))
	ref := vehicle.Ref{Native: "x", Connection: "owner"}
	for _, paths := range []vehicle.Paths{vehicle.AllPaths, vehicle.PathsOf(vehicle.PathCharge)} {
		_, err := d.sources.byName["vendor"].Read(t.Context(), ref, paths)
		wantError(t, err, "169.254.169.254:443", "metadata")
	}
}
