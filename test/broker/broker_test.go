// Package broker tries the way of an owner with a broker of his own: the built binary, a
// real mosquitto and its client, a receiver that checks every signature.
package broker

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
)

// sources is the section that takes the place of the one that init writes. The holes are
// the broker's address and a vehicle's map.
const sources = `sources:
  broker:
    type: mqtt
    broker: mqtt://%s
    settle: 500ms
    vehicles:
      - %s
`

const teslamate = `{id: model3, name: Blue, make: TESLA, preset: teslamate, with: {car: "1"}}`

// world is a broker, a daemon and a receiver.
type world struct {
	t       *testing.T
	address string
	mosq    *exec.Cmd
	d       *daemon.Daemon
	r       *receiver.Receiver

	mu     sync.Mutex
	bodies []string // of deliveries
}

// ServeHTTP keeps the bodies of deliveries, and has the receiver check them.
func (w *world) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	if !strings.Contains(string(body), `"eventName":"verify"`) {
		w.mu.Lock()
		w.bodies = append(w.bodies, string(body))
		w.mu.Unlock()
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	w.r.ServeHTTP(rw, req)
}

func newWorld(t *testing.T, vehicle string) *world {
	t.Helper()
	for _, program := range []string{"mosquitto", "mosquitto_pub"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("the broker is not installed: apt-get install mosquitto mosquitto-clients")
		}
	}
	w := &world{t: t, address: daemon.FreeAddress(t)}
	w.startBroker()
	t.Cleanup(w.killBroker)
	w.d = newDaemon(t, w.address, vehicle)
	w.r = receiver.New(w.d.ManagementToken())
	return w
}

// newDaemon is a daemon that reads a vehicle from the broker at the address.
func newDaemon(t *testing.T, broker, vehicle string) *daemon.Daemon {
	t.Helper()
	return daemon.New(t, func(config string) string {
		config = daemon.Ports(config)
		at := strings.Index(config, "sources:")
		rest := config[at:]
		next := strings.Index(rest, "\n# How often")
		config = config[:at] + fmt.Sprintf(sources, broker, vehicle) + rest[next:]
		return strings.Replace(config, "\ncadence:\n", "\ncadence:\n  gap: 2s\n", 1)
	})
}

func (w *world) startBroker() {
	host, port, _ := net.SplitHostPort(w.address)
	conf := filepath.Join(w.t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "listener %s %s\nallow_anonymous true\n", port, host), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.mosq = exec.Command("mosquitto", "-c", conf)
	if os.Geteuid() == 0 {
		w.mosq.Args = append(w.mosq.Args, "-v")
	}
	if err := w.mosq.Start(); err != nil {
		w.t.Fatal(err)
	}
	daemon.Eventually(w.t, "the broker listens", func() bool {
		c, err := net.Dial("tcp", w.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (w *world) killBroker() {
	_ = w.mosq.Process.Kill()
	_ = w.mosq.Wait()
}

// say publishes as TeslaMate does: kept by the broker, each value in a topic of its own.
func (w *world) say(pairs ...string) {
	w.t.Helper()
	host, port, _ := net.SplitHostPort(w.address)
	for i := 0; i < len(pairs); i += 2 {
		args := []string{"-h", host, "-p", port, "-q", "1", "-r", "-t", "teslamate/cars/1/" + pairs[i], "-m", pairs[i+1]}
		if out, err := exec.Command("mosquitto_pub", args...).CombinedOutput(); err != nil { //nolint:gosec // a test's
			w.t.Fatalf("mosquitto_pub: %v: %s", err, out)
		}
	}
}

// TestPlugInIsDelivered: what the broker keeps is delivered first, with an age that nobody
// knows; a plug-in is delivered a moment later; kills of the daemon and of the broker
// invent nothing.
func TestPlugInIsDelivered(t *testing.T) {
	w := newWorld(t, teslamate)
	w.say("plugged_in", "false", "charging_state", "Disconnected", "battery_level", "60.0", "rated_battery_range_km", "230.52",
		"location", `{"latitude":37.889602,"longitude":41.129182}`)
	hook := httptest.NewServer(w)
	defer hook.Close()
	w.d.Start()
	w.d.Webhook(w.r, adminapi.NewWebhook{Name: "garage", CallbackURI: hook.URL, AllowPrivate: true})
	w.d.Must("webhook", "verify", "garage")
	w.d.Must("subscribe", "garage", "--all")
	first := w.wait(1)
	if !strings.Contains(first, `"isPluggedIn":false`) || !strings.Contains(first, `"percentRemaining":0.6`) || !strings.Contains(first, `"latitude":37.889602`) {
		t.Errorf("the first delivery: %s", first)
	}

	w.d.Kill()
	w.d.Start()
	w.killBroker()
	w.startBroker() // without what it kept
	daemon.Eventually(t, "connected anew", func() bool { return strings.Count(w.d.Log(), "source.connected") >= 2 })

	w.say("plugged_in", "true", "charging_state", "Charging", "battery_level", "61.0")
	second := w.wait(2)
	if !strings.Contains(second, `"state":"CHARGING","isPluggedIn":true`) && !strings.Contains(second, `"isPluggedIn":true,"state":"CHARGING"`) {
		t.Errorf("the second delivery: %s", second)
	}
	if n := len(w.r.Accepted()); n != 2 {
		t.Errorf("%d deliveries, want the first one and the plug-in", n)
	}
}

// wait waits for the delivery of the number and returns its body.
func (w *world) wait(n int) string {
	w.t.Helper()
	const most = 20 * time.Second
	for end := time.Now().Add(most); len(w.r.Accepted()) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%d deliveries after %s, want %d; the daemon's log:\n%s", len(w.r.Accepted()), most, n, w.d.Log())
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bodies[len(w.bodies)-1]
}
