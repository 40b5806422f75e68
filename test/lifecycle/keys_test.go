package lifecycle

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/webhook"
)

// rotating is a daemon that is killed at every step of a rotation, and a receiver
// whose keys are changed when it suits the receiver.
type rotating struct {
	t *testing.T
	d *daemon.Daemon
	// now is the receiver as it stands; another token makes it another.
	now  atomic.Pointer[receiver.Receiver]
	hook adminapi.WebhookAdded
	one  webhook.Delivery // what is sent again and again
}

// newRotating delivers once to one webhook.
func newRotating(t *testing.T) *rotating {
	t.Helper()
	x := &rotating{t: t}
	x.d = daemon.New(t, func(config string) string {
		config = daemon.Ports(config, "vehicles: 3", "vehicles: 1")
		return config + "delivery:\n  retries: [1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s]\n"
	})
	x.now.Store(receiver.New(x.d.ManagementToken()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { x.now.Load().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	x.d.Start()
	ctx, c := t.Context(), x.d.Client()
	var err error
	if x.hook, err = c.AddWebhook(ctx, adminapi.NewWebhook{Name: "hook", CallbackURI: server.URL, AllowPrivate: true}); err != nil {
		t.Fatal(err)
	}
	x.knows(x.hook.SigningKey)
	if _, err := c.VerifyWebhook(ctx, "hook"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: "hook", All: true}); err != nil {
		t.Fatal(err)
	}
	daemon.Eventually(t, "the first delivery is noted", func() bool {
		p, err := c.Deliveries(ctx, adminapi.DeliveryQuery{Webhook: "hook", State: webhook.Delivered})
		if err == nil && len(p.Items) > 0 {
			x.one = p.Items[0].Delivery
		}
		return err == nil && len(p.Items) > 0
	})
	return x
}

// knows gives the receiver as it stands the webhook's key.
func (x *rotating) knows(key string) {
	x.t.Helper()
	if err := x.now.Load().Know(x.hook.Webhook.ID.String(), key); err != nil {
		x.t.Fatal(err)
	}
}

// crash is kill -9 and a new start.
func (x *rotating) crash() {
	x.t.Helper()
	x.d.Kill()
	x.d.Start()
}

// delivers sends a delivery and reports whether the receiver takes its first attempt.
func (x *rotating) delivers() bool {
	x.t.Helper()
	r := x.now.Load()
	had := len(r.Messages())
	if _, err := x.d.Client().Resend(x.t.Context(), x.one.ID); err != nil {
		x.t.Fatal(err)
	}
	var first *receiver.Message
	daemon.Eventually(x.t, "an attempt arrives", func() bool {
		for _, m := range r.Messages()[had:] {
			if m.Event != "verify" && first == nil {
				first = &m
			}
		}
		return first != nil
	})
	return first.Status == http.StatusOK
}

func (x *rotating) want(taken bool, when string) {
	x.t.Helper()
	if x.delivers() != taken {
		x.t.Errorf("%s: the receiver takes what is sent: %t, want %t", when, !taken, taken)
	}
}

// drained waits until everything is delivered.
func (x *rotating) drained(when string) {
	x.t.Helper()
	daemon.Eventually(x.t, when+" all is delivered", func() bool {
		w, err := x.d.Client().Webhook(x.t.Context(), "hook")
		return err == nil && w.Ledger.Waiting() == 0 && w.Ledger.Delivered == w.Ledger.Produced
	})
}

// The application management token is rotated by the commands of docs/keys.md. The
// daemon is killed after each, and no attempt is refused that the page does not say
// is; what is refused arrives later.
func TestManagementTokenRotation(t *testing.T) {
	x := newRotating(t)
	file := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(x.d.Dir, name)) //nolint:gosec // a name of ours
		return strings.TrimSpace(string(b))
	}
	old := file("management_token")
	x.d.Must("token", "rotate-management")
	next := file("management_token_next")
	if next == "" || next == old || file("management_token") != old {
		t.Fatal("a rotation makes the next token beside the present one")
	}
	x.crash()
	x.want(true, "the receiver has the old token, both are good")
	if out, _, code := x.d.Run("token", "rotate-management", "--finish"); code == 0 || file("management_token") != old || file("management_token_next") != next {
		t.Errorf("finished while the receiver has the old token: %d %s", code, out)
	}
	x.now.Store(receiver.New(next))
	x.knows(x.hook.SigningKey)
	x.want(false, "the receiver has changed to the next token, and was not asked yet")
	x.d.Must("token", "rotate-management", "--try")
	x.crash()
	x.drained("once the receiver was asked")
	x.want(true, "the receiver has the next token, and was asked")
	x.d.Must("token", "rotate-management", "--finish")
	x.crash()
	if file("management_token") != next || file("management_token_next") != "" {
		t.Error("the next token is not in the old one's place")
	}
	x.want(true, "the rotation is finished")
	x.drained("at the end")
	if all := x.now.Load().Messages(); all[len(all)-1].Header.Get("SC-Signature-Next") != "" {
		t.Error("the next signature is sent after the rotation")
	}
}

// A webhook's own key is rotated by the commands of docs/keys.md, the daemon killed
// after each: while two keys sign the receiver may have either.
func TestSigningKeyRotation(t *testing.T) {
	x := newRotating(t)
	var rotated adminapi.KeyChanged
	x.d.JSON(&rotated, "webhook", "rotate-key", "hook")
	old, next := x.hook.SigningKey, rotated.SigningKey
	x.crash()
	x.want(true, "two keys sign, the receiver has the old one")
	if out, _, code := x.d.Run("webhook", "rotate-key", "hook", "--finish"); code == 0 {
		t.Errorf("finished while the receiver has the old key: %s", out)
	}
	x.knows(next)
	x.want(true, "two keys sign, the receiver has the new one")
	x.d.Must("webhook", "rotate-key", "hook", "--try")
	x.d.Must("webhook", "rotate-key", "hook", "--finish")
	x.crash()
	x.want(true, "the rotation is finished, the receiver has the new key")
	x.knows(old)
	x.want(false, "the rotation is finished, the receiver went back to the old key")
	x.knows(next)
	x.drained("at the end")
}
