// Package lifecycle backs up, restores and compacts the data of the real binary as
// an operator does, under load and after a kill.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/store"
	"plugbeat/test/daemon"
	"plugbeat/test/long"
)

const (
	vehicles = 250
	webhooks = 3
)

// fleet is a daemon whose receiver knows its webhooks.
func fleet(t *testing.T, rule func(receiver.Message) receiver.Answer) (*daemon.Daemon, *receiver.Receiver) {
	t.Helper()
	d := daemon.New(t, func(config string) string {
		config = daemon.Ports(config, "vehicles: 3", fmt.Sprintf("vehicles: %d\n    max_reads: 64", vehicles))
		return config + "delivery:\n  retries: [1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s]\n"
	})
	r := receiver.New(d.ManagementToken())
	r.Rule(rule)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	d.Start()
	for i := range webhooks {
		name := fmt.Sprintf("hook-%d", i)
		d.Webhook(r, adminapi.NewWebhook{Name: name, CallbackURI: server.URL + "/" + name})
	}
	return d, r
}

// refusing takes challenges and nothing else, so that deliveries wait.
func refusing(m receiver.Message) receiver.Answer {
	if m.Event == "verify" {
		return receiver.Answer{}
	}
	return receiver.Answer{Status: 500}
}

func subscribe(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	for i := range webhooks {
		if _, err := d.Client().Subscribe(context.Background(), adminapi.Subscribe{Webhook: fmt.Sprintf("hook-%d", i), All: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func status(t *testing.T, d *daemon.Daemon) adminapi.Status {
	t.Helper()
	st, err := d.Client().Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func sound(t *testing.T, file string) store.Summary {
	t.Helper()
	ps, err := store.CheckFile(file)
	if err != nil || len(ps) > 0 {
		t.Fatalf("%s: %v %v", file, ps, err)
	}
	sum, err := store.Describe(file)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// Backups are taken while everything moves. The first of them is restored after
// kill -9: what waited in it arrives, what had left since arrives at most once more,
// under the same id and with the same body.
func TestBackupAndRestoreUnderLoad(t *testing.T) {
	long.Test(t)
	var mu sync.Mutex
	delays := rand.New(rand.NewPCG(1, 2))
	d, r := fleet(t, func(receiver.Message) receiver.Answer {
		mu.Lock()
		defer mu.Unlock()
		return receiver.Answer{Delay: time.Duration(delays.IntN(150)) * time.Millisecond}
	})
	subscribe(t, d)
	daemon.Eventually(t, "deliveries arrive", func() bool { return len(r.Accepted()) > 10 })
	dir := t.TempDir()
	first := filepath.Join(dir, "first.db")
	var sums []store.Summary
	for _, file := range []string{first, filepath.Join(dir, "second.db"), filepath.Join(dir, "third.db")} {
		if out := d.Must("backup", file); !strings.Contains(out, "checked") {
			t.Errorf("backup says:\n%s", out)
		}
		sums = append(sums, sound(t, file))
	}
	streamed, _, code := d.Run("backup", "-")
	if code != 0 {
		t.Fatalf("backup -: exit code %d", code)
	}
	piped := filepath.Join(dir, "piped.db")
	if err := os.WriteFile(piped, []byte(streamed), 0o600); err != nil {
		t.Fatal(err)
	}
	sums = append(sums, sound(t, piped))
	for i, s := range sums {
		if s.Vehicles != vehicles || s.Subscriptions != vehicles*webhooks || i > 0 && s.Latest.Before(sums[i-1].Latest) {
			t.Errorf("backup %d: %+v", i, s)
		}
	}
	if sums[0].Waiting == 0 {
		t.Fatalf("nothing waited in the first backup, so it shows nothing: %+v", sums)
	}
	_, errs, code := d.Run("restore", first, "--discard-newer")
	if code != 1 || !strings.Contains(errs, "a daemon works with "+d.DataFile()) || !strings.Contains(errs, "stop the daemon") {
		t.Errorf("restore under a daemon: exit code %d, %s", code, errs)
	}
	daemon.Eventually(t, "some of what waited then has arrived", func() bool {
		return int(sums[0].Waiting) > 100+int(status(t, d).Store.Waiting) || status(t, d).Store.Waiting == 0
	})

	d.Kill()
	daemon.Eventually(t, "the receiver rests", func() bool { return r.Open() == 0 })
	before := r.Accepted()
	_, errs, code = d.Run("restore", first)
	if code != 1 || !strings.Contains(errs, "is older than the data file") || !strings.Contains(errs, "--discard-newer") || !strings.Contains(errs, "sent again: ") {
		t.Errorf("restore of an older backup: exit code %d, %s", code, errs)
	}
	out := d.Must("restore", first, "--discard-newer")
	again := number(t, out, `sent again: (\d+) deliver`)
	kept := regexp.MustCompile(`what was there is kept: (\S+)`).FindStringSubmatch(out)
	if kept == nil || !strings.Contains(out, "webhook-id") {
		t.Fatalf("restore says:\n%s", out)
	}
	sound(t, kept[1])

	d.Start()
	daemon.Eventually(t, "what waits has arrived", func() bool { return status(t, d).Store.Waiting == 0 })
	twice := 0
	for id, n := range r.Accepted() {
		if n > 2 {
			t.Errorf("%s arrived %d times", id, n)
		}
		if n == 2 && before[id] == 1 {
			twice++
		}
	}
	// What was in flight at the kill may come again as well.
	if twice < again || twice > again+webhooks*8 {
		t.Errorf("%d came again; restore said %d", twice, again)
	}
	bodies := map[string]string{}
	for _, m := range r.Messages() {
		if m.Event == "verify" {
			continue
		}
		if body, ok := bodies[m.ID]; ok && body != string(m.Body) {
			t.Errorf("%s came with two bodies", m.ID)
		}
		if !m.Smartcar || !m.Standard {
			t.Errorf("%s came with a wrong signature", m.ID)
		}
		bodies[m.ID] = string(m.Body)
	}
	st := status(t, d)
	for _, w := range st.Webhooks {
		if l := w.Webhook.Ledger; l.Produced != l.Delivered || l.Produced < vehicles {
			t.Errorf("webhook %s: %+v", w.Webhook.Name, l)
		}
	}
	if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check says %s", out)
	}
	t.Logf("%d bytes, %d waited in the first backup; %d came again, as the restore said %d", sums[0].Bytes, sums[0].Waiting, twice, again)
}

func number(t *testing.T, text, pattern string) int {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in:\n%s", pattern, text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A caller that stops reading its backup keeps nobody waiting: the daemon works, its
// data file does not grow for it, and nothing lies around.
func TestStalledBackup(t *testing.T) {
	long.Test(t)
	d, _ := fleet(t, refusing)
	subscribe(t, d)
	daemon.Eventually(t, "much waits", func() bool { return status(t, d).Store.Waiting == vehicles*webhooks })
	cmd := exec.Command(daemon.Binary(t), "backup", "-")
	cmd.Env = append(os.Environ(), "PLUGBEAT_CONFIG="+d.Config())
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(pipe, make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.Dir, "data", "plugbeat-check-*")); len(left) > 0 {
		t.Errorf("while it is sent there is %v", left)
	}
	if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check says %s", out)
	}
	_, errs, code := d.Run("backup", filepath.Join(t.TempDir(), "x.db"))
	if code != 1 || !strings.Contains(errs, "a backup is being sent already") {
		t.Errorf("a second backup: exit code %d, %s", code, errs)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	daemon.Eventually(t, "the next backup is made", func() bool {
		_, _, code := d.Run("backup", filepath.Join(t.TempDir(), "x.db"))
		return code == 0
	})
}

// A backlog that was let go of is given back to the disk.
func TestCompact(t *testing.T) {
	long.Test(t)
	d, _ := fleet(t, refusing)
	subscribe(t, d)
	daemon.Eventually(t, "much waits", func() bool { return status(t, d).Store.Waiting == vehicles*webhooks })
	for i := range webhooks - 1 {
		d.Must("webhook", "rm", fmt.Sprintf("hook-%d", i), "--yes")
	}
	_, errs, code := d.Run("compact")
	if code != 1 || !strings.Contains(errs, "a daemon works with") {
		t.Errorf("compact under a daemon: exit code %d, %s", code, errs)
	}
	// The lock tells of a daemon whose socket is gone, too.
	if err := os.Remove(filepath.Join(d.Dir, "data", "plugbeat.sock")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	_, errs, code = d.Run("compact")
	if code != 1 || !strings.Contains(errs, "in use by another process") || !strings.Contains(errs, "stop the daemon") {
		t.Errorf("compact under a daemon without socket: exit code %d, %s", code, errs)
	}
	d.Kill()
	was, err := os.Stat(d.DataFile())
	if err != nil {
		t.Fatal(err)
	}
	out := d.Must("compact")
	is, err := os.Stat(d.DataFile())
	if err != nil || is.Size() >= was.Size() || !strings.Contains(out, "gained") {
		t.Errorf("was %d, is %d: %s", was.Size(), is.Size(), out)
	}
	d.Start()
	if st := status(t, d); st.Store.Waiting < vehicles || len(st.Webhooks) != 1 {
		t.Errorf("%+v", st.Store)
	}
	if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check says %s", out)
	}
	t.Log(strings.TrimSpace(out))
}
