package servertest

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/delivery"
	"plugbeat/egress"
	"plugbeat/server"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// challenging begins the bodies of challenges.
const challenging = "challenge "

// newDeliveries is the real delivery, which runs no workers. The world's receivers answer it.
func newDeliveries(w *World) *delivery.Dispatcher {
	w.t.Helper()
	home := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("192.168.1.2/24")}
	guard, err := egress.New(egress.Options{Interfaces: func() ([]netip.Prefix, error) { return home, nil }})
	w.must(err)
	d, err := delivery.New(delivery.Options{
		Store: w.Records, ManagementToken: webhook.Secret(Management), Guard: guard, Transport: receivers{w}, Log: zerolog.Nop(),
		Meter: server.NewMetrics(adminapi.Version{}, nil),
		Settings: delivery.Settings{Schedule: delivery.Schedule{time.Minute}, Timeout: time.Second, InFlight: 1, ChallengeAfter: time.Minute,
			Recover: webhook.RecoverAll, RecoverRate: 1, UserAgent: "plugbeat", Drain: time.Second},
		Bodies: delivery.Bodies{
			Verify: func(_ uuid.UUID, c string) []byte { return []byte(challenging + c) },
			Test:   func(*webhook.Webhook) []byte { return []byte("test") },
		},
	})
	w.must(err)
	return d
}

// receivers answer at every callback.
type receivers struct{ w *World }

func (r receivers) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	status, answer := r.w.Answer, ""
	if c, ok := strings.CutPrefix(string(body), challenging); ok {
		status, answer = 200, `{"challenge":"`+signing.AnswerOf(webhook.Secret(Management), c)+`"}`
	}
	if r.w.Wrong {
		status = 500
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: req}, nil
}

// deliveriesOf is the delivery with the queues that a test sets.
type deliveriesOf struct {
	*delivery.Dispatcher
	w *World
}

func (d deliveriesOf) Queues() map[uuid.UUID]webhook.Queue { return d.w.QueueList }

// Deliver makes a waiting delivery of a vehicle to a webhook, and a subscription where there
// is none.
func (w *World) Deliver(hook, vehicleID uuid.UUID) webhook.Delivery {
	w.t.Helper()
	w.Subscribe(hook, vehicleID, w.Now)
	key := webhook.SubscriptionKey{Webhook: hook, Vehicle: vehicleID}
	made, err := w.CompleteRead(w.t.Context(), vehicleID, func(v webhook.VehicleView) (webhook.Decision, error) {
		d := webhook.Decision{Status: v.Status}
		for _, s := range v.Schedules {
			if s.SubscriptionKey == key {
				s.ProducedAt = w.Now
				draft := &webhook.Draft{EventName: "dynamic", Payload: []byte(`{"version":"2.0","x":"<&>"}`), Due: w.Now}
				d.Schedules = append(d.Schedules, webhook.ScheduleChange{Schedule: s.Schedule, Draft: draft})
			}
		}
		return d, nil
	})
	w.must(err)
	return made[0]
}

// Finish brings a waiting delivery to a final state.
func (w *World) Finish(d webhook.Delivery, state webhook.State) {
	w.t.Helper()
	finish := func(_ *webhook.Webhook, ds []*webhook.Delivery) error { return ds[0].Apply(state, w.Now, "") }
	_, _, err := w.parts.Finish(w.t.Context(), d.Webhook, []uuid.UUID{d.ID}, finish)
	w.must(err)
}

// AllDeliveries are the deliveries as they stand, newest first.
func (w *World) AllDeliveries() []webhook.Delivery {
	w.t.Helper()
	ds, err := w.parts.Deliveries(context.Background(), webhook.DeliveryFilter{}, uuid.Nil, 100)
	w.must(err)
	return ds
}
