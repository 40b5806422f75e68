// Package servertest has what tests of the server's rooms share: a [World] of everything
// that a server needs, in memory, a whole server over it, and callers that hold every
// answer to what its API promises.
package servertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/server"
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

// World is every dependency of a server, in memory.
type World struct {
	TokenUses  map[string]time.Time // of Management tokens, by fingerprint
	Mu         sync.Mutex
	Tokens     []access.Grant
	Used       int // calls of UseGrant
	Known      []vehicle.Vehicle
	States     map[uuid.UUID]vehicle.Status
	Hooks      []webhook.Webhook
	Subscribed []webhook.ScheduleView
	Past       []webhook.Delivery // oldest first
	Resent     webhook.DeliveryFilter
	Payloads   map[uuid.UUID][]byte

	// Read answers ReadNow; Reads are the calls of it.
	Read  func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error)
	Reads []vehicle.Paths
	// Others are the other endpoints read; Other answers them, and a source that has none is nil.
	Others []vehicle.Detail
	Other  func(vehicle.Detail) (vehicle.DetailReading, error)
	// FailRead, when set, is what reading answers.
	FailRead error
	// Fail, when set, is what every write answers.
	Fail error
	// FailVehicleWith is what subscribing FailVehicle answers.
	FailVehicle     uuid.UUID
	FailVehicleWith error
	// Answer is what a challenge finds.
	Answer webhook.Challenge
	Wrong  bool

	Given []access.Consent
	// Vendor answers for codes and refresh tokens at the source vendor, nil where there
	// is none; OnlyVendor is 1 where it is the only source.
	Vendor     func(codeOrToken string) ([]vehicle.Vehicle, error)
	OnlyVendor int

	Disconnected []uuid.UUID
	File         adminapi.StoreInfo
	Problems     []webhook.FileProblem
	SourceList   []adminapi.Source
	Backup       *adminapi.Backups
	Targets      []adminapi.AlertTarget
	Copied       []byte // what Copy writes
	Copying      func() // called by Copy, nil for nothing
	QueueList    map[uuid.UUID]webhook.Queue
	Conditions   []health.Condition
}

func NewWorld() *World {
	w := &World{
		Known: []vehicle.Vehicle{
			{ID: VehicleA, Source: "sim", Make: "tesla", Model: "Model 3", Year: 2021, Mode: vehicle.ModeSimulated,
				Permissions: []string{"read_charge", "read_battery"}},
			{ID: VehicleB, Source: "sim", Make: "KIA", Model: "EV6", Mode: vehicle.ModeSimulated},
		},
		Tokens: []access.Grant{
			{Name: "all", Hash: sha256.Sum256([]byte(AllToken))},
			{Name: "one", Hash: sha256.Sum256([]byte(OneToken)), Vehicles: []uuid.UUID{VehicleA}},
		},
		Hooks: []webhook.Webhook{{ID: HookID, Name: "home", Type: webhook.TypeDynamic, CallbackURI: "https://example.com/hook",
			Signing: webhook.SignBoth, Status: webhook.Active, Key: bytes.Repeat([]byte{7}, 32)}},
		File:     adminapi.StoreInfo{Disk: webhook.Disk{State: webhook.DiskOK}},
		States:   map[uuid.UUID]vehicle.Status{},
		Payloads: map[uuid.UUID][]byte{},
		Copied:   []byte("a copy"),
		Answer:   webhook.Challenge{Status: 200, Duration: time.Millisecond, Text: "right"},
	}
	w.Read = func(_ context.Context, _ uuid.UUID, p vehicle.Paths) (vehicle.Snapshot, error) {
		return Reading(p), nil
	}
	return w
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

// The parts of the world as a server's interfaces.
type (
	tokensOf     struct{ w *World }
	vehiclesOf   struct{ w *World }
	deliveriesOf struct{ w *World }
	schedulerOf  struct{ w *World }
	fleetOf      struct{ w *World }
)

type storeOf struct {
	tokensOf
	vehiclesOf
	deliveriesOf
}

// Store is what a server reads and writes of the world.
func (w *World) Store() server.Store { return storeOf{tokensOf{w}, vehiclesOf{w}, deliveriesOf{w}} }

func missing(kind string, id any) error {
	return fmt.Errorf("%s %v: %w", kind, id, webhook.ErrNotFound)
}

func (of vehiclesOf) Copy(_ context.Context, path string) error {
	w := of.w
	if w.Copying != nil {
		w.Copying()
	}
	return errors.Join(w.Fail, os.WriteFile(path, w.Copied, 0o600))
}

// Info is what is said of the data file.
func (w *World) Info(context.Context) (adminapi.StoreInfo, error) { return w.File, nil }

func (w *World) CheckFile(path string) ([]webhook.FileProblem, error) {
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, w.Copied) {
		return nil, errors.New("it is not the copy")
	}
	return w.Problems, nil
}

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

func keyText(k webhook.SubscriptionKey) string { return k.Webhook.String() + "." + k.Vehicle.String() }
