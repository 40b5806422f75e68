package clitest

import (
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Noon is the moment at which tests look at the clock.
var Noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The things a test's daemon knows.
var (
	HookID    = uuid.MustParse("7d5f1c1e-3c52-4c5e-9a55-3f1d2c4b5a69")
	DeadID    = uuid.MustParse("9b1c7e2a-0f7d-4e6e-8a51-1f1d2c4b5a70")
	VehicleID = uuid.MustParse("36ab27d0-fd9d-4455-823a-ce30af709ffc")
	OtherID   = uuid.MustParse("cf6a1b70-2f65-4c0f-8d30-9f0e5a4c2b11")
	SentID    = uuid.MustParse("0198c2a4-7f3e-7c51-9d0e-5b6f1a2c3d4e")
	WaitID    = uuid.MustParse("0198c2a4-8f3e-7c51-9d0e-5b6f1a2c3d4f")
)

// Ago is so long before noon.
func Ago(d time.Duration) time.Time { return Noon.Add(-d) }

// In is so long after noon.
func In(d time.Duration) time.Time { return Noon.Add(d) }

// HealthyHook is a webhook that is well.
func HealthyHook() webhook.Webhook {
	return webhook.Webhook{
		ID: HookID, Name: "fleet", Type: webhook.TypeDynamic, CallbackURI: "https://example.com/hook", Signing: webhook.SignBoth,
		Cadence: webhook.Cadence{PluggedIn: "15m"}, CreatedAt: Ago(50 * time.Hour), Status: webhook.Active, StatusSince: Ago(49 * time.Hour),
		VerifiedAt: Ago(49 * time.Hour),
		Breaker:    webhook.Breaker{LastAttempt: Ago(4 * time.Minute), LastSuccess: Ago(4 * time.Minute), LastAnswer: "an old failure"},
		Ledger:     webhook.Ledger{Produced: 121, Delivered: 118, Dead: 1, Expired: 1}, DueTimes: webhook.DueTimes{Produced: 121, Collapsed: 3},
	}
}

// view is a webhook as the daemon shows it.
func View(w webhook.Webhook) adminapi.WebhookView {
	v := adminapi.WebhookView{Webhook: w, Derived: adminapi.Derived{ETag: `"e1"`, Retries: 6,
		Effective: webhook.Cadence{Unplugged: "1h", PluggedIn: "30m"}, EffectiveRecover: "all"}}
	if w.Cadence.PluggedIn != "" {
		v.Effective.PluggedIn = w.Cadence.PluggedIn
	}
	return v
}

// FailingHook is a webhook whose circuit breaker is open.
func FailingHook() webhook.Webhook {
	return webhook.Webhook{
		ID: DeadID, Name: "old app", Type: webhook.TypeDynamic, CallbackURI: "http://10.0.0.7:9000/cb", Signing: webhook.SignSmartcar,
		AllowPrivate: true,
		CreatedAt:    Ago(90 * 24 * time.Hour), Status: webhook.Active, StatusSince: Ago(90 * 24 * time.Hour),
		VerifiedAt: Ago(90 * 24 * time.Hour),
		Breaker: webhook.Breaker{OpenSince: Ago(22 * time.Minute), Step: 3, NextProbe: In(4 * time.Minute), LastAttempt: Ago(17 * time.Minute),
			LastSuccess: Ago(time.Hour),
			LastAnswer:  "connect: connection refused; is the receiver running?", NextChallenge: In(13 * time.Minute)},
		Ledger: webhook.Ledger{Produced: 40, Delivered: 31, Cancelled: 2}, DueTimes: webhook.DueTimes{Produced: 40},
	}
}

// Vehicles are two vehicles, the second without access.
func Vehicles() []adminapi.VehicleView {
	rangeKm := 210.4
	return []adminapi.VehicleView{
		{
			Vehicle: vehicle.Vehicle{ID: VehicleID, Name: "the blue one", Source: "simulator", Native: "vehicle-1", Make: "TESLA", Model: "Model 3", Year: 2022,
				Mode: vehicle.ModeSimulated, ConnectedAt: Ago(60 * time.Hour)},
			Status: vehicle.Status{State: vehicle.StatePluggedIn, ObservedAt: Ago(5 * time.Minute), Charge: vehicle.Charging, Since: Ago(40 * time.Minute),
				SeenAt: Ago(4 * time.Minute), ReadAt: Ago(4 * time.Minute), Reads: 122, PathReads: 366,
				Last: vehicle.Snapshot{
					Charge: vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{State: vehicle.Charging, Plug: vehicle.PluggedIn},
						DataAge: Ago(5 * time.Minute), FetchedAt: Ago(4 * time.Minute)},
					Battery: vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: 0.62, RangeKm: &rangeKm},
						FetchedAt: Ago(4 * time.Minute)},
					Location: vehicle.Reading[vehicle.Location]{OK: true, Value: vehicle.Location{Latitude: 52.52, Longitude: 13.405},
						FetchedAt: Ago(4 * time.Minute)},
				}},
		},
		{
			Vehicle: vehicle.Vehicle{ID: OtherID, Name: "KIA EV6", Source: "simulator", Native: "vehicle-2", Make: "KIA", Model: "EV6",
				Mode: vehicle.ModeSimulated, ConnectedAt: Ago(60 * time.Hour), Permissions: []string{"read_charge"}},
			Status: vehicle.Status{State: vehicle.StateUnknown, Restricted: true, ReadAt: Ago(31 * time.Minute), Reads: 2, PathReads: 6,
				NotBefore:      In(10 * time.Minute),
				Battery:        vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: 0.8}, FetchedAt: Ago(26 * time.Hour)},
				NotBeforeFault: &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Description: "slow down"},
				Last: vehicle.Snapshot{
					Charge: vehicle.Reading[vehicle.Charge]{Fault: &vehicle.Fault{Type: vehicle.TypePermission,
						Description: "the owner granted no access"}, FetchedAt: Ago(31 * time.Minute)},
					Battery: vehicle.Reading[vehicle.Battery]{Fault: &vehicle.Fault{Type: vehicle.TypeUpstream, Code: "NO_RESPONSE"},
						FetchedAt: Ago(31 * time.Minute)},
				}},
		},
	}
}

