package badinput

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/test/long"
	"plugbeat/webhook"
)

// TestFullDisk fills the disk under a working daemon: it stays up, says so, refuses what
// it cannot write, and once there is space again everything that was due or
// waited arrives.
func TestFullDisk(t *testing.T) {
	long.Test(t)
	d := daemon.New(t, func(config string) string {
		config = daemon.Ports(config,
			"hour: 1h", "hour: 100ms", // a plug moves every second or so
			"plugged_in: 30m", "plugged_in: 30m\n  gap: 8s\n  freshness: 1ms")
		return config + "delivery:\n  retries: [1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s]\n"
	})
	ballast := filepath.Join(smallDisk(t, d), "ballast")

	r := receiver.New(d.ManagementToken())
	server := httptest.NewServer(r)
	defer server.Close()
	d.Start()
	ctx := context.Background()
	c := d.Client()
	d.Webhook(r, adminapi.NewWebhook{Name: "home", CallbackURI: server.URL})
	// The receiver is out while the disk fills, so that deliveries wait.
	r.Rule(func(receiver.Message) receiver.Answer { return receiver.Answer{Status: 500} })
	subscribed, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", All: true})
	if err != nil {
		t.Fatal(err)
	}
	daemon.Eventually(t, "the first deliveries wait", func() bool { return status(t, c).Store.Waiting == 3 })

	// A plug that moves within the gap makes its subscriptions due at the gap's end.
	daemon.Eventually(t, "a plug moves", func() bool {
		moved := false
		for _, s := range subscribed.Items {
			if _, err := c.ReadVehicle(ctx, s.Vehicle.String(), 0b111); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range subscriptions(t, c) {
			if s.Due.Before(time.Now().Add(time.Minute)) {
				moved = true
			}
		}
		return moved
	})
	fill(t, ballast)
	use := user(t, c)
	refused, err := use() // what the file itself has left
	if e, ok := errors.AsType[*adminapi.Error](err); !ok || e.Code != adminapi.CodeNoSpace || !strings.Contains(e.Hint, "nothing was changed") {
		t.Errorf("a webhook on a full disk: %v", err)
	}
	// A commit that was too large leaves room for a smaller one, so this takes some tries.
	typed, tries := "", 0
	daemon.Eventually(t, "a command is refused", func() bool {
		_, _ = use()
		tries++
		typed = fmt.Sprintf("typed%d", tries)
		_, errs, code := d.Run("webhook", "add", "--name", typed, "--callback", large(0).CallbackURI)
		if code == 1 {
			complaint(t, errs, "no space left for the data file", "free space on the data file's disk", "nothing was changed")
		}
		return code == 1
	})

	r.Rule(nil)
	daemon.Eventually(t, "a slot is overdue", func() bool {
		_, _ = use()
		for _, s := range subscriptions(t, c) {
			if s.Due.Before(time.Now().Add(-time.Second)) {
				return true
			}
		}
		return false
	})
	var full adminapi.Status
	daemon.Eventually(t, "the status says so", func() bool {
		_, _ = use()
		full = status(t, c)
		return full.Store.State == webhook.DiskFull && len(full.Conditions) > 0 && full.Conditions[0].Code == health.StoreNoSpace && strings.Contains(full.Conditions[0].Text, d.DataFile())
	})
	daemon.Eventually(t, "plugbeat status says so", func() bool {
		_, _ = use()
		text := d.Must("status")
		return strings.Contains(text, "DISK FULL") && strings.Contains(text, "the disk is full")
	})
	for _, name := range []string{typed, refused} {
		if _, err := c.Webhook(ctx, name); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("webhook %s was refused and is there: %v", name, err)
		}
	}
	waited := full.Store.Waiting

	empty(t, ballast)
	daemon.Eventually(t, "what waited and what was due arrives", func() bool {
		st := status(t, c)
		overdue := false
		for _, s := range subscriptions(t, c) {
			overdue = overdue || s.Due.Before(time.Now())
		}
		return st.Store.Waiting == 0 && !overdue && st.Store.State == webhook.DiskOK && ledger(st).Produced > 3
	})
	if text := d.Must("status"); strings.Contains(text, "FULL") || strings.Contains(text, "is full") {
		t.Errorf("the disk has space and status says:\n%s", text)
	}
	if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check says: %s", out)
	}
	l, accepted := ledger(status(t, c)), r.Accepted()
	if l.Delivered != l.Produced || int(l.Delivered) != len(accepted) {
		t.Errorf("the ledger says %+v, the receiver accepted %d", l, len(accepted))
	}
	again := 0
	for _, n := range accepted {
		again += n - 1
	}
	if again > 0 {
		t.Errorf("%d deliveries came again: the process never ended, so each outcome had to be kept until it could be written", again)
	}
	log := d.Log()
	for _, event := range []string{"store.no_space", "store.space_back"} {
		if !strings.Contains(log, `"event":"`+event+`"`) {
			t.Errorf("no %s in the log", event)
		}
	}
	if n := strings.Count(log, "store.no_space"); n > 200 {
		t.Errorf("%d lines about the full disk", n)
	}
	if err := d.Stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check says: %s", out)
	}
	t.Logf("%d deliveries waited on the full disk, %d arrived in all", waited, len(accepted))
}

