package mqtt

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"plugbeat/test/long"
	"plugbeat/vehicle"
)

// end ends the broker as the service manager does, so that it saves what it keeps.
func (b *broker) end() {
	b.t.Helper()
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	_ = b.cmd.Wait()
}

// TestBrokerKeepsWhatWasSaid: a broker with persistence repeats after a restart what was
// said. That confirms nothing; and where its store is older than what was seen, the plug
// does not go back.
func TestBrokerKeepsWhatWasSaid(t *testing.T) {
	long.Test(t)
	t.Parallel() // it waits more than it works
	b := startBroker(t, "allow_anonymous true", "persistence true", "persistence_location DIR/")
	store := filepath.Join(b.dir, "mosquitto.db")
	b.publish("leaf/plug", "true", "-r", "-q", "1") // taken before it ends
	b.end()
	old, err := os.ReadFile(store)
	if err != nil {
		t.Fatal(err)
	}
	b.start()
	o := open(t, Settings{Broker: "mqtt://127.0.0.1:" + b.port})
	eventually(t, "the replay", func() bool { return o.read().Charge.Value.Plug == vehicle.PluggedIn })
	if c := o.read().Charge; !c.DataAge.IsZero() {
		t.Errorf("a replay with an age: %+v", c)
	}
	eventually(t, "the unplugging, by words a second apart", func() bool {
		b.publish("leaf/plug", "false", "-r", "-q", "1")
		return o.read().Charge.Value.Plug == vehicle.Unplugged
	})
	eventually(t, "a hint of each", func() bool { return o.hinted() == 2 })
	seen := o.read().Charge
	for _, kept := range [][]byte{nil, old} {
		b.end()
		ended := time.Now()
		o.problem(t, "unreachable")
		if kept != nil {
			if err := os.WriteFile(store, kept, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.start()
		eventually(t, "what the broker repeats", func() bool { return !o.LastMessage().IsZero() && len(o.Problems(time.Now())) == 0 })
		b.publish("leaf/soc", "50") // what settles after the repeated plug
		eventually(t, "a level", func() bool { return o.read().Battery.OK })
		if c := o.read().Charge; c.Value != seen.Value || c.DataAge != seen.DataAge || c.FetchedAt.After(ended) || o.hinted() != 2 {
			t.Errorf("an old store %v: %+v with %d hints, before the restart %+v", kept != nil, c, o.hinted(), seen)
		}
	}
}

// TestTakenOver: where another client with our id gets our connection, the next one is
// made and hears what is said. This mosquitto does not say why it ends a connection;
// TestSentAway has a broker that does.
func TestTakenOver(t *testing.T) {
	t.Parallel() // it waits more than it works
	b := startBroker(t, "allow_anonymous true", "log_dest file DIR/log")
	logged := func() string {
		text, _ := os.ReadFile(filepath.Join(b.dir, "log"))
		return string(text)
	}
	o := open(t, Settings{Broker: "mqtt://127.0.0.1:" + b.port})
	eventually(t, "connected", func() bool { return !o.connectedSince().IsZero() })
	id := regexp.MustCompile(`plugbeat-[0-9a-f-]+`).FindString(logged())
	if id == "" {
		t.Fatalf("no client id in the broker's log: %s", logged())
	}
	b.publish("other", "x", "-i", id, "-V", "mqttv5")
	eventually(t, "connected again", func() bool { return strings.Count(logged(), " as "+id+" ") == 3 })
	eventually(t, "the plug-in", func() bool {
		b.publish("leaf/plug", "true")
		return o.read().Charge.Value.Plug == vehicle.PluggedIn
	})
}

// TestSubscriptionDenied: each topic that the broker denies is told, and what it allows
// arrives all the same.
func TestSubscriptionDenied(t *testing.T) {
	t.Parallel() // it waits more than it works
	plugins, _ := filepath.Glob("/usr/lib/*/mosquitto_dynamic_security.so")
	if _, err := exec.LookPath("mosquitto_ctrl"); err != nil || len(plugins) == 0 {
		t.Skip("mosquitto's dynamic-security plugin is not installed: apt-get install mosquitto mosquitto-clients")
	}
	b := newBroker(t, "allow_anonymous false", "plugin "+plugins[0], "plugin_opt_config_file DIR/dynsec.json")
	ctrl := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("mosquitto_ctrl", args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_ctrl %v: %v: %s", args, err, out)
		}
	}
	ctrl("dynsec", "init", filepath.Join(b.dir, "dynsec.json"), "admin", "secret")
	b.start()
	at := []string{"-h", "127.0.0.1", "-p", b.port, "-u", "admin", "-P", "secret", "dynsec"}
	for _, line := range []string{
		"createClient plugbeat -p secret", "createRole reader",
		"addRoleACL reader subscribeLiteral leaf/plug allow", "addRoleACL reader publishClientReceive leaf/# allow",
		"addRoleACL reader publishClientSend leaf/# allow",
		"addClientRole plugbeat reader",
	} {
		ctrl(append(at, strings.Fields(line)...)...)
	}
	o := open(t, Settings{Broker: "mqtt://127.0.0.1:" + b.port, Username: "plugbeat", PasswordFile: "x"})
	p := o.problem(t, "subscription_denied")
	for _, want := range []string{`"plugbeat"`, "leaf/charging", "leaf/place", "leaf/soc"} {
		if !strings.Contains(p.Text, want) {
			t.Errorf("%q, want %s in it", p.Text, want)
		}
	}
	if strings.Contains(p.Text, "leaf/plug") || !strings.Contains(p.Remedy, "right to subscribe") {
		t.Errorf("%+v", p)
	}
	b.publish("leaf/plug", "true", "-u", "plugbeat", "-P", "secret")
	eventually(t, "the plug-in", func() bool { return o.read().Charge.Value.Plug == vehicle.PluggedIn })
}
