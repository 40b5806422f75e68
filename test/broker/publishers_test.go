package broker

import (
	"bufio"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/test/daemon"
	"plugbeat/test/long"
)

// needNode returns Node, with a package of this folder, or skips the test.
func needNode(t *testing.T, name, install string) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("skipped: node is not installed")
	}
	if _, err := os.Stat("node_modules/" + name); err != nil {
		t.Skip("skipped: " + name + " is not here; " + install + " in test/broker fetches it")
	}
	return node
}

// TestOldBroker: a real broker that speaks MQTT 3.1.1 only is told as that.
func TestOldBroker(t *testing.T) {
	long.Test(t)
	node := needNode(t, "aedes", "npm ci --omit=optional")
	aedes := exec.Command(node, "aedes.mjs")
	out, err := aedes.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := aedes.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = aedes.Process.Kill(); _ = aedes.Wait() })
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t, "127.0.0.1:"+strings.TrimSpace(port), teslamate)
	d.Start()
	daemon.Eventually(t, "the problem", func() bool { return strings.Contains(d.Log(), "speaks MQTT 3.1.1 only") })
	status, _, _ := d.Run("status")
	if !strings.Contains(status, "speaks MQTT 3.1.1 only") || !strings.Contains(status, "use a broker with MQTT 5") {
		t.Errorf("status: %s", status)
	}
}

// ownMap is a vehicle that a flow of Node-RED publishes.
const ownMap = `{id: garage, name: Green, make: MG, plug: {topic: garage/plug}, battery: {topic: garage/soc, unit: percent},
         location: {topic: garage/place, latitude: /lat, longitude: /lon}}`

// TestNodeRED: what a flow of Node-RED publishes by its own node is delivered.
func TestNodeRED(t *testing.T) {
	long.Test(t)
	node := needNode(t, "node-red", "npm ci")
	w := newWorld(t, ownMap)
	hook := httptest.NewServer(w)
	defer hook.Close()
	w.d.Start()
	w.d.Webhook(w.r, adminapi.NewWebhook{Name: "garage", CallbackURI: hook.URL, AllowPrivate: true})
	w.d.Must("webhook", "verify", "garage")

	_, port, _ := net.SplitHostPort(w.address)
	flow, err := os.ReadFile("flow.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	flows := filepath.Join(dir, "flows.json")
	if err := os.WriteFile(flows, []byte(strings.ReplaceAll(string(flow), "PORT", port)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, own, _ := net.SplitHostPort(daemon.FreeAddress(t))
	//nolint:gosec // a test's
	red := exec.Command(node, "node_modules/node-red/red.js", "--userDir", dir, "--port", own, "-D", "uiHost=127.0.0.1",
		"-D", "telemetry.enabled=false", flows)
	if err := red.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = red.Process.Kill(); _ = red.Wait() })
	daemon.Eventually(t, "Node-RED's plug", func() bool { return strings.Contains(w.d.Log(), `"to":"plugged_in"`) })
	w.d.Must("subscribe", "garage", "--all")
	body := w.wait(1)
	for _, want := range []string{`"isPluggedIn":true`, `"percentRemaining":0.61`, `"latitude":37.889602`} {
		if !strings.Contains(body, want) {
			t.Errorf("want %s in %s", want, body)
		}
	}
}
