package simulator

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// Source reads a fleet in this process. It needs no account, and its reads cost nothing.
type Source struct {
	fleet  *Fleet
	budget vehicle.Budget
}

var (
	_ vehicle.Lister   = (*Source)(nil)
	_ vehicle.Metering = (*Source)(nil)
)

// NewSource returns the source over the fleet.
func NewSource(f *Fleet) *Source { return &Source{fleet: f} }

// Read implements [vehicle.Source]. A ref that is not in the fleet is
// RESOURCE_NOT_FOUND.
func (s *Source) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return vehicle.Snapshot{}, fmt.Errorf("read simulated vehicle %s: %w", ref.ID, err)
	}
	i, ok := s.fleet.Find(ref.ID)
	if !ok {
		f := Row(vehicle.TypeNotFound, "PATH")
		f.Description = fmt.Sprintf("the simulated fleet has no vehicle %s; its seed or its size was changed", ref.ID)
		return vehicle.Snapshot{}, f
	}
	now := time.Now().UTC()
	con := s.fleet.At(i, now)
	snap := vehicle.Snapshot{RequestID: uuid.NewString()}
	for p := range paths.All() {
		if f := s.fleet.FaultAt(i, p, now); f != nil {
			f.RequestID = snap.RequestID
			snap.Fail(vehicle.PathsOf(p), f, now)
			continue
		}
		switch p {
		case vehicle.PathCharge:
			snap.Charge = value(con.charge(), con.At, now)
		case vehicle.PathBattery:
			snap.Battery = value(con.battery(), con.At, now)
		case vehicle.PathLocation:
			snap.Location = value(con.location(), con.At, now)
		}
	}
	return snap, nil
}

// value is a reading with the value v.
func value[T any](v T, age, now time.Time) vehicle.Reading[T] {
	return vehicle.Reading[T]{Value: v, OK: true, DataAge: age.UTC(), FetchedAt: now}
}
