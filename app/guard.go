package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"plugbeat/egress"
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
	t := a.guard.Transport(egress.Origins(origins(endpoints)...), 10*time.Second)
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, asked string) (net.Conn, error) {
		c, err := dial(ctx, network, asked)
		if denied, ok := errors.AsType[*egress.DeniedError](err); ok && denied.Setting != "" {
			err = fmt.Errorf("%w; to allow it, list %s in delivery.allow, or name the address itself in sources.%s.%s",
				denied, asked, source, strings.Join(settings, " and "))
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

// dated notes what the answers of a source say of this machine's clock.
type dated struct {
	app *App
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	res, err := d.Transport.RoundTrip(r.WithContext(egress.RepeatOnNew(r.Context(), d.Transport)))
	if err == nil {
		d.app.clocks.Note(r.URL.Host, res.Header, sent, time.Now())
	}
	return res, err
}

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
