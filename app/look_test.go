package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"plugbeat/config"
	"plugbeat/vehicle/smartcar"
	"plugbeat/webhook"
)

// heard is what a far end got.
type heard struct {
	mu   sync.Mutex
	list []string
}

func (h *heard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	signed := ""
	for name := range r.Header {
		if n := strings.ToLower(name); strings.Contains(n, "signature") || strings.Contains(n, "webhook") || n == "authorization" {
			signed += " " + name
		}
	}
	h.list = append(h.list, fmt.Sprintf("%s %s %d%s", r.Method, r.URL.Path, r.ContentLength, signed))
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(http.StatusFound)
}

func looking(t *testing.T, edit func(*config.Config)) *Looker {
	t.Helper()
	cfg := config.Default()
	if edit != nil {
		edit(&cfg)
	}
	k, err := NewLooker(cfg)
	must(t, err)
	return k
}

// TestLookIsHarmless holds that a look is one HEAD request, without body and
// signature, that follows no redirect; and none where the address check refuses.
func TestLookIsHarmless(t *testing.T) {
	var h heard
	srv := httptest.NewServer(&h)
	defer srv.Close()
	k := looking(t, nil)
	l := k.Callback(t.Context(), srv.URL+"/hook?a=b", true)
	if !l.Answered() || l.Status != http.StatusFound || l.Err != nil || l.Header.Get("Date") == "" || l.Received.Before(l.Sent) || len(l.Addresses) != 1 || l.Named {
		t.Errorf("%+v", l)
	}
	if got := strings.Join(h.list, ", "); got != "HEAD /hook 0" {
		t.Errorf("the receiver got %q", got)
	}
	h.list = nil
	l = k.Callback(t.Context(), srv.URL, false)
	if l.Answered() || len(h.list) != 0 || len(l.Addresses) != 1 || !strings.Contains(l.Addresses[0].Denied, "loopback; to allow it, add the webhook with --allow-private") {
		t.Errorf("without consent: %+v, the receiver got %v", l, h.list)
	}
	own := looking(t, func(c *config.Config) { c.HTTP.API.Listen = srv.Listener.Addr().String() })
	l = own.Callback(t.Context(), srv.URL, true)
	if l.Answered() || len(h.list) != 0 || !strings.Contains(l.Addresses[0].Denied, "plugbeat's own listener") {
		t.Errorf("our own listener: %+v", l)
	}
	if l := k.Callback(t.Context(), "http://169.254.169.254/latest", true); l.Answered() || !strings.Contains(l.Addresses[0].Denied, "metadata") {
		t.Errorf("metadata: %+v", l)
	}
}

// TestLookSaysWhy holds what is told of a far end that does not answer.
func TestLookSaysWhy(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	k := looking(t, nil)
	if l := k.Callback(t.Context(), secure.URL, true); l.Answered() || !strings.Contains(l.Cause, "signed by nobody this machine knows") {
		t.Errorf("an unknown certificate: %+v", l)
	}
	if l := k.Callback(t.Context(), strings.Replace(secure.URL, "https", "http", 1), true); !l.Answered() || l.Status != http.StatusBadRequest {
		t.Errorf("TLS asked in the clear: %+v", l)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	if l := k.Callback(t.Context(), strings.Replace(plain.URL, "http", "https", 1), true); !strings.Contains(l.Cause, "does not speak TLS") {
		t.Errorf("no TLS: %+v", l)
	}
	plain.Close()
	if l := k.Callback(t.Context(), plain.URL, true); l.Answered() || !strings.Contains(l.Cause, "is the receiver running?") {
		t.Errorf("nothing there: %+v", l)
	}
	if l := k.Callback(t.Context(), "http:///x", true); l.Err == nil || l.Cause == "" {
		t.Errorf("no host: %+v", l)
	}
	k.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "x.example", IsNotFound: true}
	}
	if l := k.Callback(t.Context(), "https://x.example/", false); l.Resolve == nil || l.Resolver || !strings.Contains(l.Cause, "no such host") {
		t.Errorf("no such name: %+v", l)
	}
	k.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "i/o timeout", Name: "x.example", IsTimeout: true}
	}
	if l := k.Callback(t.Context(), "https://x.example/", false); !l.Resolver || !l.Named {
		t.Errorf("no resolver: %+v", l)
	}
}

// TestLookAtFamilies holds that one address of each family is looked at.
func TestLookAtFamilies(t *testing.T) {
	k := looking(t, nil)
	k.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("2001:4860:4860::8888"), netip.MustParseAddr("::ffff:8.8.8.8"), netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("2001:4860:4860::8844")}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the request itself goes nowhere
	l := k.Callback(ctx, "https://two.example/", false)
	if len(l.Addresses) != 2 || !l.Addresses[0].Address.Is6() || l.Addresses[1].Address.String() != "8.8.8.8" {
		t.Errorf("%+v", l.Addresses)
	}
}

// TestLookAtEndpoints holds that a source's endpoints are looked at with the consent that
// naming their addresses gives, and a simulator not at all.
func TestLookAtEndpoints(t *testing.T) {
	var h heard
	srv := httptest.NewServer(&h)
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	must(t, err)
	k := looking(t, func(c *config.Config) {
		s := config.DefaultSource("smartcar")
		account := s.Settings.(*smartcar.Settings)
		account.APIOrigin, account.AuthOrigin = srv.URL, srv.URL
		c.Sources = map[string]config.Source{"vendor": s, "sim": config.DefaultSource("simulator")}
	})
	looks := k.Endpoints(t.Context(), "vendor")
	// Both endpoints are at one origin, which is looked at, and told of, once.
	if len(looks) != 1 || !looks[0].Answered() || looks[0].Host != u.Host || len(h.list) != 1 {
		t.Errorf("%+v", looks)
	}
	if looks := k.Endpoints(t.Context(), "sim"); looks != nil {
		t.Errorf("a simulator: %+v", looks)
	}
}

// TestInspectData holds what a data file tells while no daemon has it open.
func TestInspectData(t *testing.T) {
	cfg := configured(t, shortDir(t), simulatorSource)
	if _, err := InspectData(cfg); err == nil {
		t.Error("a data file that is not there")
	}
	d := start(t, cfg)
	_, err := d.dispatcher.Add(t.Context(), webhook.Webhook{Name: "home", CallbackURI: "https://example.com/hook"})
	must(t, err)
	if in, err := InspectData(cfg); !in.InUse || err == nil {
		t.Errorf("in use: %+v %v", in, err)
	}
	d.stop()
	in, err := InspectData(cfg)
	if err != nil || len(in.Webhooks) != 1 || in.Webhooks[0].Name != "home" || in.Webhooks[0].Key != nil {
		t.Errorf("%+v %v", in, err)
	}
}