// Points are two rows of history, the second with all that a row can have.
func Points() []vehicle.Point {
	level, km := 0.623, 210.0
	return []vehicle.Point{{At: Ago(2 * time.Hour), Plug: vehicle.StateUnplugged}, {At: Ago(time.Hour), Level: &level, RangeKm: &km,
		Plug: vehicle.StatePluggedIn, Charge: vehicle.Charging, Location: &vehicle.Location{Latitude: 52.52, Longitude: 13.405}}}
}

// Subscriptions are one that is due and one that waits for its webhook.
func Subscriptions() []adminapi.SubscriptionView {
	schedule := func(v uuid.UUID, st vehicle.State) webhook.Schedule {
		return webhook.Schedule{SubscriptionKey: webhook.SubscriptionKey{Webhook: HookID, Vehicle: v}, Source: "simulator",
			Due: In(11 * time.Minute), Anchor: Ago(time.Hour), State: st, ProducedAt: Ago(4 * time.Minute)}
	}
	parked := schedule(OtherID, vehicle.StateUnknown)
	parked.Due, parked.ProducedAt = time.Time{}, time.Time{}
	return []adminapi.SubscriptionView{
		{Schedule: schedule(VehicleID, vehicle.StatePluggedIn), VehicleName: "the blue one", WebhookName: "fleet", WebhookStatus: webhook.Active,
			WebhookSummary: "failing, 3 of 6 probes spent", Cadence: "15m"},
		{Schedule: parked, WebhookName: "fleet", WebhookStatus: webhook.Unverified, WebhookSummary: "unverified", Cadence: "1h", Parked: true},
	}
}

// Deliveries are one that waits, one that arrived and one that is dead, newest first.
func Deliveries() []webhook.Delivery {
	base := webhook.Delivery{Webhook: HookID, Vehicle: VehicleID, EventName: "dynamic", Bytes: 1204}
	sent, wait, dead := base, base, base
	sent.ID, sent.MessageID, sent.State, sent.Cause, sent.Due, sent.CreatedAt, sent.FinishedAt, sent.Attempts =
		SentID, SentID, webhook.Delivered, webhook.CauseFirst, Ago(time.Hour), Ago(time.Hour-2*time.Second), Ago(time.Hour-3*time.Second), 1
	wait.ID, wait.MessageID, wait.State, wait.Cause, wait.Due, wait.CreatedAt, wait.Attempts, wait.RetryAt, wait.LastAnswer =
		WaitID, WaitID, webhook.Waiting, webhook.CauseChange, Ago(6*time.Minute), Ago(6*time.Minute), 2, In(4*time.Minute),
		"500 Internal Server Error"
	dead.ID, dead.MessageID, dead.State, dead.CreatedAt, dead.FinishedAt, dead.Attempts, dead.FinalText =
		uuid.MustParse("0198c2a4-6f3e-7c51-9d0e-5b6f1a2c3d4d"), WaitID, webhook.Dead, Ago(3*time.Hour), Ago(3*time.Hour), 1,
		"413: our payload was 1 204 bytes; raise the receiver's limit"
	return []webhook.Delivery{wait, sent, dead}
}

