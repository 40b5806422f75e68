package demo

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/config"
	"plugbeat/receiver"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
	"plugbeat/webhook/signing"
)

// A stop waits for a read, a receiver and callers that hang no longer than the
// grace time. Nothing is lost by it: the next start reads and sends again.
func TestDrainWithinGrace(t *testing.T) {
	d := quiet(t)
	d.cfg.Grace, d.cfg.Delivery.Timeout = time.Second, 10*time.Second
	must(t, d.boot(t.Context()))
	connected, err := d.client.ConnectVehicles(t.Context(), "smartcar", d.upstream.RefreshToken())
	must(t, err)
	added, err := d.client.AddWebhook(t.Context(), adminapi.NewWebhook{Name: "hook", CallbackURI: d.receiving.url(), AllowPrivate: true})
	must(t, err)
	d.hook = added.Webhook
	must(t, d.receiver.Know(d.hook.ID.String(), added.SigningKey))
	_, err = d.client.VerifyWebhook(t.Context(), "hook")
	must(t, err)

	hang := make(chan struct{})
	asked := make(chan struct{}, 10)
	reads, sends := connected.Vehicles[0], connected.Vehicles[1]
	d.receiver.Rule(func(m receiver.Message) receiver.Answer {
		if m.Vehicle == sends.ID.String() {
			asked <- struct{}{}
			<-hang
		}
		return receiver.Answer{}
	})
	_, err = d.client.Subscribe(t.Context(), adminapi.Subscribe{Webhook: "hook", Vehicles: []string{sends.ID.String()}})
	must(t, err)
	<-asked // the receiver hangs
	remove := d.upstream.Inject(reads.ID, simulator.Injection{Delay: 300 * time.Second})
	_, err = d.client.Subscribe(t.Context(), adminapi.Subscribe{Webhook: "hook", Vehicles: []string{reads.ID.String()}})
	must(t, err)
	caller := make(chan error, 1)
	go func() {
		_, err := d.client.ReadVehicle(context.Background(), reads.ID.String(), vehicle.AllPaths)
		caller <- err
	}()
	eventually(t, "a read in flight", func() bool { return status(t, d).Sources[0].InFlight > 0 })
	began := time.Now()
	must(t, d.halt())
	if took := time.Since(began); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("a stop with a grace of 1s took %v", took)
	}
	if err := <-caller; err == nil {
		t.Error("the caller's read succeeded")
	}
	if n := len(d.receiver.Accepted()); n != 0 {
		t.Errorf("%d accepted", n)
	}

	close(hang)
	remove()
	must(t, d.boot(t.Context()))
	eventually(t, "both vehicles' payloads", func() bool {
		got := map[string]bool{}
		for _, m := range d.receiver.Messages() {
			got[m.Vehicle] = got[m.Vehicle] || m.Status == 200
		}
		return got[reads.ID.String()] && got[sends.ID.String()]
	})
	must(t, d.halt())
	if ok, err := d.account(t.Context()); !ok || err != nil {
		t.Error("the accounts do not agree", err)
	}
}

// What was due and what waited goes on after a restart, and the account that the
// demo draws up finds what a receiver lost, invented or refused to count.
func TestRestartResumesAndAccount(t *testing.T) {
	d := quiet(t)
	must(t, d.boot(t.Context()))
	must(t, d.setUp(t.Context()))
	all := func(n int) func() bool {
		return func() bool { return len(d.receiver.Accepted()) >= n }
	}
	eventually(t, "first deliveries", all(3))
	d.receiving.close()
	eventually(t, "deliveries that wait", func() bool {
		st, err := d.client.Status(t.Context())
		return err == nil && st.Store.Waiting >= 3
	})
	before := len(d.receiver.Accepted())
	must(t, d.halt())
	must(t, d.receiving.open(t.Context()))
	must(t, d.boot(t.Context()))
	eventually(t, "what waited, and more", all(before+6))
	must(t, d.halt())

	account := func(want string) {
		t.Helper()
		var out bytes.Buffer
		d.show = newShow(Options{Out: &out, JSON: true}, d.started, d.hour)
		balanced, err := d.account(t.Context())
		must(t, err)
		if balanced != (want == "") || !strings.Contains(out.String(), want) {
			t.Errorf("balanced %t, want a complaint %q in:\n%s", balanced, want, out.String())
		}
	}
	account("")

	heard := d.receiver
	d.receiver = receiver.New(managementToken)
	account("does not have it")
	d.receiver = heard
	served := d.upstream
	d.upstream = simulator.NewServer(d.fleet, simulator.ServerOptions{})
	account("the fleet served 0")
	d.upstream = served

	db, err := store.Open(store.Options{Path: d.cfg.DataFile(), Key: mustKey(t, d.cfg)})
	must(t, err)
	w, err := db.Webhooks.Webhook(t.Context(), d.hook.ID)
	must(t, err)
	must(t, db.Close())
	post(t, d, &w, true)
	account("which does not count as delivered")
	post(t, d, &w, false)
	account("1 requests had a wrong signature")
}

// post sends the receiver what the daemon never made, with or without the right
// signatures.
func post(t *testing.T, d *demo, w *webhook.Webhook, signed bool) {
	t.Helper()
	body, err := payload.Compose(payload.Event{WebhookID: w.ID, EventName: string(w.Type), Mode: vehicle.ModeSimulated, Vehicle: d.fleet.Vehicle(0).ID, RequestID: uuid.NewString(), Timestamp: time.Now()})
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://receiver/", bytes.NewReader(body))
	must(t, err)
	id, now := uuid.New(), time.Now()
	req.Header.Set(signing.HeaderID, id.String())
	req.Header.Set(signing.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	if signed {
		req.Header.Set("SC-Signature", signing.Smartcar([]byte(managementToken), body))
		req.Header.Set(signing.HeaderSignature, signing.Standard(w.Key, id, now, body))
	}
	d.receiver.ServeHTTP(httptest.NewRecorder(), req)
}

func mustKey(t *testing.T, cfg config.Config) webhook.Secret {
	t.Helper()
	key, err := cfg.SealingKey()
	must(t, err)
	return key
}