// TestStartOnFullDisk: a daemon with a data file starts on a full disk and waits; one without
// says why it cannot and leaves nothing behind.
func TestStartOnFullDisk(t *testing.T) {
	d := folder(t)
	ballast := filepath.Join(smallDisk(t, d), "ballast")
	fill(t, ballast)
	refuses(t, d, d.DataFile(), "no space left for the data file")
	empty(t, ballast)
	d.Start()
	d.Must("webhook", "add", "--name", "home", "--callback", "https://receiver.example/hook")
	d.Must("subscribe", "home", "--all")
	fill(t, ballast)
	use := user(t, d.Client())
	_, _ = use()
	d.Kill()

	d.Start()
	daemon.Eventually(t, "plugbeat status says so", func() bool {
		name, _ := use()
		return name != "" && strings.Contains(d.Must("status"), "DISK FULL")
	})
	_, errs, code := d.Run("check")
	if code != 1 {
		t.Errorf("check without space for its copy: exit code %d", code)
	}
	complaint(t, errs, "no space left", "free space")
	if err := d.Stop(); err != nil {
		t.Errorf("SIGTERM on a full disk: %v", err)
	}
	empty(t, ballast)
	d.Start()
	d.Must("webhook", "add", "--name", "later", "--callback", "https://receiver.example/hook")
	if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check says: %s", out)
	}
	if left, _ := filepath.Glob(filepath.Join(d.Dir, "data", "plugbeat-check-*")); len(left) > 0 {
		t.Errorf("a check left %v", left)
	}
}

// smallDisk puts the data directory on a file system of 12 MiB.
func smallDisk(t *testing.T, d *daemon.Daemon) (dir string) {
	t.Helper()
	dir = filepath.Join(d.Dir, "data")
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("skipped: no small file system can be mounted here, which takes root: %v %s", err, out)
	}
	t.Cleanup(func() {
		d.Kill()
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return dir
}

func empty(t *testing.T, ballast string) {
	t.Helper()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
}

// fill takes what is left of the disk.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
}

// user returns a function that adds webhooks until the data file has no page left
// for another, and returns the name of what was refused and the refusal.
func user(t *testing.T, c *adminapi.Client) (use func() (string, error)) {
	n := 0
	return func() (string, error) {
		t.Helper()
		for n < 20000 {
			n++
			_, err := c.AddWebhook(context.Background(), large(n))
			if errors.Is(err, webhook.ErrNoSpace) {
				return large(n).Name, err
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Fatal("the disk does not fill")
		return "", nil
	}
}

// large is a webhook that takes much of a page; nobody verifies it.
func large(n int) adminapi.NewWebhook {
	return adminapi.NewWebhook{Name: fmt.Sprintf("large%d", n), CallbackURI: "https://receiver.example/" + strings.Repeat("x", 1900)}
}

func status(t *testing.T, c *adminapi.Client) adminapi.Status {
	t.Helper()
	st, err := c.Status(context.Background())
	if err != nil {
		t.Fatalf("the daemon does not answer: %v", err)
	}
	return st
}

func ledger(st adminapi.Status) webhook.Ledger {
	for _, w := range st.Webhooks {
		if w.Webhook.Name == "home" {
			return w.Webhook.Ledger
		}
	}
	return webhook.Ledger{}
}

func subscriptions(t *testing.T, c *adminapi.Client) []adminapi.SubscriptionView {
	t.Helper()
	p, err := c.Subscriptions(context.Background(), "home", uuid.Nil.String(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return p.Items
}
