package remedies

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/webhook"
)

// latency is what every answer of a receiver takes.
const latency = 2 * time.Millisecond

// slow answers after a moment, as a network does.
func slow(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(latency)
		h.ServeHTTP(w, r)
	})
}

// fleet is a daemon with a verified webhook, fleet, that has three vehicles.
func fleet(t *testing.T) (*daemon.Daemon, *receiver.Receiver, string) {
	t.Helper()
	d := daemon.New(t, func(config string) string { return daemon.Ports(config) })
	r := receiver.New(d.ManagementToken())
	server := httptest.NewServer(slow(r))
	t.Cleanup(server.Close)
	d.Start()
	d.Webhook(r, adminapi.NewWebhook{Name: "fleet", CallbackURI: server.URL + "/hook"})
	d.Must("subscribe", "fleet", "--all")
	return d, r, server.URL
}

// TestFollow types each printed command in its state. One that is refused as it is printed
// is a remedy that leads nowhere.
func TestFollow(t *testing.T) {
	d, _, uri := fleet(t)
	var vehicles struct {
		Items []struct {
			Vehicle struct{ ID string } `json:"vehicle"`
			ID      string              `json:"id"`
		} `json:"items"`
	}
	d.JSON(&vehicles, "vehicle", "list")
	var deliveries struct {
		Items []webhook.Delivery `json:"items"`
	}
	daemon.Eventually(t, "three deliveries arrived", func() bool {
		d.JSON(&deliveries, "delivery", "list", "--state", "delivered")
		return len(deliveries.Items) == 3
	})
	if len(vehicles.Items) == 0 {
		t.Fatal("no vehicle is listed")
	}
	id := vehicles.Items[0].ID + vehicles.Items[0].Vehicle.ID
	names := strings.NewReplacer("HOOK", "fleet", "VEHICLE", id, "DELIVERY", deliveries.Items[0].ID.String(),
		"DIR", d.Dir, "CONFIG", d.Config(), "URI", uri+"/b")
	follow := func(state string) {
		keys := []string{}
		for key, r := range list {
			if r.state == state {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			r := list[key]
			if out, stderr, code := d.Run(strings.Fields(names.Replace(r.typed))...); code != r.code {
				t.Errorf("`plugbeat %s` is followed as `plugbeat %s`: exit code %d, want %d\n%s%s", key, r.typed, code, r.code, out, stderr)
			}
		}
	}
	follow(running)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	follow(stopped)
	d.Start()
	for key, r := range list {
		if r.state != lasting {
			continue
		}
		help, _, code := d.Run(append(strings.Fields(strings.Split(key, " --")[0]), "--help")...)
		for _, f := range flag.FindAllString(key, -1) {
			if code != 0 || !strings.Contains(help, f) {
				t.Errorf("`plugbeat %s` is printed, and its help knows no %s", key, f)
			}
		}
	}
}

// next fails unless a command ends with an exit code and prints texts.
func next(t *testing.T, d *daemon.Daemon, code int, typed string, texts ...string) {
	t.Helper()
	out, stderr, got := d.Run(strings.Fields(typed)...)
	if got != code {
		t.Errorf("plugbeat %s: exit code %d, want %d\n%s%s", typed, got, code, out, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(out+stderr, text) {
			t.Errorf("plugbeat %s says\n%s%s\nwant %q in it", typed, out, stderr, text)
		}
	}
}

// wrong returns what health says is wrong with webhooks.
func wrong(t *testing.T, d *daemon.Daemon) []string {
	t.Helper()
	var st adminapi.Status
	d.JSON(&st, "status")
	codes := []string{}
	for _, c := range st.Conditions {
		if strings.HasPrefix(string(c.Code), "webhook.") {
			codes = append(codes, string(c.Code))
		}
	}
	return codes
}

// A receiver that takes everything and answers nothing, as Home Assistant's webhook trigger:
// verify, enable and enable --force are refused, each names the bridge, and that is the way.
func TestReceiverThatAnswersNothing(t *testing.T) {
	got := make(chan string, 64)
	server := httptest.NewServer(slow(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- string(b)
	})))
	t.Cleanup(server.Close)
	d := daemon.New(t, func(config string) string { return daemon.Ports(config) })
	d.Start()
	next(t, d, 0, "webhook add --name ha --callback "+server.URL+"/api --allow-private", "plugbeat webhook verify ha")
	const bridge = "plugbeat bridge"
	next(t, d, 1, "webhook verify ha", bridge, "plugbeat webhook change ha --callback")
	if out, stderr, _ := d.Run("webhook", "enable", "ha"); strings.Contains(out+stderr, "--force") {
		t.Errorf("enable advises what is refused: %s", stderr)
	}
	next(t, d, 1, "webhook enable ha", bridge, "plugbeat webhook change ha --callback")
	next(t, d, 1, "webhook enable ha --force", bridge)
	at := daemon.FreeAddress(t)
	cmd := exec.Command(daemon.Binary(t), "bridge", "--listen", at, "--config", d.Config(), server.URL+"/api")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	next(t, d, 0, "webhook change ha --callback http://"+at+"/ --allow-private", "next: plugbeat webhook verify ha")
	daemon.Eventually(t, "the bridge answers the challenge", func() bool {
		_, _, code := d.Run("webhook", "verify", "ha")
		return code == 0
	})
	next(t, d, 0, "subscribe ha --all")
	daemon.Eventually(t, "a delivery reached the receiver", func() bool {
		for {
			select {
			case body := <-got:
				if strings.Contains(body, "vehicleId") && !strings.Contains(body, `"verify"`) {
					return true
				}
			default:
				return false
			}
		}
	})
	if codes := wrong(t, d); len(codes) > 0 {
		t.Errorf("after it health has %v", codes)
	}
}

