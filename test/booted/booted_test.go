//go:build linux

package booted

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/webhook"
)

const (
	cars = 120
	// cadence is that of the cars, who are spread evenly over it: two deliveries a
	// second.
	cadence = time.Minute
	hook    = "garage"
	address = "127.0.0.1:8099"
)

// world is a container with a plugbeat in it and the application outside that
// receives.
type world struct {
	*container
	receiver *receiver.Receiver
	server   *http.Server
	cars     []string // their ids
	anchors  map[string]time.Time
	facts    []string // the summary
}

func (w *world) fact(format string, args ...any) {
	w.t.Helper()
	f := fmt.Sprintf(format, args...)
	w.facts = append(w.facts, f)
	w.t.Log(f)
}

// TestBooted is one life of a service, told in order: each part finds it as the one
// before left it, and the account at the end is of all of them.
func TestBooted(t *testing.T) {
	w := &world{container: newContainer(t)}
	w.install(binary(t), "/usr/local/bin/plugbeat")
	w.start()
	w.fact("booted systemd %s", strings.Fields(w.must("systemctl", "--version"))[1])
	began := time.Now()
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"init", w.setUp},
		{"active only when ready", w.activeWhenReady},
		{"a wrong config", w.wrongConfig},
		{"deliveries flow", w.flow},
		{"who may command", w.whoMayCommand},
		{"doctor", w.examined},
		{"kill -9", w.killed},
		{"watchdog", w.stopped},
		{"restarts under load", w.restarted},
		{"journal", w.journal},
		{"reboot", w.rebooted},
		{"account", w.account},
		{"maintenance", w.maintained},
		{"a damaged data file", w.damaged},
		{"another data folder", w.elsewhere},
		{"remove", w.removed},
		{"packages", w.packages},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			w.t = t
			defer func() { w.t = w.outer }()
			part.run(t)
		}) {
			break
		}
	}
	t.Logf("summary, after %s:\n  %s", time.Since(began).Round(time.Second), strings.Join(w.facts, "\n  "))
}