// UnverifiedHook is a webhook that was just added.
func UnverifiedHook() webhook.Webhook {
	w := HealthyHook()
	w.Status, w.VerifiedAt, w.Ledger = webhook.Unverified, time.Time{}, webhook.Ledger{}
	return w
}

// Status is the daemon at a glance.
func Status() adminapi.Status {
	return adminapi.Status{
		Version: adminapi.Version{Version: "1.2.3", Go: "go1.26"}, Now: Noon, StartedAt: Ago(50 * time.Hour), Ready: true,
		Conditions: []health.Condition{
			{
				Code: health.WebhookOpened, Severity: health.Warning, Since: Ago(22 * time.Minute),
				Subject: health.Subject{Kind: health.Webhook, ID: DeadID.String(), Name: "old app"},
				Text:    "webhook old app is failing, and its circuit breaker is open: connection refused; 7 waiting; next probe in 4m",
				Remedy:  "mend the receiver, then send at once", Command: "plugbeat webhook enable 'old app'",
			},
			{
				Code: health.SourceDown, Severity: health.Info, Since: Ago(time.Minute),
				Subject: health.Subject{Kind: health.Source, ID: "smartcar", Name: "smartcar"},
				Text:    "source smartcar gave no value: RATE_LIMIT:VEHICLE: slow down (1m ago); it is not asked again for 10m",
				Remedy:  "see which vehicles it concerns", Command: "plugbeat vehicle list",
			},
		},
		Store: adminapi.StoreInfo{
			Path: "/var/lib/plugbeat/plugbeat.db", FileBytes: 5 << 20, MaxBytes: 1 << 30, Waiting: 8,
			Disk: webhook.Disk{LiveBytes: 3 << 20, State: webhook.DiskOK, FreeBytes: 12 << 30, TotalBytes: 40 << 30},
		},
		Sources: []adminapi.Source{
			{Name: "simulator", Configured: true, Vehicles: 2, Due: In(29 * time.Minute),
				Activity: vehicle.Activity{Reads: 124, PathReads: 372, Faults: 1, LastOK: Ago(4 * time.Minute)}},
			{Name: "smartcar", Configured: true, Vehicles: 1,
				Activity: vehicle.Activity{InFlight: 1, Reads: 9, PathReads: 27, Faults: 9, NotBefore: In(10 * time.Minute),
					LastFault: "RATE_LIMIT:VEHICLE: slow down", LastFaultAt: Ago(time.Minute)},
				Cost: &adminapi.Cost{Metered: true, Budget: 500, Per: "month", Spent: 27, Until: In(240 * time.Hour),
					BucketLeft: 93, BucketSize: 120, BucketHour: 120,
					Lines: []string{"webhook fleet: three paths every 1h are 2 190 calls a month for each vehicle, " +
						"4 380 while plugged in (every 30m); points are skipped to keep to the budget of 500 calls a month, " +
						"three paths every 4.4 h; /charge alone every 1h is 730"}}},
		},
		Webhooks: []adminapi.WebhookStatus{
			{Webhook: HealthyHook(), Derived: View(HealthyHook()).Derived, Queue: webhook.Queue{Waiting: 1, Oldest: Ago(time.Minute)}},
			{Webhook: FailingHook(), Derived: View(FailingHook()).Derived,
				Queue: webhook.Queue{InFlight: 1, Waiting: 7, Oldest: Ago(22 * time.Minute)}},
		},
		Vehicles: adminapi.VehicleSummary{Total: 12, PluggedIn: 7, Unplugged: 4, Unknown: 1, Restricted: 1}, Subscriptions: 2,
		NextReading: In(29 * time.Minute),
		FirstVehicles: []adminapi.VehicleGlance{
			{Vehicle: Vehicles()[1].Vehicle, Battery: Vehicles()[1].Status.Battery, ReadAt: Ago(31 * time.Minute), NeedsOwner: true,
				Trouble: "PERMISSION: the owner granted no access"},
			{Vehicle: Vehicles()[0].Vehicle, State: vehicle.StatePluggedIn, Since: Ago(40 * time.Minute), ReadAt: Ago(4 * time.Minute),
				ObservedAt: Ago(5 * time.Minute), Battery: Vehicles()[0].Status.Last.Battery, Subscriptions: 1, NextDue: In(11 * time.Minute)},
		},
	}
}
