// Package servertest has what tests of the server's rooms share: a [World] of everything
// that a server needs, a whole server over it, and callers that hold every answer to what
// its API promises.
package servertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/delivery"
	"plugbeat/health"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	Management = "amt-for-tests-0001"
	AllToken   = "token-for-all"
	OneToken   = "token-for-one"
)

var (
	VehicleA = uuid.MustParse("00000000-0000-4000-8000-00000000000a")
	VehicleB = uuid.MustParse("00000000-0000-4000-8000-00000000000b")
	HookID   = uuid.MustParse("10000000-0000-4000-8000-000000000001")
	NoID     = uuid.MustParse("ffffffff-0000-4000-8000-000000000000")
	Noon     = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
)

// World is every dependency of a server: the real store on a folder of the test's, the real
// delivery without its workers, and stand-ins for what is beyond them, the sources and the
// receivers.
type World struct {
	*Records
	Deliveries *delivery.Dispatcher
	// Now is the store's clock.
	Now time.Time

	t  testing.TB
	mu sync.Mutex // of Reads and Others

	// Read answers ReadNow; Reads are the calls of it.
	Read  func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error)
	Reads []vehicle.Paths
	// Others are the other endpoints read; Other answers them, and a source that has none is nil.
	Others []vehicle.Detail
	Other  func(vehicle.Detail) (vehicle.DetailReading, error)
	// FailRead, when set, is what reading answers.
	FailRead error

	// Answer is the status with which receivers answer test payloads. With Wrong they
	// answer challenges with 500.
	Answer int
	Wrong  bool

	// Vendor answers for codes and refresh tokens at the source vendor, nil where there
	// is none; OnlyVendor is 1 where it is the only source.
	Vendor       func(codeOrToken string) ([]vehicle.Vehicle, error)
	OnlyVendor   int
	Disconnected []uuid.UUID

	File       adminapi.StoreInfo
	SourceList []adminapi.Source
	// Inspected are the sources that can be looked into, and Offered what one finds; Heard is
	// called by who watches, with the function that takes what is heard.
	Inspected  map[string]vehicle.Inspection
	Offered    map[string]vehicle.Discovery
	Heard      func(func(vehicle.Heard))
	Backup     *adminapi.Backups
	Targets    []adminapi.AlertTarget
	QueueList  map[uuid.UUID]webhook.Queue
	Conditions []health.Condition
}

// NewWorld has two tokens, the webhook home, and the vehicles; VehicleA and VehicleB where
// none are given.
func NewWorld(tb testing.TB, vehicles ...vehicle.Vehicle) *World {
	tb.Helper()
	w := &World{t: tb, Now: Noon, Answer: 204, File: adminapi.StoreInfo{Disk: webhook.Disk{State: webhook.DiskOK}}}
	w.Read = func(_ context.Context, _ uuid.UUID, p vehicle.Paths) (vehicle.Snapshot, error) {
		return Reading(p), nil
	}
	s, err := store.Open(store.Options{Path: filepath.Join(folder(tb), "plugbeat.db"), Key: make([]byte, 32), Log: zerolog.Nop(),
		Now: func() time.Time { return w.Now }})
	w.must(err)
	tb.Cleanup(func() { _ = s.Close() })
	w.Records = &Records{parts: parts{s.Webhooks, s.Schedules, s.Vehicles, s.Deliveries, s.Access, s.Maintenance}}
	w.Deliveries = newDeliveries(w)
	if vehicles == nil {
		vehicles = []vehicle.Vehicle{
			{ID: VehicleA, Source: "sim", Make: "tesla", Model: "Model 3", Year: 2021, Mode: vehicle.ModeSimulated,
				Permissions: []string{"read_charge", "read_battery"}},
			{ID: VehicleB, Source: "sim", Make: "KIA", Model: "EV6", Mode: vehicle.ModeSimulated},
		}
	}
	w.AddVehicles(vehicles...)
	w.AddTokens(access.Grant{Name: "all", Hash: sha256.Sum256([]byte(AllToken))},
		access.Grant{Name: "one", Hash: sha256.Sum256([]byte(OneToken)), Vehicles: []uuid.UUID{VehicleA}})
	w.AddHook(webhook.Webhook{ID: HookID, Name: "home", CallbackURI: "https://example.com/hook"})
	return w
}

