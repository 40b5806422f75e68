package payload

import (
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Test is the body of a test delivery: what the webhook's type sends, in mode "test"
// and with made-up values, the same for all that send the same but for their ids.
func Test(w *webhook.Webhook) []byte {
	fetched := time.Date(2026, time.January, 15, 12, 0, 5, 0, time.UTC)
	recorded := fetched.Add(-90 * time.Second)
	reach := 312.4
	id := uuid.UUID{0: 0x7e, 1: 0x57, 6: 0x40, 8: 0x80, 15: 0x01}
	happened := webhook.ChargingStarted
	if chosen := w.Content.EventTypes; len(chosen) > 0 {
		happened = chosen[0]
	}
	// Compose fails only on names and modes it does not know.
	body, _ := Compose(Event{
		WebhookID:  w.ID,
		EventName:  w.EventName(),
		Mode:       vehicle.ModeTest,
		Vehicle:    id,
		RequestID:  uuid.UUID{0: 0x7e, 1: 0x57, 6: 0x40, 8: 0x80, 15: 0x02}.String(),
		Timestamp:  fetched,
		Paths:      w.Reads(),
		Happened:   webhook.NewEvent(id, happened, fetched),
		UnitSystem: w.Content.UnitSystem,
		Snapshot: vehicle.Snapshot{
			Battery: vehicle.Reading[vehicle.Battery]{OK: true, DataAge: recorded, FetchedAt: fetched,
				Value: vehicle.Battery{PercentRemaining: 0.71, RangeKm: &reach}},
			Charge: vehicle.Reading[vehicle.Charge]{OK: true, DataAge: recorded, FetchedAt: fetched,
				Value: vehicle.Charge{State: vehicle.Charging, Plug: vehicle.PluggedIn}},
			Location: vehicle.Reading[vehicle.Location]{OK: true, DataAge: recorded, FetchedAt: fetched,
				Value: vehicle.Location{Latitude: 47.3769, Longitude: 8.5417}},
		},
	})
	return body
}
