package crash

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/internal/daemon"
	"plugbeat/internal/receiver"
	"plugbeat/store"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// TestKilledReplay kills the built binary again and again while it replays. In the
// end each delivery of the past was made anew once, no more and no less, and the
// receiver got each as often as that, but for what was in flight at the kills.
func TestKilledReplay(t *testing.T) {
	d := daemon.New(t, func(config string) string {
		config = strings.NewReplacer("127.0.0.1:8765", "127.0.0.1:0", "127.0.0.1:8766", "127.0.0.1:0").Replace(config)
		return replace(t, config, "vehicles: 3", fmt.Sprintf("vehicles: %d\n    max_reads: 64", cars))
	})
	r := receiver.New(d.ManagementToken())
	r.Rule(func(receiver.Message) receiver.Answer { return receiver.Answer{Delay: 10 * time.Millisecond} })
	server := serve(r)
	defer server.Close()
	d.Start()
	ctx, c := context.Background(), d.Client()
	a, err := c.AddWebhook(ctx, api.NewWebhook{Name: "past", CallbackURI: server.URL, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Know(a.Webhook.ID.String(), a.SigningKey); err != nil {
		t.Fatal(err)
	}
	if _, err := c.VerifyWebhook(ctx, "past"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(ctx, api.Subscribe{Webhook: "past", All: true}); err != nil {
		t.Fatal(err)
	}
	replay := func() *webhook.Replay {
		w, err := d.Client().Webhook(ctx, "past")
		if err != nil {
			t.Fatal(err)
		}
		return w.Replay
	}
	delivered := func() uint64 {
		w, err := d.Client().Webhook(ctx, "past")
		if err != nil {
			t.Fatal(err)
		}
		return w.Ledger.Delivered
	}
	for deadline := time.Now().Add(time.Minute); delivered() < cars; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d delivered", delivered(), cars)
		}
	}
	begun, err := c.Replay(ctx, api.ReplayRequest{Webhook: "past"})
	if err != nil || begun.Items[0].Webhook.Replay == nil || begun.Items[0].Plan.Sent() != cars {
		t.Fatalf("%+v %v", begun, err)
	}
	killed, inFlightAtKills := 0, 0
	for p := replay(); p != nil; p = replay() {
		// With some of it made since, at another moment of a slice's tenth of a second
		// each time.
		for made := p.Made; p != nil && p.Made < made+10; p = replay() {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(killed*37%100) * time.Millisecond)
		if replay() == nil {
			break
		}
		d.Kill()
		killed++
		idle(t, server)
		if problems, err := store.CheckFile(d.DataFile()); err != nil || len(problems) > 0 {
			t.Fatalf("after kill %d: %v %v", killed, err, problems)
		}
		got := r.Accepted()
		for _, lane := range waiting(t, d, []uuid.UUID{a.Webhook.ID}) {
			for _, id := range lane {
				if got[messageOf(t, d, id)] > 1 {
					inFlightAtKills++
				}
			}
		}
		d.Start()
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if w, err := d.Client().Webhook(ctx, "past"); err == nil && w.Ledger.Waiting() == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("what was made does not leave")
		}
	}
	if err := d.Stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	s := openStore(t, d)
	defer func() { _ = s.Close() }()
	resent := map[uuid.UUID]int{}
	for before := uuid.Nil; ; {
		page, err := s.Deliveries(ctx, webhook.DeliveryFilter{Webhook: a.Webhook.ID}, before, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page {
			if before = x.ID; x.ResendOf != nil {
				resent[*x.ResendOf]++
			}
		}
		if len(page) < 500 {
			break
		}
	}
	twice := 0
	for id, n := range r.Accepted() {
		of := uuid.MustParse(id)
		if resent[of] != 1 || n < 2 {
			t.Errorf("%s was made anew %d times and arrived %d times", id, resent[of], n)
		}
		twice += n - 2
	}
	t.Logf("%d kills: %d made anew once each, %d arrived once more, %d in flight at a kill", killed, len(resent), twice, inFlightAtKills)
	if len(resent) != cars || killed < 5 || twice > inFlightAtKills {
		t.Errorf("%d made anew of %d, %d kills, %d came again", len(resent), cars, killed, twice)
	}
}

// messageOf is the webhook-id of a delivery of a daemon that does not run.
func messageOf(t *testing.T, d *daemon.Daemon, id string) string {
	t.Helper()
	s := openStore(t, d)
	defer func() { _ = s.Close() }()
	x, err := s.Delivery(context.Background(), uuid.MustParse(id))
	if err != nil {
		t.Fatal(err)
	}
	return x.MessageID.String()
}
