package app

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever of DNS and mDNS has an address first is believed, and neither's silence is waited
// for when the other has one.
func TestFirstOf(t *testing.T) {
	after := func(d time.Duration, err error, addresses ...netip.Addr) names {
		return func(ctx context.Context) ([]netip.Addr, error) {
			select {
			case <-time.After(d):
				return addresses, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	unknown := &net.DNSError{Err: "no such host", IsNotFound: true}
	silent := &net.DNSError{Err: "i/o timeout", IsTimeout: true}
	for _, c := range []struct {
		name           string
		dns, multicast names
		want           netip.Addr
		text           string
		notFound       bool
		took           time.Duration
	}{
		{name: "mDNS alone", dns: after(time.Millisecond, unknown), multicast: after(100*time.Millisecond, nil, a), want: a, took: 100 * time.Millisecond},
		{name: "no DNS at all", dns: after(time.Minute, silent), multicast: after(100*time.Millisecond, nil, a), want: a, took: 100 * time.Millisecond},
		{name: "/etc/hosts", dns: after(time.Millisecond, nil, b), multicast: after(3*time.Second, errSilence), want: b, took: time.Millisecond},
		{name: "nobody", dns: after(time.Millisecond, unknown), multicast: after(3*time.Second, errSilence), text: "host networking", notFound: true, took: 3 * time.Second},
		{name: "nobody, and no DNS", dns: after(time.Minute, silent), multicast: after(3*time.Second, errSilence), text: "host networking", notFound: true, took: 3 * time.Second},
		{name: "no network", dns: after(5*time.Second, silent), multicast: after(time.Millisecond, errors.New("no network")), text: "i/o timeout", took: 5 * time.Second},
		{name: "no multicast", dns: after(time.Second, unknown), multicast: after(time.Millisecond, errors.New("no network")), text: "no network", notFound: true, took: time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			found, err := firstOf(t.Context(), "x.local", c.dns, c.multicast)
			if took := time.Since(began); took != c.took {
				t.Errorf("%s: took %s, want %s", c.name, took, c.took)
			}
			switch {
			case c.text == "" && (err != nil || len(found) != 1 || found[0] != c.want):
				t.Errorf("%s: %v, %v; want %s", c.name, found, err, c.want)
			case c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text) || isNotFound(err) != c.notFound):
				t.Errorf("%s: %v; want %q, and not found %t", c.name, err, c.text, c.notFound)
			}
			synctest.Wait()
		})
	}
}
