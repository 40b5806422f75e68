package egress

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Origins returns the consent that an operator gives by naming origins in a setting: to
// the host of each origin that is an address or localhost. A name gives none, for
// whoever writes its records decides where it leads.
func Origins(origins ...string) (consent func(asked string) bool) {
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

// CheckURL returns a *[DeniedError] when the host of a URL is an address to which no
// request may go, so that a refusal shows before the first request. It returns nil for
// a name, which is judged when it is dialled.
func (g *Guard) CheckURL(rawURL string, allowPrivate bool) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil //nolint:nilerr // whoever makes the request says so
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		return nil //nolint:nilerr // a name
	}
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	address := net.JoinHostPort(u.Hostname(), port)
	return g.Check(address, address, allowPrivate)
}
