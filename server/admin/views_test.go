package admin

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// The cadence of a subscription is that of its plug state and of the vehicle's make.
func TestCadenceInForce(t *testing.T) {
	ctx, hook := t.Context(), webhook.Webhook{Type: webhook.TypeDynamic, Cadence: webhook.Cadence{PluggedIn: "15m"}}
	v := views{lookup: lookup{oneVehicle{}}, policy: cadence.Policy{Default: webhook.Cadence{Unplugged: "2h"}}}
	of := func(st vehicle.State) webhook.ScheduleView {
		return webhook.ScheduleView{Schedule: webhook.Schedule{State: st}, Webhook: &hook}
	}
	for st, want := range map[vehicle.State]string{vehicle.StatePluggedIn: "15m", vehicle.StateUnplugged: "2h", vehicle.StateUnknown: "2h"} {
		if got := v.subscription(ctx, of(st)).Cadence; got != want {
			t.Errorf("%s: %q, want %q", st, got, want)
		}
	}
	hook.Cadence = webhook.Cadence{Fastest: true}
	_, fastest, err := v.policy.For(&hook, "TESLA")
	if got := v.subscription(ctx, of(vehicle.StatePluggedIn)).Cadence; err != nil || got != fastest.String() || got == "30m" {
		t.Errorf("the make's fastest: %q, want %v, %v", got, fastest, err)
	}
}

// oneVehicle is a store in which every vehicle is a Tesla.
type oneVehicle struct{ Store }

func (oneVehicle) Vehicle(context.Context, uuid.UUID) (vehicle.Vehicle, error) {
	return vehicle.Vehicle{Make: "tesla"}, nil
}

// The answers to attempts are shown as text where they are text.
func TestAttemptText(t *testing.T) {
	for body, want := range map[string]string{"": "", "boom": "boom", "caf\xc3": "caf", "\x00\xff\xfe\xfd\xfc\xfb": ""} {
		if got := attemptView(webhook.Attempt{Body: []byte(body)}).BodyText; got != want {
			t.Errorf("%q is shown as %q, want %q", body, got, want)
		}
	}
}

// The limit of spread is the webhook's own unplugged cadence.
func TestSpreadLimit(t *testing.T) {
	tests := []struct {
		unplugged, spread string
		ok                bool
	}{
		{"", "1h", true}, {"", "1h1ms", false}, {"10m", "10m", true}, {"10m", "11m", false},
		{"0 */6 * * *", "6h", true}, {"0 */6 * * *", "6h1s", false}, {"2h", "", true},
	}
	for _, tt := range tests {
		w := &webhook.Webhook{Cadence: webhook.Cadence{Unplugged: tt.unplugged}}
		if _, err := (subscriptions{}).spread(w, tt.spread, noon.Add(7*time.Minute)); (err == nil) != tt.ok {
			t.Errorf("%q spread %q: %v", tt.unplugged, tt.spread, err)
		}
	}
}

func TestAnchors(t *testing.T) {
	at := anchors(noon, time.Hour, 7)
	for i := range at {
		if at[i].Before(noon) || !at[i].Before(noon.Add(time.Hour)) || i > 0 && !at[i].After(at[i-1]) {
			t.Errorf("anchor %d is %v", i, at[i])
		}
	}
	if len(anchors(noon, time.Hour, 0)) != 0 {
		t.Error("anchors of no vehicle")
	}
}
