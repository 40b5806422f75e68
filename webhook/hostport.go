package webhook

import (
	"net"
	"net/url"
	"strings"
)

// HostPort is the host:port that a URL leads to, in lower case, with the port that its
// scheme has by default; empty for what is no http or https URL. The rest of a URL may
// be a secret, this is not.
func HostPort(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "http":
		port = "80"
	case u.Scheme == "https":
		port = "443"
	default:
		return ""
	}
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port)
}