// folder is in memory where there is such a place: what a disk does with commits is another
// test's subject.
func folder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "plugbeat-server-*")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// AddTokens adds tokens.
func (w *World) AddTokens(tokens ...access.Grant) {
	w.t.Helper()
	for _, g := range tokens {
		w.must(w.PutGrant(w.t.Context(), g))
	}
}

// AddHook adds an active webhook.
func (w *World) AddHook(h webhook.Webhook) {
	w.t.Helper()
	h.Type, h.Signing, h.Status, h.Key = webhook.TypeDynamic, webhook.SignBoth, webhook.Active, bytes.Repeat([]byte{7}, 32)
	w.must(w.AddWebhook(w.t.Context(), h))
}

// Hook is the webhook home as it stands.
func (w *World) Hook() webhook.Webhook {
	w.t.Helper()
	h, err := w.Webhook(w.t.Context(), HookID)
	w.must(err)
	return h
}

// EditHook changes the webhook home.
func (w *World) EditHook(change func(*webhook.Webhook)) {
	w.t.Helper()
	_, err := w.UpdateWebhook(w.t.Context(), HookID, func(h *webhook.Webhook) error { change(h); return nil })
	w.must(err)
}

// Hooks are the webhooks as they stand.
func (w *World) Hooks() []webhook.Webhook {
	w.t.Helper()
	hooks, err := w.Webhooks(w.t.Context())
	w.must(err)
	return hooks
}

// Given are the consents as they stand.
func (w *World) Given() []access.Consent {
	w.t.Helper()
	cs, err := w.Consents(w.t.Context(), uuid.Nil, 100)
	w.must(err)
	return cs
}

// Reading is a snapshot with values for the paths.
func Reading(p vehicle.Paths) vehicle.Snapshot {
	reach := 287.5
	var s vehicle.Snapshot
	if p.Has(vehicle.PathCharge) {
		s.Charge = vehicle.Reading[vehicle.Charge]{OK: true, FetchedAt: Noon, Value: vehicle.Charge{State: vehicle.Charging,
			Plug: vehicle.PluggedIn}}
	}
	if p.Has(vehicle.PathBattery) {
		s.Battery = vehicle.Reading[vehicle.Battery]{OK: true, FetchedAt: Noon, DataAge: Noon.Add(-time.Minute),
			Value: vehicle.Battery{PercentRemaining: 0.64, RangeKm: &reach}}
	}
	if p.Has(vehicle.PathLocation) {
		s.Location = vehicle.Reading[vehicle.Location]{OK: true, FetchedAt: Noon, Value: vehicle.Location{Latitude: 52.3676, Longitude: 4.9041}}
	}
	return s
}

// Info is what is said of the data file.
func (w *World) Info(context.Context) (adminapi.StoreInfo, error) { return w.File, nil }

// CheckFile checks a copy of the data file.
func (w *World) CheckFile(path string) ([]webhook.FileProblem, error) { return store.CheckFile(path) }

func (w *World) Backups() *adminapi.Backups { return w.Backup }
func (w *World) Sources() []adminapi.Source { return w.SourceList }

func (w *World) Alerts() []adminapi.AlertTarget { return w.Targets }

func (w *World) TestAlerts(_ context.Context, target string) (out []health.AlertTested, err error) {
	for _, t := range w.Targets {
		if target == "" || target == t.Name {
			out = append(out, health.AlertTested{Target: t.Name, Host: t.Host, Arrived: t.LastError == "", Status: 200, Error: t.LastError})
		}
	}
	if target != "" && len(out) == 0 {
		err = &webhook.Invalid{Field: "target", Value: target, Allowed: "phone"}
	}
	return out, err
}

func (w *World) Health(context.Context) health.Report {
	return health.Report{Conditions: append([]health.Condition{}, w.Conditions...)}
}

func (w *World) Unready(ctx context.Context) []health.Condition { return w.Health(ctx).Unready() }
