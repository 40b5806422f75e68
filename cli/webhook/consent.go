package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/terminal"
	"plugbeat/egress"
)

// lookupTime bounds the resolving of a callback's name.
const lookupTime = 2 * time.Second

// consent decides whether a webhook may reach private and loopback addresses, also
// those of this machine and its networks: the flag where it is given, a question
// on a terminal where the callback is such an address, else no. Elsewhere such a
// callback without the flag is an error, since it would never receive anything.
func (s commands) consent(ctx context.Context, c *ucli.Context, p *terminal.Prompter, callback string) (bool, error) {
	if c.IsSet("allow-private") {
		return c.Bool("allow-private"), nil
	}
	addr, class := privateAddress(ctx, callback)
	if class == "" {
		return false, nil
	}
	if p == nil {
		return false, &terminal.UsageError{
			Text: fmt.Sprintf("the callback's address %s is %s, which plugbeat sends to only on request", addr, class),
			Hint: "add --allow-private; or --allow-private=false when the config's delivery.allow lists it",
		}
	}
	return p.Confirm(ctx, fmt.Sprintf("the callback's address %s is %s; may plugbeat send to such addresses for this webhook", addr, class),
		false)
}

// privateAddress returns the first address of the callback's host that needs
// consent and its class, or empty texts. A name that does not resolve here is left
// to the daemon, which checks every address as it dials.
func privateAddress(ctx context.Context, callback string) (addr, class string) {
	u, err := url.Parse(callback)
	if err != nil {
		return "", ""
	}
	host := u.Hostname()
	var addrs []netip.Addr
	if ip, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{ip}
	} else if h := strings.TrimSuffix(strings.ToLower(host), "."); h == "localhost" || strings.HasSuffix(h, ".localhost") {
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	} else {
		ctx, cancel := context.WithTimeout(ctx, lookupTime)
		defer cancel()
		addrs, _ = net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	for _, ip := range addrs {
		if class := egress.NeedsConsent(ip); class != "" {
			return ip.Unmap().String(), class
		}
	}
	return "", ""
}
