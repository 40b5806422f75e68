package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Check returns nil, or an [*Error] with every setting that has a value it cannot
// have. It does not look at files; see [Config.CheckFiles].
func (c Config) Check() error {
	p := newComplaints()
	checker{c, p}.check()
	return p.err()
}

// checker complains about the values that a Config cannot have.
type checker struct {
	Config
	*complaints
}

func (c checker) check() {
	if c.DataDir == "" {
		c.add("data_dir", "", "it is empty", "a folder")
	}
	c.checkListeners()
	c.checkCadence()
	c.checkDelivery()
	c.checkBackup()
	for name, a := range c.Alerts {
		checkAlert(c.complaints, name, a)
	}
	if c.Application.ClientSecretFile != "" && strings.TrimSpace(c.Application.ClientID) == "" {
		c.add("application.client_id", c.Application.ClientID, "it is empty, and client_secret_file is not, so no application could log in",
			"the client id that the application presents, or neither")
	}
	for i, uri := range c.Application.RedirectURIs {
		checkRedirect(c.complaints, fmt.Sprintf("application.redirect_uris[%d]", i), uri)
	}
	if u := c.HTTP.PublicURL; u != "" {
		const allowed = "an absolute http or https URL without query and fragment, like https://plugbeat.example.com"
		if parsed, err := url.Parse(u); checkURL(c.complaints, "http.public_url", u, allowed) && err == nil &&
			(parsed.RawQuery != "" || parsed.ForceQuery) {
			c.add("http.public_url", u, "it has a query", allowed)
		}
	}
	for name, s := range c.Sources {
		checkSource(c.complaints, name, s)
	}
	for name, m := range c.Cadence.Makes {
		if m.Fastest <= 0 {
			c.add("cadence.makes."+name+".fastest", formatDuration(m.Fastest), "", "1ms to 24h, as "+durationAllowed)
		}
	}
	if c.Retention.Records < c.Retention.Payloads {
		c.add("retention.records", formatDuration(c.Retention.Records), "it is shorter than retention.payloads",
			formatDuration(c.Retention.Payloads)+" or longer")
	}
}

const listenAllowed = "host:port with a port from 0 to 65535, like 127.0.0.1:8765, or empty for no listener"

func (c checker) checkListeners() {
	for at, l := range map[string]string{"http.api.listen": c.HTTP.API.Listen, "http.admin.listen": c.HTTP.Admin.Listen} {
		if l == "" {
			continue
		}
		host, port, err := net.SplitHostPort(l)
		if err != nil {
			c.add(at, l, "it is not host:port", listenAllowed)
			continue
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			c.add(at, l, fmt.Sprintf("%q is no port", port), listenAllowed)
		}
		if strings.ContainsAny(host, " /@") {
			c.add(at, l, fmt.Sprintf("%q is no host", host), listenAllowed)
		}
	}
	if l := c.HTTP.API.Listen; l != "" && l == c.HTTP.Admin.Listen && !strings.HasSuffix(l, ":0") {
		c.add("http.admin.listen", l, "http.api.listen has the same", "another address or port")
	}
}

// checkCadence holds the specs to what the scheduler takes.
func (c checker) checkCadence() {
	for at, spec := range map[string]string{"cadence.unplugged": c.Cadence.Unplugged, "cadence.plugged_in": c.Cadence.PluggedIn} {
		c.checkSpec(at, spec, c.Floor)
	}
}

// checkBackup holds the schedule to what the housekeeping takes.
func (c checker) checkBackup() {
	c.checkSpec("backup.schedule", c.Backup.Schedule, cadence.DefaultFloor)
}

func (c checker) checkSpec(at, spec string, floor time.Duration) {
	_, err := cadence.Parse(spec, c.Cadence.Zone, floor)
	var bad *webhook.Invalid
	switch {
	case errors.As(err, &bad) && bad.Field == "zone":
		c.add("cadence.zone", bad.Value, bad.Why, bad.Allowed)
	case errors.As(err, &bad):
		c.add(at, bad.Value, bad.Why, bad.Allowed)
	case err != nil:
		c.add(at, spec, err.Error(), "a duration or a cron expression of five fields")
	}
}

func (c checker) checkDelivery() {
	d := c.Delivery
	if len(d.Retries) < 1 || len(d.Retries) > 20 {
		c.add("delivery.retries", d.Retries.String(), "", "default, smartcar, or a list of 1 to 20 durations")
	}
	if strings.ContainsFunc(d.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimSpace(d.UserAgent) == "" {
		c.add("delivery.user_agent", d.UserAgent, "it cannot be a header's value", "printable ASCII text")
	}
	for i, a := range d.Allow {
		if !allowable(a) {
			c.add(fmt.Sprintf("delivery.allow[%d]", i), a, "", "an address (192.168.1.7), host:port (nas.local:8099), a network (10.1.0.0/16), "+
				"loopback or private; none that is link-local, multicast or unspecified")
		}
	}
}

// allowable reports whether delivery.allow takes the entry. The dial check refuses further addresses,
// such as those of metadata services.
func allowable(s string) bool {
	if s == "loopback" || s == "private" {
		return true
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return reachable(a)
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked() == p && !p.Addr().Is4In6() && (!p.IsSingleIP() || reachable(p.Addr()))
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || strings.ContainsAny(host, "/ *") {
		return false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return false
	}
	a, err := netip.ParseAddr(host)
	return err != nil || reachable(a)
}

func reachable(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsLinkLocalUnicast() && !a.IsMulticast() && !a.IsUnspecified()
}

var sourceName = regexp.MustCompile(`^[a-z0-9-]{1,16}$`)

func checkSource(p *complaints, name string, s Source) {
	at := join("sources", name)
	if !sourceName.MatchString(name) {
		p.add(at, name, "it is no name for a source", "1 to 16 characters of a-z, 0-9 and '-'")
	}
	if s.Settings == nil {
		why := "it is missing"
		if s.Type != "" {
			why = "this version has no such type (was the file written for a newer one?)"
		}
		p.add(join(at, "type"), s.Type, why, strings.Join(kindNames(), ", "))
		return
	}
	for _, c := range s.Settings.Check() {
		if !c.Warning {
			p.add(join(at, c.Setting), webhook.Redact(c.Value), c.Why, c.Allowed)
		}
	}
}

func checkURL(p *complaints, at, s, allowed string) bool {
	c := vehicle.CheckURL(at, s, allowed)
	if c == nil {
		return true
	}
	p.add(at, webhook.Redact(s), c.Why, c.Allowed)
	return false
}

// ownScheme is one that an app on a phone registers for itself: a domain name
// backwards, or sc and a client id as Smartcar's SDKs for phones have it.
var ownScheme = regexp.MustCompile(`^(sc[a-z0-9-]{8,64}|[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+)$`)

// checkRedirect refuses what cannot be a redirect URI.
func checkRedirect(p *complaints, at, uri string) {
	const allowed = "an absolute URI without fragment: http, https, or an app's own scheme such as com.example.app://exchange"
	u, err := url.Parse(uri)
	if err == nil && ownScheme.MatchString(u.Scheme) && u.Fragment == "" && u.User == nil && (u.Host != "" || u.Path != "" || u.Opaque != "") {
		return
	}
	checkURL(p, at, uri, allowed)
}

func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// loopbackListen reports whether only this machine can reach the listener.
func loopbackListen(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && loopbackHost(host)
}

// SourceNames returns the names of the configured sources, sorted.
func (c Config) SourceNames() []string {
	names := make([]string, 0, len(c.Sources))
	for n := range c.Sources {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
