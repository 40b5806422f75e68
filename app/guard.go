package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"plugbeat/delivery"
	"plugbeat/vehicle"
)

// guarded returns the client of a source that may reach the given endpoints. Every
// address it dials, after resolution, passes the check that webhooks pass too. A
// private or loopback address is reached only where the operator's own setting
// names one: an endpoint at such an address or at localhost, or delivery.allow.
func (a *App) guarded(source string, endpoints ...vehicle.Endpoint) *http.Client {
	settings := make([]string, len(endpoints))
	for i, e := range endpoints {
		settings[i] = e.Setting
	}
	t := a.guard.Transport(consentOf(origins(endpoints)...), 10*time.Second)
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, asked string) (net.Conn, error) {
		c, err := dial(ctx, network, asked)
		if denied, ok := errors.AsType[*delivery.DeniedError](err); ok && denied.Setting != "" {
			err = fmt.Errorf("%w; to allow it, list %s in delivery.allow, or name the address itself in sources.%s.%s", denied, asked, source, strings.Join(settings, " and "))
		}
		return c, err
	}
	t.ForceAttemptHTTP2, t.MaxIdleConnsPerHost, t.IdleConnTimeout = true, 8, 20*time.Second
	return &http.Client{Transport: dated{a, t}}
}

// origins are the URLs of endpoints.
func origins(endpoints []vehicle.Endpoint) []string {
	urls := make([]string, len(endpoints))
	for i, e := range endpoints {
		urls[i] = e.URL
	}
	return urls
}

// consentOf is the consent of origins: to their own hosts, where those are addresses
// or localhost.
func consentOf(origins ...string) func(asked string) bool {
	local := map[string]bool{}
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil {
			continue
		}
		host := strings.ToLower(u.Hostname())
		if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
			local[host] = true
		}
	}
	return func(asked string) bool {
		host, _, err := net.SplitHostPort(asked)
		return err == nil && local[strings.ToLower(host)]
	}
}

// dated notes what the answers of a source say of this machine's clock.
type dated struct {
	app *App
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	res, err := d.Transport.RoundTrip(r)
	if err == nil {
		d.app.clocks.Note(r.URL.Host, res.Header, sent, time.Now())
	}
	return res, err
}

// NeedsConsent returns in words what an address is that a webhook reaches only with
// --allow-private: private, loopback, this machine or its network. It is empty for
// others.
func NeedsConsent(ip netip.Addr) string { return delivery.NeedsConsent(ip) }

// guardListeners names the addresses plugbeat listens on, where no request goes.
func (a *App) guardListeners() {
	var own []netip.AddrPort
	for _, l := range a.listeners {
		if ap, err := netip.ParseAddrPort(l.ln.Addr().String()); err == nil {
			own = append(own, ap)
		}
	}
	a.guard.SetOwn(own)
}
