// Package intake tries the way of an owner whose script sends what it knows: the built binary, set
// up by init, real requests, a receiver that checks every signature.
package intake

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
)

// kept has a receiver check deliveries and keeps their bodies.
type kept struct {
	*receiver.Receiver
	mu     sync.Mutex
	bodies []string
}

func (k *kept) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if !strings.Contains(string(body), `"eventName":"verify"`) {
		k.mu.Lock()
		k.bodies = append(k.bodies, string(body))
		k.mu.Unlock()
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	k.Receiver.ServeHTTP(w, r)
}

// delivered waits for the delivery of the number and returns its body.
func (k *kept) delivered(t *testing.T, n int) string {
	t.Helper()
	daemon.Eventually(t, "a delivery", func() bool { return len(k.Accepted()) >= n })
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.bodies[n-1]
}

// TestPlugInIsDelivered: a script's plug-in is delivered a moment later, also when the daemon was
// killed in between, and what the script says again makes no delivery and nothing younger.
func TestPlugInIsDelivered(t *testing.T) {
	d := daemon.New(t, func(config string) string {
		return strings.Replace(daemon.Ports(config), "\ncadence:\n", "\ncadence:\n  gap: 2s\n", 1)
	})
	d.Must("init", "--dir", d.Dir, "--source", "intake", "--set", "vehicle=leaf")
	d.Start()
	var token struct{ Token string }
	d.JSON(&token, "token", "add", "scripts", "--intake")
	listens := regexp.MustCompile(`"event":"daemon.started","api":"([^"]+)"`)
	send := func(document string) {
		t.Helper()
		found := listens.FindAllStringSubmatch(d.Log(), -1)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+found[len(found)-1][1]+"/intake/scripts", strings.NewReader(document))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.Token)
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
	}
	k := &kept{Receiver: receiver.New(d.ManagementToken())}
	hook := httptest.NewServer(k)
	defer hook.Close()

	send(`{"plug":false,"level":60,"at":"2026-01-31T08:00:00Z"}`)
	daemon.Eventually(t, "it has settled", func() bool { return strings.Contains(d.Log(), `"to":"unplugged"`) })
	d.Webhook(k.Receiver, adminapi.NewWebhook{Name: "garage", CallbackURI: hook.URL, AllowPrivate: true})
	d.Must("webhook", "verify", "garage")
	vehicles, err := d.Client().Vehicles(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vehicles.Items {
		if v.Vehicle.Native == "leaf" {
			d.Must("subscribe", "garage", v.Vehicle.ID.String())
		}
	}
	first := k.delivered(t, 1)
	if !strings.Contains(first, `"isPluggedIn":false`) || !strings.Contains(first, `"percentRemaining":0.6`) || !strings.Contains(first, "2026-01-31T08:00:00") {
		t.Errorf("the first delivery: %s", first)
	}
	daemon.Eventually(t, "it is booked, else it comes again", func() bool { return strings.Contains(d.Log(), `"event":"delivery.delivered"`) })
	d.Kill()
	d.Start()
	send(`{"plug":false,"level":60}`)
	send(`{"plug":true}`)
	second := k.delivered(t, 2)
	if !strings.Contains(second, `"isPluggedIn":true`) || !strings.Contains(second, "2026-01-31T08:00:00") {
		t.Errorf("the second delivery: %s", second)
	}
	if n := len(k.Accepted()); n != 2 {
		t.Errorf("%d deliveries, want the first one and the plug-in", n)
	}
	if strings.Contains(d.Log(), token.Token) {
		t.Error("the token is in the log")
	}
}
