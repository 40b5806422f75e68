package badinput

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/test/faults"
	"plugbeat/test/long"
	"plugbeat/webhook"
)

// echo is a receiver that, while it is told to, answers with the request it got.
type echo struct {
	*receiver.Receiver
	mu      sync.Mutex
	on      bool
	secrets []string
}

func (e *echo) be(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.on = on
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.on || r.URL.Path != "/echo" {
		e.Receiver.ServeHTTP(w, r)
		return
	}
	e.secrets = append(e.secrets, r.Header.Get("SC-Signature"), strings.TrimPrefix(r.Header.Get("webhook-signature"), "v1,"))
	dump, err := httputil.DumpRequest(r, true)
	if err != nil {
		return
	}
	w.Header().Set("X-Your-Signature", r.Header.Get("SC-Signature"))
	w.Header().Set("X-Echo", r.Header.Get("webhook-signature"))
	w.Header().Set("Location", "/?s="+r.Header.Get("SC-Signature"))
	w.WriteHeader(http.StatusFound)
	_, _ = w.Write(dump)
}

// TestHostileReceivers points the daemon at a receiver of every fault, beside one that
// is well: that one is served as ever, nothing of the others is lost, the log has an
// event in every line and no secret, and the data file is sound.
func TestHostileReceivers(t *testing.T) {
	long.Test(t)
	d := daemon.New(t, func(config string) string {
		config = daemon.Ports(config, "vehicles: 3", "vehicles: 2")
		return config + "log: {level: debug}\ndelivery:\n  retries: [1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s]\n  timeout: 3s\n  challenge_after: 500ms\n"
	})
	well := &echo{Receiver: receiver.New(d.ManagementToken())}
	r := faults.New(t, well)
	d.Start()
	c, ctx := d.Client(), context.Background()
	names := append(slices.Sorted(maps.Keys(faults.All())), "echo", "well")
	for _, name := range names {
		d.Webhook(well, adminapi.NewWebhook{Name: name, CallbackURI: r.URL(name)})
		r.Arm(name)
	}
	well.be(true)
	for _, name := range names {
		if _, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: name, All: true}); err != nil {
			t.Fatal(err)
		}
	}
	hook := func(name string) adminapi.WebhookView {
		w, err := c.Webhook(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	daemon.Eventually(t, "the one that is well gets its deliveries", func() bool { return hook("well").Ledger.Delivered >= 2 })
	daemon.Eventually(t, "every fault strikes", func() bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			w := hook(name)
			return w.Ledger.Delivered == 0 && w.Breaker.Step == 0 && w.Status == webhook.Active
		})
	})
	for _, name := range names {
		r.Mend(name)
	}
	well.be(false)
	for _, name := range names {
		daemon.Eventually(t, "all of "+name+" arrives", func() bool { l := hook(name).Ledger; return l.Produced >= 2 && l.Delivered == l.Produced })
	}
	shown := d.Log()
	for _, name := range names {
		page, err := c.Deliveries(ctx, adminapi.DeliveryQuery{Webhook: name})
		if err != nil || len(page.Items) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		for _, one := range page.Items[:1] {
			out, _, _ := d.Run("delivery", "show", one.ID.String())
			plain, _, _ := d.Run("delivery", "show", one.ID.String(), "--json")
			if shown += out + plain; strings.ContainsAny(out, "\x1b\x00") || len(out) > 32<<10 {
				t.Errorf("%s is shown as %q", name, out)
			}
		}
	}
	for _, secret := range append(well.secrets, d.ManagementToken()) {
		if strings.Contains(shown, secret) {
			t.Errorf("a secret (%.9s...) is in the log, or shown", secret)
		}
	}
	if len(well.secrets) < 4 || !strings.Contains(shown, "[redacted]") {
		t.Errorf("%d secrets were echoed", len(well.secrets))
	}
	if out := d.Must("check"); !strings.Contains(out, "sound: ") {
		t.Error(out)
	}
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	stray := false
	for line := range bytes.Lines([]byte(d.Log())) {
		var event struct{ Event string }
		if err := json.Unmarshal(line, &event); err != nil || event.Event == "" || event.Event == "log.other" || event.Event == "http.panic" {
			t.Errorf("a line of the log is no event: %s", line)
		}
		stray = stray || event.Event == "http.stray"
	}
	if !stray {
		t.Error("nothing tells of answers that nobody asked for")
	}
}
