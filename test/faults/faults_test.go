package faults

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every fault strikes when it is armed, at its own path only, and ends with the test.
func TestReceiver(t *testing.T) {
	r := New(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "well") }))
	// What a fault sends after its answer must not meet the next request.
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	get := func(name string, patience time.Duration) string {
		res, err := (&http.Client{Timeout: patience, Transport: tr}).Post(r.URL(name), "text/plain", strings.NewReader("hello"))
		if err != nil {
			return "error"
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode == http.StatusSwitchingProtocols {
			return res.Status // no timeout ends its body
		}
		b, err := io.ReadAll(io.LimitReader(res.Body, 200))
		if err != nil {
			return res.Status + " and error"
		}
		return res.Status + " " + string(b)
	}
	const well = "200 OK well"
	for name := range All() {
		if got := get(name, time.Minute); got != well {
			t.Errorf("%s before it is armed: %s", name, got)
		}
		r.Arm(name)
		got := get(name, 200*time.Millisecond)
		if Accepts(name) && got == "error" {
			got = get(name, 5*time.Second) // a slow machine
		}
		if got == well || strings.HasPrefix(got, "200") != Accepts(name) {
			t.Errorf("%s: %s", name, got)
		}
		if got := get("other", time.Minute); got != well {
			t.Errorf("%s: another path: %s", name, got)
		}
		r.Mend(name)
		if got := get(name, time.Minute); got != well {
			t.Errorf("%s after it is mended: %s", name, got)
		}
		if n := r.Hits()[name]; n < 1 {
			t.Errorf("%s struck %d times", name, n)
		}
	}
	r.Add("mine", Say("HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n"))
	r.Arm("mine")
	if got := get("mine", time.Minute); !strings.HasPrefix(got, "418") {
		t.Error(got)
	}
}

func TestListeners(t *testing.T) {
	for name, addr := range map[string]string{"deaf": Deaf(t), "hole": Hole(t), "nobody": Nobody(t), "slow TLS": SlowTLS(t)} {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if (err == nil) != (name == "deaf" || name == "slow TLS") {
			t.Errorf("%s: %v", name, err)
		}
		if e, ok := errors.AsType[net.Error](err); name == "hole" && (!ok || !e.Timeout()) {
			t.Errorf("%s: %v", name, err)
		}
		if c != nil {
			_ = c.Close()
		}
	}
}

func TestDNS(t *testing.T) {
	var many []netip.Addr
	for i := range 300 {
		many = append(many, netip.AddrFrom4([4]byte{10, 1, byte(i / 256), byte(i)}))
	}
	d := NewDNS(t, func(q Question) Reply {
		switch q.Name {
		case "both.test":
			return Reply{Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}}
		case "turns.test":
			return Reply{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(q.N)})}}
		case "many.test":
			return Reply{Addrs: many}
		case "fails.test":
			return Reply{RCode: 2}
		case "raw.test":
			return Reply{Raw: []byte{0x81}}
		case "silent.test":
			return Reply{Silent: true}
		}
		return Reply{RCode: 3}
	})
	within := 2 * time.Second
	look := func(name string) ([]string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		as, err := d.Resolver().LookupHost(ctx, name)
		slices.Sort(as)
		return as, err
	}
	if as, err := look("Both.test."); err != nil || strings.Join(as, " ") != "10.0.0.1 fd00::1" {
		t.Error(as, err)
	}
	for _, want := range []string{"10.0.0.1", "10.0.0.2"} {
		if as, err := look("turns.test"); err != nil || strings.Join(as, " ") != want {
			t.Error(as, err)
		}
	}
	if as, err := look("many.test"); err != nil || len(as) != 300 {
		t.Error(len(as), err)
	}
	within = 200 * time.Millisecond
	for _, bad := range []string{"none.test", "fails.test", "raw.test", "silent.test"} {
		if as, err := look(bad); err == nil {
			t.Error(bad, as)
		}
	}
	if d.Asked("turns.test") != 4 {
		t.Error(d.Asked("turns.test"))
	}
}
