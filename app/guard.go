package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
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
	t := s.guarded(source, endpoints...)
	t.ForceAttemptHTTP2, t.MaxIdleConnsPerHost, t.IdleConnTimeout = true, 8, 20*time.Second
	return &http.Client{Transport: dated{s.clocks, t}}
}

// dial connects to an endpoint of a source that speaks no HTTP, past the same check.
func (s *sources) dial(ctx context.Context, source string, e vehicle.Endpoint) (net.Conn, error) {
	u, err := url.Parse(e.URL)
	if err != nil {
		return nil, fmt.Errorf("sources.%s.%s: %w", source, e.Setting, err)
	}
	return s.guarded(source, e).DialContext(ctx, "tcp", u.Host)
}

// guarded is the transport whose dials are checked.
func (s *sources) guarded(source string, endpoints ...vehicle.Endpoint) *http.Transport {
	settings := make([]string, len(endpoints))
	for i, e := range endpoints {
		settings[i] = e.Setting
	}
	t := s.guard.Transport(consent(endpoints), 10*time.Second)
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, asked string) (net.Conn, error) {
		c, err := dial(ctx, network, asked)
		if denied, ok := errors.AsType[*egress.DeniedError](err); ok && denied.Setting != "" {
			err = fmt.Errorf("%w; to allow it, list %s in delivery.allow, or name the address itself in sources.%s.%s",
				denied, asked, source, strings.Join(settings, " and "))
		}
		return c, err
	}
	return t
}

// consent is what an operator allows by naming endpoints: to the host of each that is an
// address or localhost, and to the host of one in his own network also by name.
func consent(endpoints []vehicle.Endpoint) func(asked string) bool {
	var urls []string
	own := map[string]bool{}
	for _, e := range endpoints {
		urls = append(urls, e.URL)
		if u, err := url.Parse(e.URL); err == nil && e.Own {
			own[strings.ToLower(u.Hostname())] = true
		}
	}
	named := egress.Origins(urls...)
	return func(asked string) bool {
		host, _, err := net.SplitHostPort(asked)
		return named(asked) || err == nil && own[strings.ToLower(host)]
	}
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