// What disable, test and verify of a disabled webhook print leads out of it.
func TestDisabled(t *testing.T) {
	d, _, _ := fleet(t)
	next(t, d, 0, "webhook disable fleet", "to go on: plugbeat webhook enable fleet")
	next(t, d, 1, "webhook test fleet", "run: plugbeat webhook enable fleet")
	next(t, d, 0, "webhook verify fleet", "next: plugbeat webhook enable fleet")
	if codes := wrong(t, d); !slices.Contains(codes, "webhook.disabled") {
		t.Errorf("health has %v", codes)
	}
	next(t, d, 0, "webhook enable fleet")
	if codes := wrong(t, d); slices.Contains(codes, "webhook.disabled") {
		t.Errorf("after enable health has %v", codes)
	}
}

// A receiver that was verified and then answers challenges wrongly: enable advises --force,
// which is granted.
func TestForceIsGranted(t *testing.T) {
	d, r, _ := fleet(t)
	d.Must("webhook", "disable", "fleet")
	r.Rule(func(m receiver.Message) receiver.Answer {
		if m.Event == "verify" {
			return receiver.Answer{Status: 500}
		}
		return receiver.Answer{}
	})
	next(t, d, 1, "webhook enable fleet", "plugbeat webhook enable fleet --force")
	next(t, d, 0, "webhook enable fleet --force")
	if codes := wrong(t, d); slices.Contains(codes, "webhook.disabled") {
		t.Errorf("after enable --force health has %v", codes)
	}
}

// Each step of a rotation of a webhook's key names the next, and both ways out end it.
func TestRotateKey(t *testing.T) {
	d, _, _ := fleet(t)
	next(t, d, 0, "webhook rotate-key fleet", "plugbeat webhook rotate-key fleet --finish", "plugbeat webhook rotate-key fleet --cancel")
	next(t, d, 1, "webhook rotate-key fleet", "plugbeat webhook rotate-key fleet --cancel")
	if codes := wrong(t, d); !slices.Contains(codes, "webhook.two_keys") {
		t.Errorf("health has %v", codes)
	}
	next(t, d, 0, "webhook rotate-key fleet --cancel")
	if codes := wrong(t, d); len(codes) > 0 {
		t.Errorf("after cancel health has %v", codes)
	}
	next(t, d, 1, "webhook rotate-key fleet --try", "see: plugbeat webhook show fleet")
}

// Each step of a rotation of the management token names the next.
func TestRotateManagementToken(t *testing.T) {
	d, _, _ := fleet(t)
	next(t, d, 0, "token rotate-management", "restart plugbeat")
	next(t, d, 1, "token rotate-management --finish", "restart plugbeat, then: plugbeat token rotate-management --try")
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	d.Start()
	next(t, d, 0, "token rotate-management --try", "fleet")
	next(t, d, 1, "token rotate-management --finish", "plugbeat token rotate-management --finish --force")
	next(t, d, 0, "token rotate-management --finish --force")
}

// A damaged data file ends serve with a remedy, which is followed and keeps the damaged file.
func TestRestoreWhatIsDamaged(t *testing.T) {
	d, _, _ := fleet(t)
	backup := filepath.Join(d.Dir, "b.db")
	next(t, d, 0, "backup "+backup)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(d.DataFile())
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(whole)
	for i := range damaged[:8192] {
		damaged[i] ^= 0x5a
	}
	if err := os.WriteFile(d.DataFile(), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := d.Serve(); code != 65 || !strings.Contains(out, "plugbeat restore") {
		t.Errorf("serve: exit code %d\n%s", code, out)
	}
	next(t, d, 0, "restore "+backup)
	d.Start()
	next(t, d, 0, "webhook show fleet")
	kept, err := filepath.Glob(d.DataFile() + "*")
	if err != nil || len(kept) < 2 {
		t.Errorf("beside the restored file is %q, %v; want the damaged one kept", kept, err)
	}
}
