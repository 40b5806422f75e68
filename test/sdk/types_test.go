package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/test/long"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// TestTypesOnOneCallback: a webhook of each type on the same callback of the running
// binary. Its receiver tells them apart by eventName, both lines of Smartcar's SDK
// verify every payload, a resent event keeps its id, and the data file is sound. With
// -v it prints what arrived.
func TestTypesOnOneCallback(t *testing.T) {
	long.Test(t)
	node := needNode(t)
	d := daemon.New(t, func(config string) string {
		// A vehicle's day passes in 48 s, and every look at it is a reading.
		config = daemon.Ports(config, "cadence:\n", "cadence:\n  gap: 1ms\n  freshness: 1ms\n")
		return regexp.MustCompile(`(?m)^( *)hour: .*$`).ReplaceAllString(config, "${1}hour: 2s")
	})
	d.Start()
	rec := receiver.New(d.ManagementToken())
	srv := httptest.NewServer(rec)
	defer srv.Close()
	a, ctx := d.Client(), t.Context()
	for _, args := range [][]string{
		{"--type", "dynamic"},
		{"--type", "schedule", "--every", "* * * * *", "--paths", "battery,location", "--unit-system", "imperial"},
		{"--type", "eventBased"},
	} {
		var added adminapi.WebhookAdded
		d.JSON(&added, append([]string{"webhook", "add", "--name", args[1], "--callback", srv.URL + "/hook", "--allow-private", "--verify"}, args...)...)
		if err := rec.Know(added.Webhook.ID.String(), added.SigningKey); err != nil {
			t.Fatal(err)
		}
		if out := d.Must("webhook", "test", args[1]); !strings.Contains(out, "accepted") {
			t.Error(out)
		}
		d.Must("subscribe", args[1], "--all")
	}
	t.Log("\n" + d.Must("webhook", "list"))

	// Readings that somebody asks for tell events as the webhooks' own do.
	vehicles, err := a.Vehicles(ctx, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	arrived := func() (names map[string]int) {
		names = map[string]int{}
		for _, m := range rec.Messages() {
			if m.Event != "verify" && !strings.Contains(string(m.Body), `"mode":"test"`) {
				names[strings.TrimSpace(m.Event+" "+m.Happened)]++
			}
		}
		return names
	}
	wait, stop := context.WithTimeout(ctx, 100*time.Second)
	defer stop()
	for enough := false; !enough; {
		for _, v := range vehicles.Items {
			if _, err := a.ReadVehicle(wait, v.Vehicle.ID.String(), vehicle.PathsOf(vehicle.PathCharge)); err != nil {
				t.Fatalf("until now arrived %v: %v", arrived(), err)
			}
		}
		got := arrived()
		enough = got["schedule"] >= 6 && got["eventBased CHARGING_STARTED"] > 1 && got["eventBased CHARGING_COMPLETED"] > 1 && got["dynamic"] > 6
		select {
		case <-time.After(100 * time.Millisecond):
		case <-wait.Done():
			t.Fatalf("until now arrived %v", got)
		}
	}

	// An event that is sent again is the same event.
	var event receiver.Message
	for _, m := range rec.Messages() {
		if m.Happened != "" && !strings.Contains(string(m.Body), `"mode":"test"`) {
			event = m
		}
	}
	list, err := a.Deliveries(ctx, adminapi.DeliveryQuery{Webhook: "eventBased", State: webhook.Delivered})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(list.Items, func(x adminapi.ListedDelivery) bool { return x.MessageID.String() == event.ID })
	if at < 0 || list.Items[at].Cause != webhook.CauseEvent {
		t.Fatalf("no delivery of %s: %+v", event.ID, list.Items)
	}
	before := rec.Accepted()[event.ID]
	d.Must("delivery", "resend", list.Items[at].ID.String())
	for rec.Accepted()[event.ID] == before {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-wait.Done():
			t.Fatal("the resent event does not arrive")
		}
	}
	for _, m := range rec.Messages() {
		if m.ID == event.ID && (m.EventID != event.EventID || !bytes.Equal(m.Body, event.Body)) {
			t.Errorf("sent again it is %s", m.Body)
		}
	}

	verified(t, node, d.ManagementToken(), rec.Messages())
	for name, n := range arrived() {
		t.Logf("%-32s %d", name, n)
	}
	show(t, rec.Messages())
	for _, name := range webhook.Types {
		text := d.Must("webhook", "show", string(name))
		t.Log("\n" + text)
		w, err := a.Webhook(ctx, string(name))
		if l := w.Ledger; err != nil || l.Produced != l.Delivered+l.Waiting() || name == webhook.TypeEventBased && w.DueTimes.Quiet == 0 {
			t.Errorf("%s: %+v %+v %v", name, l, w.DueTimes, err)
		}
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	if out := d.Must("check"); !strings.Contains(out, "sound") {
		t.Errorf("check: %s", out)
	}
}

// verified has both lines of the SDK verify every message.
func verified(t *testing.T, node, token string, messages []receiver.Message) {
	t.Helper()
	var in, out bytes.Buffer
	for _, m := range messages {
		// The challenges came before the receiver had been told the keys.
		if !m.Smartcar || !m.Standard && (m.Event != "verify" || m.StandardCheck != receiver.Unchecked) {
			t.Errorf("%s of %s: SC-Signature %s, webhook-signature %s", m.Event, m.Webhook, m.SmartcarCheck, m.StandardCheck)
		}
		line, err := json.Marshal(map[string]string{"token": token, "signature": m.Header.Get("SC-Signature"), "body": string(m.Body)})
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	cmd := exec.Command(node, "payloads.js")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	said := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(said) != len(messages) {
		t.Fatalf("the SDK looked at %d of %d payloads", len(said), len(messages))
	}
	for i, word := range said {
		if word != "ok" {
			t.Errorf("%s refuse %s", word, messages[i].Body)
		}
	}
	t.Logf("smartcar-9 and smartcar-10 verify all %d payloads", len(messages))
}

// show prints the first payload of each kind, and checks what it carries.
func show(t *testing.T, messages []receiver.Message) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range messages {
		kind := m.Event + " " + m.Happened
		if m.Event == "verify" || strings.Contains(string(m.Body), `"mode":"test"`) {
			kind = "test " + kind
		}
		if seen[kind] {
			continue
		}
		seen[kind] = true
		t.Logf("%s\n%s", kind, m.Body)
		var paths []string
		for _, p := range []string{"/battery", "/charge", "/location"} {
			if bytes.Contains(m.Body, fmt.Appendf(nil, `"path":%q`, p)) {
				paths = append(paths, p)
			}
		}
		want := map[string][]string{"dynamic": {"/battery", "/charge", "/location"}, "schedule": {"/battery", "/location"}}[m.Event]
		if !slices.Equal(paths, want) {
			t.Errorf("%s has the paths %q, want %q", kind, paths, want)
		}
	}
}
