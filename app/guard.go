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
	"syscall"
	"time"

	"plugbeat/delivery"
	"plugbeat/vehicle/smartcar"
)

// guarded returns the client of a source that may reach the given origins. Every
// address it dials, after resolution, passes the check that webhooks pass too. A
// private or loopback address is reached only where the operator's own setting
// names one: an origin at such an address or at localhost, or delivery.allow.
func (a *App) guarded(source string, origins ...string) *http.Client {
	local := map[string]bool{} // the origins' hosts that name such an address
	for _, origin := range origins {
		if u, err := url.Parse(origin); err == nil && namesLocal(u.Hostname()) {
			local[strings.ToLower(u.Hostname())] = true
		}
	}
	dial := func(ctx context.Context, network, target string) (net.Conn, error) {
		d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return a.mayReach(source, address, target, local)
		}}
		return d.DialContext(ctx, network, target)
	}
	return &http.Client{Timeout: smartcar.Timeout, Transport: &http.Transport{
		Proxy:                  nil, // never from the environment
		DialContext:            dial,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        20 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}}
}

// mayReach returns an error that names address, class and setting when a request
// for the target, host:port, may not go to the address it resolved to.
func (a *App) mayReach(source, address, target string, local map[string]bool) error {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	err = a.guard.Check(address, target, local[strings.ToLower(host)])
	if denied, ok := errors.AsType[*delivery.DeniedError](err); ok && denied.Setting != "" {
		return fmt.Errorf("%w; to allow it, list %s in delivery.allow, or name the address itself in sources.%s.api_origin and auth_origin", denied, target, source)
	}
	return err
}

// namesLocal reports whether a host of the config is itself a private or loopback
// address, or localhost.
func namesLocal(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap().IsLoopback() || ip.Unmap().IsPrivate())
}

// ownListeners names the addresses plugbeat listens on, which no source is at.
func (a *App) ownListeners(addresses []string) {
	var own []netip.AddrPort
	for _, s := range addresses {
		if ap, err := netip.ParseAddrPort(s); err == nil {
			own = append(own, ap)
		}
	}
	a.guard.SetOwn(own)
}
