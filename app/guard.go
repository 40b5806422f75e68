package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"plugbeat/egress"
	"plugbeat/server"
	"plugbeat/vehicle"
)

// client returns the client of a source that may reach the given endpoints. Every
// address it dials, after resolution, passes the check that webhooks pass too. A
// private or loopback address is reached only where the operator's own setting
// names one: an endpoint at such an address or at localhost, or delivery.allow.
func (s *sources) client(source string, endpoints ...vehicle.Endpoint) *http.Client {
	settings := make([]string, len(endpoints))
	for i, e := range endpoints {
		settings[i] = e.Setting
	}
	t := s.guard.Transport(egress.Origins(origins(endpoints)...), 10*time.Second)
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
	return &http.Client{Transport: dated{s.clocks, t}}
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
	clocks *server.Clocks
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	res, err := d.Transport.RoundTrip(r.WithContext(egress.RepeatOnNew(r.Context(), d.Transport)))
	if err == nil {
		d.clocks.Note(r.URL.Host, res.Header, sent, time.Now())
	}
	return res, err
}
