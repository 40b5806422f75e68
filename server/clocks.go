package server

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"plugbeat/adminapi"
	"plugbeat/health"
)

// Clocks remembers what the Date headers of receivers and vendors say of this
// machine's clock. The zero Clocks is ready; it is safe for concurrent use.
type Clocks struct {
	mu    sync.Mutex
	hosts map[string]health.ClockHost
}

const (
	// clockAge is how long an answer tells of the clock, clockHosts how many hosts
	// are remembered.
	clockAge   = 24 * time.Hour
	clockHosts = 200
	// sameSkew is how far two answers may differ and say the same.
	sameSkew = 30 * time.Second
)

// Note takes in the header of an answer. A host on this machine has its clock, so it
// is only heard when it says something else, as one behind a tunnel may.
func (c *Clocks) Note(host string, h http.Header, sent, received time.Time) {
	ahead, ok := adminapi.Skew(h, sent, received)
	if !ok || host == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if onThisMachine(host) && ahead.Abs() <= health.ClockWarning {
		delete(c.hosts, host)
		return
	}
	if c.hosts == nil {
		c.hosts = map[string]health.ClockHost{}
	}
	last, known := c.hosts[host]
	if !known && len(c.hosts) >= clockHosts {
		return
	}
	answers := 1
	if known && (ahead-last.Ahead).Abs() <= sameSkew {
		answers = last.Answers + 1
	}
	c.hosts[host] = health.ClockHost{Host: host, Ahead: ahead, At: received, Answers: answers}
}

// Look returns what is known at now, by host. What was said before this machine's
// clock was set, or before it slept, tells nothing any more and is forgotten.
func (c *Clocks) Look(now time.Time) adminapi.Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := adminapi.Clock{Hosts: []health.ClockHost{}}
	for name, h := range c.hosts {
		if !stands(h, now) {
			delete(c.hosts, name)
			continue
		}
		h.At = h.At.UTC().Round(0)
		out.Hosts = append(out.Hosts, h)
	}
	slices.SortFunc(out.Hosts, func(a, b health.ClockHost) int { return cmp.Compare(a.Host, b.Host) })
	return out
}

// stands reports whether what a host said still tells of the clock.
func stands(h health.ClockHost, now time.Time) bool {
	return lasts(now.Sub(h.At), now.Round(0).Sub(h.At.Round(0)))
}

// lasts takes the time that passed since by the monotonic and by the wall clock: it is
// not long, and the two went together.
func lasts(passed, wall time.Duration) bool {
	return passed <= clockAge && (wall-passed).Abs() <= sameSkew
}

// onThisMachine reports whether a host, with or without a port, is a loopback one.
func onThisMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}
