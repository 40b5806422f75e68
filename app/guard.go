package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"plugbeat/egress"
	"plugbeat/vehicle/smartcar"
)

// guarded returns the client of a source that may reach the given origins. Every
// address it dials, after resolution, passes the check that webhooks pass too. A
// private or loopback address is reached only where the operator's own setting
// names one: an origin at such an address or at localhost, or delivery.allow.
func (a *App) guarded(source string, origins ...string) *http.Client {
	t := a.guard.Transport(egress.Origins(origins...), 10*time.Second)
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, asked string) (net.Conn, error) {
		c, err := dial(ctx, network, asked)
		if denied, ok := errors.AsType[*egress.DeniedError](err); ok && denied.Setting != "" {
			err = fmt.Errorf("%w; to allow it, list %s in delivery.allow, or name the address itself in sources.%s.api_origin and auth_origin", denied, asked, source)
		}
		return c, err
	}
	t.ForceAttemptHTTP2, t.MaxIdleConnsPerHost, t.IdleConnTimeout = true, 8, 20*time.Second
	return &http.Client{Timeout: smartcar.Timeout, Transport: dated{a, t}}
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