// init --systemd refuses a binary that will not last, makes what it says with the
// right modes, and changes nothing the second time; the unit is tight.
func (w *world) setUp(t *testing.T) {
	w.must("cp", "/usr/local/bin/plugbeat", "/var/tmp/plugbeat")
	w.fails([]string{"will not find it there: that is a folder for temporary files", "install -m 0755 /var/tmp/plugbeat /usr/local/bin/plugbeat"}, "/var/tmp/plugbeat", "init", "--systemd")
	w.must("rm", "/var/tmp/plugbeat")
	w.must("cp", "/usr/local/bin/plugbeat", "/root/plugbeat")
	w.fails([]string{"a home folder"}, "/root/plugbeat", "init", "--systemd")
	w.fails([]string{"only root may"}, "runuser", "-u", "nobody", "--", "plugbeat", "init", "--systemd")

	if out := w.must("plugbeat", "init", "--systemd"); !strings.Contains(out, "systemctl enable --now plugbeat") {
		t.Errorf("it does not say what comes next:\n%s", out)
	}
	modes := w.must("stat", "-c", "%a %U:%G %n", "/etc/plugbeat", "/etc/plugbeat/config.yaml", "/etc/plugbeat/secrets", "/etc/plugbeat/secrets/sealing_key",
		"/etc/plugbeat/secrets/management_token", "/var/lib/plugbeat", "/etc/systemd/system/plugbeat.service")
	if want := `750 root:plugbeat /etc/plugbeat
640 root:plugbeat /etc/plugbeat/config.yaml
700 root:root /etc/plugbeat/secrets
600 root:root /etc/plugbeat/secrets/sealing_key
600 root:root /etc/plugbeat/secrets/management_token
700 plugbeat:plugbeat /var/lib/plugbeat
644 root:root /etc/systemd/system/plugbeat.service`; modes != want {
		t.Errorf("modes:\n%s", modes)
	}
	if out := w.must("plugbeat", "init", "--systemd"); !strings.Contains(out, "nothing was changed") {
		t.Errorf("a second init:\n%s", out)
	}
	w.must("plugbeat", "check-config")

	out := w.must("systemd-analyze", "security", "--no-pager", "plugbeat.service")
	m := regexp.MustCompile(`Overall exposure level for plugbeat.service: (\d+\.\d+ \w+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure in:\n%s", out)
	}
	if level, err := strconv.ParseFloat(strings.Fields(m[1])[0], 64); err != nil || level > 2.0 {
		t.Errorf("exposure %s:\n%s", m[1], out)
	}
	w.fact("exposure by systemd-analyze security: %s", m[1])
}

// The service is activating while its data file cannot be opened, and active once
// the local socket answers.
func (w *world) activeWhenReady(t *testing.T) {
	w.configure()
	// A watchdog that a test can wait for.
	w.write("/etc/systemd/system/plugbeat.service.d/test.conf", "[Service]\nWatchdogSec=2s\n")
	w.must("systemctl", "daemon-reload")
	w.must("systemctl", "start", "plugbeat") // the data file is made
	w.must("plugbeat", "status")
	w.must("systemctl", "stop", "plugbeat")

	f, err := os.Open(w.path("/var/lib/plugbeat/plugbeat.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	w.must("systemctl", "start", "--no-block", "plugbeat")
	w.eventually("a process that waits for the data file", 5*time.Second, func() error {
		status := w.property("StatusText")
		if !strings.Contains(status, "opening the data file") {
			return fmt.Errorf("its status is %q", status)
		}
		return nil
	})
	if state := w.property("ActiveState"); state != "activating" {
		t.Errorf("while its data file is another's it is %s", state)
	}
	w.fails([]string{"no plugbeat daemon answers"}, "plugbeat", "status")
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	w.eventually("an active service", 10*time.Second, func() error {
		if state := w.property("ActiveState"); state != "active" {
			return errors.New(state)
		}
		return nil
	})
	w.must("plugbeat", "status") // at once, at the first try
	if status := w.property("StatusText"); status != fmt.Sprintf("vehicles: %d, webhooks: 0, deliveries waiting: 0", cars) {
		t.Errorf("its status is %q", status)
	}
	if n := w.number("NRestarts"); n != 0 {
		t.Errorf("%d restarts", n)
	}
	w.must("systemctl", "enable", "plugbeat")
	w.fact("active only when ready: activating while the data file was locked, active once the socket answered")
}

// configure gives the daemon the cars and the pace of this test.
func (w *world) configure() {
	w.t.Helper()
	w.edit("/etc/plugbeat/config.yaml", "vehicles: 3", fmt.Sprintf("vehicles: %d\n    max_reads: 16", cars), "hour: 1h", "hour: 24h",
		"unplugged: 1h", fmt.Sprintf("unplugged: %s\n  gap: 1s", cadence), "plugged_in: 30m",
		fmt.Sprintf("plugged_in: %s\n\ndelivery:\n  retries: [1s, 1s, 1s, 2s, 5s, 10s, 30s, 1m, 1m, 1m]", cadence))
}

// A wrong config is not tried again, and says what is wrong where people look.
func (w *world) wrongConfig(t *testing.T) {
	w.edit("/etc/plugbeat/config.yaml", "gap: 1s", "gap: 1")
	w.fails(nil, "systemctl", "restart", "plugbeat")
	if state := w.property("ActiveState"); state != "failed" {
		t.Errorf("with a wrong config it is %s", state)
	}
	if code, text := w.property("ExecMainStatus"), w.property("StatusText"); code != "78" || !strings.Contains(text, "cadence.gap") {
		t.Errorf("it ended with %s and %q", code, text)
	}
	if out := w.text("journalctl", "--no-pager", "-u", "plugbeat", "-p", "err", "-o", "cat"); !strings.Contains(out, `cadence.gap "1"`) {
		t.Errorf("the journal's errors:\n%s", out)
	}
	w.edit("/etc/plugbeat/config.yaml", "gap: 1\n", "gap: 1s\n")
	w.must("systemctl", "start", "plugbeat")
	w.fact("wrong config: failed at once with 78, the setting named in systemctl status and journalctl -p err")
}

// Deliveries reach a receiver on the container's loopback, with both signatures.
func (w *world) flow(t *testing.T) {
	w.receive(t)
	w.more(6)
	w.fact("deliveries flow: %d cars, one delivery each a minute", cars)
}

// slow answers after a while, so that requests are in flight now and then.
func (w *world) slow(receiver.Message) receiver.Answer {
	return receiver.Answer{Delay: time.Duration(rand.IntN(400)) * time.Millisecond}
}

// serve receives on the container's network as it is since its last boot.
func (w *world) serve() {
	if w.server != nil {
		_ = w.server.Close()
	}
	w.server = &http.Server{Handler: w.receiver} //nolint:gosec // a test's
	ln := w.listen(address)
	server := w.server
	go func() { _ = server.Serve(ln) }()
	w.outer.Cleanup(func() { _ = server.Close() })
}

func (w *world) decode(into any, args ...string) {
	w.t.Helper()
	out := w.must(args...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// more waits until n more deliveries were accepted.
func (w *world) more(n int) {
	w.t.Helper()
	want := len(w.receiver.Accepted()) + n
	w.eventually(fmt.Sprintf("%d more deliveries", n), 30*time.Second, func() error {
		if got := len(w.receiver.Accepted()); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// busy waits until a request is being answered.
func (w *world) busy() {
	w.t.Helper()
	w.eventually("a request in flight", 30*time.Second, func() error {
		if w.receiver.Open() == 0 {
			return errors.New("none")
		}
		return nil
	})
}

// Members of the group plugbeat and root use the local commands; nobody else does,
// nor sees a secret.
func (w *world) whoMayCommand(*testing.T) {
	w.must("useradd", "--no-create-home", "--groups", "plugbeat", "ann")
	w.must("useradd", "--no-create-home", "bob")
	as := func(user string, args ...string) []string {
		return append([]string{"runuser", "-u", user, "--"}, args...)
	}
	w.must(as("ann", "plugbeat", "status")...)
	w.must(as("ann", "plugbeat", "webhook", "list")...)
	for _, who := range []string{"bob", "nobody"} {
		w.fails([]string{"/run/plugbeat/plugbeat.sock", "permission denied", "usermod -aG plugbeat"}, as(who, "plugbeat", "status")...)
		w.fails([]string{"ermission denied"}, as(who, "cat", "/etc/plugbeat/config.yaml")...)
	}
	for _, who := range []string{"ann", "plugbeat", "bob"} {
		w.fails([]string{"ermission denied"}, as(who, "cat", "/etc/plugbeat/secrets/sealing_key")...)
	}
	w.fails([]string{"only root reads that folder"}, as("ann", "plugbeat", "check-config")...)
	if got := w.must("stat", "-c", "%a %U:%G", "/run/plugbeat", "/run/plugbeat/plugbeat.sock"); got != "750 plugbeat:plugbeat\n660 plugbeat:plugbeat" {
		w.t.Errorf("the socket and its folder: %s", got)
	}
	w.fact("commands: root and a member of group plugbeat, nobody else; secrets: root alone")
}

// doctor finds nothing wrong with a service that works, tells of a unit that was edited
// by hand, and says to whom it cannot show all.
func (w *world) examined(t *testing.T) {
	has := func(out string, lines ...string) {
		t.Helper()
		for _, l := range lines {
			if !regexp.MustCompile(`(?m)^` + l).MatchString(out) {
				t.Errorf("doctor does not say %q:\n%s", l, out)
			}
		}
	}
	unit := "/etc/systemd/system/plugbeat.service"
	out := w.must("plugbeat", "doctor")
	has(out, `ok +config +/etc/plugbeat/config\.yaml: valid`, `ok +secret +key_file: the running daemon opened the data file`, `ok +data +/var/lib/plugbeat: owner and modes are right`,
		`ok +daemon +/run/plugbeat/plugbeat\.sock: .* is ready`, `ok +listener +http\.api\.listen: the daemon answers at 127\.0\.0\.1:8765`, `ok +service +`+unit+`: as this version writes it`,
		`ok +service +`+unit+`\.d: 1 drop-in beside the unit`, `ok +service +plugbeat\.service: active`, `ok +webhook +`+hook+`: 127\.0\.0\.1:8099 answers`)
	before := w.must("cat", unit)
	w.write(unit, before+"\n# a change by hand\nLimitNOFILE=4096\n")
	has(w.must("plugbeat", "doctor"), `warning +service +`+unit+`: it was edited by hand`, ` +-> keep changes of your own in a drop-in, which upgrades leave alone: systemctl edit plugbeat`)
	w.write(unit, before+"\n")
	w.must("systemctl", "daemon-reload")
	has(w.must("plugbeat", "doctor"), `ok +service +`+unit+`: as this version writes it`)
	has(w.text("runuser", "-u", "ann", "--", "plugbeat", "doctor", "--offline"), `ok +config `, `warning +secret +key_file: .* cannot be looked at by this user`, `ok +daemon `)
	has(w.text("runuser", "-u", "bob", "--", "plugbeat", "doctor", "--offline"), `warning +config +/etc/plugbeat/config\.yaml: this user may not read it`, `problem +daemon +.*this user may not speak to the daemon`)
	w.fact("doctor: nothing wrong with the service; a unit edited by hand is told")
}

// back waits for the service to be active again in another process.
func (w *world) back(old string) {
	w.t.Helper()
	w.eventually("a service that is back", 30*time.Second, func() error {
		if pid, state := w.property("MainPID"), w.property("ActiveState"); pid == old || pid == "0" || state != "active" {
			return fmt.Errorf("%s, process %s", state, pid)
		}
		return nil
	})
}

func (w *world) killed(t *testing.T) {
	const kills = 3
	for range kills {
		pid := w.property("MainPID")
		w.busy()
		w.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "plugbeat")
		w.back(pid)
		w.more(2)
	}
	if n := w.number("NRestarts"); n != kills {
		t.Errorf("%d restarts, want %d", n, kills)
	}
	w.fact("kill -9, %d times with requests in flight: restarted each time", kills)
}

// A process that stands still is ended by the watchdog, with its stacks in the
// journal, and started again.
func (w *world) stopped(t *testing.T) {
	pid, restarts := w.property("MainPID"), w.number("NRestarts")
	began := time.Now()
	w.busy()
	w.must("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "plugbeat")
	w.back(pid)
	w.fact("watchdog (2 s here): a process stopped by SIGSTOP was replaced after %s", time.Since(began).Round(100*time.Millisecond))
	if n := w.number("NRestarts"); n != restarts+1 {
		t.Errorf("%d restarts, want %d", n, restarts+1)
	}
	out := w.text("journalctl", "--no-pager", "-u", "plugbeat", "-p", "err", "-o", "cat", "_PID="+pid)
	if !strings.Contains(out, "SIGABRT") || !strings.Contains(out, "goroutine ") {
		t.Errorf("the journal has no stacks of it:\n%s", tail(out, 2000))
	}
	w.more(2)
}

// Restarts under load lose nothing and send nothing twice: what is in flight is
// waited for.
func (w *world) restarted(t *testing.T) {
	const restarts = 5
	before := w.receiver.Accepted()
	w.busy()
	for range restarts {
		w.busy()
		w.must("systemctl", "restart", "plugbeat")
		if state := w.property("ActiveState"); state != "active" {
			t.Fatalf("after systemctl restart it is %s", state)
		}
		w.more(1)
	}
	for id, n := range w.receiver.Accepted() {
		if before[id] == 0 && n > 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	w.fact("systemctl restart, %d times with requests in flight: nothing lost, nothing sent twice", restarts)
}

// Every event's fields are fields of the journal, its level is its priority, its
// message is for a person.
func (w *world) journal(t *testing.T) {
	entries := func(args ...string) (out []map[string]any) {
		t.Helper()
		s := bufio.NewScanner(strings.NewReader(w.must(append([]string{"journalctl", "--no-pager", "-u", "plugbeat", "-o", "json"}, args...)...)))
		s.Buffer(nil, 1<<24)
		for s.Scan() {
			var e map[string]any
			if err := json.Unmarshal(s.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			out = append(out, e)
		}
		return out
	}
	es := entries("PLUGBEAT_EVENT=webhook.verified")
	if len(es) != 1 {
		t.Fatalf("%d entries of webhook.verified", len(es))
	}
	id, _ := es[0]["PLUGBEAT_WEBHOOK"].(string)
	if msg, _ := es[0]["MESSAGE"].(string); es[0]["PRIORITY"] != "6" || es[0]["SYSLOG_IDENTIFIER"] != "plugbeat" || es[0]["_SYSTEMD_UNIT"] != "plugbeat.service" ||
		id == "" || !strings.HasPrefix(msg, "webhook.verified") || !strings.Contains(msg, "webhook="+id) || strings.Contains(msg, "{") {
		t.Errorf("the entry: %v", es[0])
	}
	delivered := entries("PLUGBEAT_EVENT=delivery.delivered", "PLUGBEAT_WEBHOOK="+id)
	if len(delivered) == 0 || delivered[0]["PLUGBEAT_DELIVERY"] == nil {
		t.Errorf("%d entries of delivery.delivered", len(delivered))
	}
	for _, e := range entries("-p", "err") {
		if p, _ := e["PRIORITY"].(string); p > "3" {
			t.Errorf("-p err shows %v", e)
		}
	}
	// A receiver that fails once is a warning, and is found as one.
	var failed atomic.Bool
	w.receiver.Rule(func(receiver.Message) receiver.Answer {
		if failed.Swap(true) {
			return receiver.Answer{}
		}
		return receiver.Answer{Status: http.StatusServiceUnavailable}
	})
	w.eventually("a warning", 30*time.Second, func() error {
		out, err := w.run("journalctl", "--no-pager", "-u", "plugbeat", "-p", "warning..warning", "-o", "cat", "PLUGBEAT_EVENT=webhook.opened")
		if err == nil && !strings.Contains(out, "webhook.opened: ") {
			err = errors.New("none")
		}
		return err
	})
	w.receiver.Rule(w.slow)
	w.more(2)
	all := w.must("journalctl", "--no-pager", "-u", "plugbeat")
	token, _ := os.ReadFile(w.path("/etc/plugbeat/secrets/management_token"))
	if strings.Contains(all, strings.TrimSpace(string(token))) {
		t.Error("the management token is in the journal")
	}
	w.fact("journal: PLUGBEAT_EVENT, PLUGBEAT_WEBHOOK, PLUGBEAT_DELIVERY and PRIORITY are fields; -p err shows errors only")
}

// A reboot starts the service by itself, and every car's grid goes on where it was.
func (w *world) rebooted(t *testing.T) {
	const sample = cars / 8
	client := adminapi.Dial(fmt.Sprintf("/proc/%d/root/run/plugbeat/plugbeat.sock", w.leader))
	page, err := client.Vehicles(t.Context(), "", cars)
	if err != nil {
		t.Fatal(err)
	}
	w.anchors = map[string]time.Time{}
	for _, v := range page.Items {
		full, err := client.Vehicle(t.Context(), v.Vehicle.ID)
		if err != nil || len(full.Subscriptions) != 1 {
			t.Fatalf("%+v, %v", full.Subscriptions, err)
		}
		w.cars = append(w.cars, v.Vehicle.ID.String())
		w.anchors[v.Vehicle.ID.String()] = full.Subscriptions[0].Anchor
	}
	client.Close()

	w.busy()
	began := time.Now()
	w.reboot()
	w.serve()
	w.eventually("an active service", 30*time.Second, func() error {
		if state := w.property("ActiveState"); state != "active" {
			return errors.New(state)
		}
		return nil
	})
	took := time.Since(began)
	w.more(sample)
	// From here on nothing is late: what arrives is on its grid.
	from := len(w.receiver.Messages())
	w.more(sample)
	worst := time.Duration(0)
	for _, m := range w.receiver.Messages()[from:] {
		anchor, ok := w.anchors[m.Vehicle]
		if !ok {
			t.Fatalf("a delivery of %q", m.Vehicle)
		}
		late := m.At.Sub(anchor) % cadence
		worst = max(worst, late)
	}
	if worst > 5*time.Second {
		t.Errorf("a delivery after the reboot was %s off its grid", worst)
	}
	w.fact("reboot in %s: started by itself, %d deliveries at most %s after their point of the old grid", took.Round(100*time.Millisecond), sample, worst.Round(time.Millisecond))
}

// drain takes every car off the webhook, waits until nothing waits, and returns its
// ledger.
func (w *world) drain() webhook.Ledger {
	w.t.Helper()
	w.must(append([]string{"plugbeat", "unsubscribe", hook}, w.cars...)...)
	var view struct{ Webhook adminapi.WebhookView }
	w.eventually("nothing waiting", 30*time.Second, func() error {
		w.decode(&view, "plugbeat", "webhook", "show", hook, "--json")
		if n := view.Webhook.Ledger.Waiting(); n > 0 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	return view.Webhook.Ledger
}

// All that was produced since the beginning has arrived, and nothing else.
func (w *world) account(t *testing.T) {
	until := time.Now().Add(-5 * time.Second)
	l := w.drain()
	accepted, twice := w.receiver.Accepted(), 0
	for _, n := range accepted {
		twice += n - 1
	}
	if l.Produced != l.Delivered || int(l.Delivered) != len(accepted) { //nolint:gosec // small
		t.Errorf("the ledger says %+v, the receiver accepted %d", l, len(accepted))
	}
	had := map[string]bool{}
	for _, m := range w.receiver.Messages() {
		had[m.Vehicle] = true
		if m.Event != "verify" && (!m.Smartcar || !m.Standard) {
			t.Errorf("%s arrived with a wrong signature", m.ID)
		}
	}
	for car, anchor := range w.anchors {
		if anchor.Before(until) && !had[car] {
			t.Errorf("car %s was due at %s and nothing came", car, anchor)
		}
	}
	// At each of three kills and one abort at most 8 requests were in flight.
	if twice > 4*8 {
		t.Errorf("%d deliveries came again", twice)
	}
	w.must("systemctl", "stop", "plugbeat")
	if out := w.must("plugbeat", "check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check says: %s", out)
	}
	w.fact("account: %d produced, %d delivered, %d accepted by the receiver, %d of them again after kills; the data file is sound", l.Produced, l.Delivered, len(accepted), twice)
}

// What root does to the data file leaves it the daemon's.
func (w *world) maintained(t *testing.T) {
	w.must("systemctl", "start", "plugbeat")
	w.must("plugbeat", "backup", "/srv/backup.db")
	w.must("systemctl", "stop", "plugbeat")
	w.must("plugbeat", "compact")
	w.must("plugbeat", "restore", "/srv/backup.db")
	if left := w.must("find", "/var/lib/plugbeat", "!", "-user", "plugbeat", "-o", "!", "-group", "plugbeat", "-o", "-perm", "/077"); left != "" {
		t.Errorf("of another owner or open to others: %s", left)
	}
	w.must("systemctl", "start", "plugbeat")
	if out := w.must("plugbeat", "webhook", "list"); !strings.Contains(out, hook) {
		t.Errorf("after the restoring:\n%s", out)
	}

	// A backup by itself, where the unit lets it write.
	w.must("install", "-d", "-o", "plugbeat", "-g", "plugbeat", "-m", "0700", "/var/backups/plugbeat")
	config := w.must("cat", "/etc/plugbeat/config.yaml")
	w.edit("/etc/plugbeat/config.yaml", "\ndelivery:\n", "\nbackup: {folder: /var/backups/plugbeat, schedule: 1m}\nalerts: {phone: {template: json, url_file: secrets/phone_url}}\ndelivery:\n")
	// Secrets that came later are handed over too.
	w.write("/etc/plugbeat/secrets/phone_url", "http://"+address+"/alert\n")
	w.must("plugbeat", "init", "--systemd") // sets its mode right
	w.must("plugbeat", "token", "rotate-management")
	if got := w.must("stat", "-c", "%a %U:%G", "/etc/plugbeat/secrets/phone_url", "/etc/plugbeat/secrets/management_token_next"); got != "600 root:root\n600 root:root" {
		t.Errorf("later secrets: %s", got)
	}
	w.must("systemctl", "restart", "plugbeat")
	w.must("plugbeat", "status")
	w.eventually("a backup", 90*time.Second, func() error {
		if w.text("ls", "/var/backups/plugbeat") == "" {
			return errors.New("the folder is empty")
		}
		return nil
	})
	w.restoreConfig(config)
	w.must("rm", "-r", "/var/backups/plugbeat", "/srv/backup.db", "/etc/plugbeat/secrets/phone_url", "/etc/plugbeat/secrets/management_token_next")
	w.fact("maintenance by root: backup, compact and restore leave the files the daemon's; it makes backups in /var/backups/plugbeat; secrets that come later are handed over")
}

// A damaged data file is not tried again and again, and the way out works.
func (w *world) damaged(t *testing.T) {
	const file = "/var/lib/plugbeat/plugbeat.db"
	w.must("plugbeat", "backup", "/srv/backup.db")
	w.must("systemctl", "stop", "plugbeat")
	w.must("truncate", "--size=20000", file)
	restarts := w.number("NRestarts")
	w.fails(nil, "systemctl", "start", "plugbeat")
	if code, text := w.property("ExecMainStatus"), w.property("StatusText"); code != "65" || !strings.Contains(text, file+" is damaged") || !strings.Contains(text, "plugbeat restore") {
		t.Errorf("it ended with %s and %q", code, text)
	}
	if state, n := w.property("ActiveState"), w.number("NRestarts"); state != "failed" || n != restarts {
		t.Errorf("it is %s and was started %d times again", state, n-restarts)
	}
	w.must("plugbeat", "restore", "/srv/backup.db")
	w.must("systemctl", "start", "plugbeat")
	if out := w.must("plugbeat", "webhook", "list"); !strings.Contains(out, hook) {
		t.Errorf("after the restoring:\n%s", out)
	}
	w.must("rm", "/srv/backup.db")
	w.fact("a damaged data file: failed at once with 65, the file and plugbeat restore named, which works")
}

// restoreConfig puts a config back as it was.
func (w *world) restoreConfig(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path("/etc/plugbeat/config.yaml"), []byte(text+"\n"), 0); err != nil {
		w.t.Fatal(err)
	}
}

// A data folder that the unit does not let it write to is refused with the way out,
// which works.
func (w *world) elsewhere(t *testing.T) {
	config := w.must("cat", "/etc/plugbeat/config.yaml")
	w.must("install", "-d", "-o", "plugbeat", "-g", "plugbeat", "-m", "0700", "/srv/elsewhere")
	w.edit("/etc/plugbeat/config.yaml", "data_dir: /var/lib/plugbeat", "data_dir: /srv/elsewhere")
	w.must("systemctl", "restart", "--no-block", "plugbeat")
	w.eventually("the way out in the journal", 30*time.Second, func() error {
		out := w.text("journalctl", "--no-pager", "-u", "plugbeat", "-p", "err", "-o", "cat", "-n", "20")
		for _, word := range []string{"/srv/elsewhere", "read-only file system", "systemctl edit plugbeat", "ReadWritePaths="} {
			if !strings.Contains(out, word) {
				return fmt.Errorf("no %q in:\n%s", word, out)
			}
		}
		return nil
	})
	w.write("/etc/systemd/system/plugbeat.service.d/data.conf", "[Service]\nReadWritePaths=/srv/elsewhere\n")
	w.must("systemctl", "daemon-reload")
	w.must("systemctl", "restart", "plugbeat")
	w.must("test", "-s", "/srv/elsewhere/plugbeat.db")
	w.must("runuser", "-u", "ann", "--", "plugbeat", "status") // the socket stays where it was
	w.must("systemctl", "stop", "plugbeat")
	w.must("rm", "-r", "/srv/elsewhere", "/etc/systemd/system/plugbeat.service.d/data.conf")
	w.must("systemctl", "daemon-reload")
	w.restoreConfig(config)
	w.fact("another data folder: refused with the drop-in that allows it, which works")
}

// --remove keeps what cannot be had again, coming back finds it, and --purge leaves
// nothing.
func (w *world) removed(t *testing.T) {
	w.must("systemctl", "start", "plugbeat")
	if out := w.must("plugbeat", "init", "--systemd", "--remove"); !strings.Contains(out, "removed  /etc/systemd/system/plugbeat.service") || !strings.Contains(out, "kept     /var/lib/plugbeat") {
		t.Errorf("remove:\n%s", out)
	}
	w.fails(nil, "systemctl", "cat", "plugbeat.service")
	w.fails(nil, "sh", "-c", "cat /proc/[0-9]*/comm | grep -x plugbeat")
	w.must("plugbeat", "init", "--systemd")
	w.must("systemctl", "start", "plugbeat")
	if out := w.must("plugbeat", "webhook", "list"); !strings.Contains(out, hook) {
		t.Errorf("after coming back:\n%s", out)
	}
	w.fails([]string{"cannot be undone", "--yes"}, "plugbeat", "init", "--systemd", "--remove", "--purge")
	w.must("plugbeat", "init", "--systemd", "--remove", "--purge", "--yes")
	w.nothingLeft()
	w.fact("remove keeps config, keys and data; purge leaves nothing")
}

// nothingLeft holds that no file and no user of plugbeat's is there.
func (w *world) nothingLeft() {
	w.t.Helper()
	if left := w.text("find", "/etc", "/usr/lib", "/var", "/run", "-xdev", "-name", "*plugbeat*"); left != "" {
		w.t.Errorf("left: %s", left)
	}
	for _, base := range []string{"passwd", "group"} {
		if out, err := w.run("getent", base, "plugbeat"); err == nil {
			w.t.Errorf("left in %s: %s", base, out)
		}
	}
}
