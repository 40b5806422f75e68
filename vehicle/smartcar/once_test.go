package smartcar_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
)

// A single read whose connection breaks after the server has it is a fault, and is not
// sent a second time: the vendor has counted it. net/http would repeat a GET on a
// connection used before. A batch is repeated once, on a new connection; that one breaks
// as well, so the batch is a fault too.
func TestSentOnce(t *testing.T) {
	for paths, times := range map[vehicle.Paths]int32{all: 2, charge: 1} {
		w := newWorld(t, 1, simulator.ServerOptions{})
		var arrived atomic.Int32
		var broken atomic.Bool
		web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if broken.Load() && strings.HasPrefix(r.URL.Path, "/v2.0/vehicles/") {
				arrived.Add(1)
				panic(http.ErrAbortHandler)
			}
			w.server.ServeHTTP(rw, r)
		}))
		t.Cleanup(web.Close)
		w.source = open(t, smartcar.Options{APIOrigin: web.URL, AuthOrigin: web.URL, Tokens: w.tokens})
		for range 3 { // so that there are connections to use again
			if _, f := w.read(t, paths); f != nil {
				t.Fatal(f)
			}
		}
		broken.Store(true)
		_, f := w.read(t, paths)
		if f == nil || !f.Network || f.Code != "NO_RESPONSE" {
			t.Errorf("[%v]: fault %+v, want a network fault", paths, f)
		}
		if f != nil && strings.Contains(f.Description, w.vehicles[0].Native) {
			t.Errorf("[%v]: the fault shows the URL: %s", paths, f.Description)
		}
		if n := arrived.Load(); n != times {
			t.Errorf("[%v]: the read arrived %d times, want %d", paths, n, times)
		}
	}
}

// TestNoRedirect: a redirect is not followed, with the token or without.
func TestNoRedirect(t *testing.T) {
	w := newWorld(t, 1, simulator.ServerOptions{})
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	web := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(web.Close)
	for _, given := range []*http.Client{nil, {}} {
		w.source = open(t, smartcar.Options{APIOrigin: web.URL, AuthOrigin: web.URL, Tokens: w.tokens, HTTPClient: given})
		for _, paths := range []vehicle.Paths{all, charge} {
			if _, f := w.read(t, paths); f == nil || f.Type != vehicle.TypeUpstream {
				t.Errorf("fault %v", f)
			}
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests followed the redirect", n)
	}
}

// TestTokenRequest: the token endpoint gets the grant as a form, the
// application's credentials as Basic, and the daemon's name.
func TestTokenRequest(t *testing.T) {
	w := newWorld(t, 1, simulator.ServerOptions{})
	w.server.ExpireAccess()
	seen := 0
	w.seen.set(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path != "/oauth/token" {
			return nil, nil
		}
		seen++
		id, secret, ok := r.BasicAuth()
		if !ok || id != "simulator" || secret != "simulator-secret" || r.Method != "POST" || r.UserAgent() != "plugbeat" ||
			r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.URL.Host != "auth.example" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		return nil, nil
	})
	if _, f := w.read(t, all); f != nil || seen != 1 {
		t.Errorf("fault %v, %d exchanges", f, seen)
	}
}
