package app

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// fleet connects and disconnects vehicles for the server.
type fleet struct{ a *App }

// Connect adds the vehicles that the refresh token reaches at the named source.
func (f fleet) Connect(ctx context.Context, name, refreshToken string) ([]vehicle.Vehicle, error) {
	s := f.a.sources[name]
	if s == nil {
		return nil, &webhook.Invalid{Field: "source", Value: name, Allowed: "a configured source: " + strings.Join(slices.Sorted(maps.Keys(f.a.sources)), ", ")}
	}
	return f.connect(ctx, name, s, refreshToken)
}

func (f fleet) connect(ctx context.Context, name string, s source, refreshToken string) ([]vehicle.Vehicle, error) {
	vs, err := s.connect(ctx, refreshToken)
	if err != nil {
		return nil, err
	}
	for i := range vs {
		vs[i].Source, vs[i].ConnectedAt = name, time.Now().UTC()
		if old, err := f.a.store.Vehicle(ctx, vs[i].ID); err == nil && old.Source != name {
			return nil, fmt.Errorf("vehicle %s: %w: it is connected through source %s; disconnect it there first", vs[i].ID, webhook.ErrConflict, old.Source)
		}
		if err := f.a.store.PutVehicle(ctx, vs[i]); err != nil {
			return nil, err
		}
		f.a.log.Info().Str("event", "vehicle.connected").Stringer("vehicle", vs[i].ID).Str("source", name).Str("make", vs[i].Make).Str("model", vs[i].Model).Msg("vehicle connected")
	}
	return vs, nil
}

// Disconnect ends a vehicle: at its vendor where that can be reached, and then
// here with all that is kept of it. A vendor that does not answer does not keep
// the operator from erasing; it is logged.
func (f fleet) Disconnect(ctx context.Context, id uuid.UUID) (cancelled int, err error) {
	a := f.a
	v, err := a.store.Vehicle(ctx, id)
	if err != nil {
		return 0, err
	}
	s := a.sources[v.Source]
	if s != nil {
		if err := s.disconnect(ctx, v); err != nil {
			a.log.Warn().Str("event", "source.disconnect_failed").Stringer("vehicle", id).Err(err).
				Msg("the vendor did not confirm the disconnection; end the access in the owner's account there too")
		}
	}
	gone, err := a.store.RemoveVehicle(ctx, id)
	if err != nil {
		return 0, err
	}
	a.scheduler.Forget(id)
	a.dispatcher.Forget(gone)
	a.log.Info().Str("event", "vehicle.disconnected").Stringer("vehicle", id).Int("cancelled", len(gone)).Msg("vehicle disconnected, its data erased")
	if s == nil || v.Connection == "" {
		return len(gone), nil
	}
	for other, err := range a.vehicles(ctx) {
		if err != nil || other.Source == v.Source && other.Connection == v.Connection {
			return len(gone), err
		}
	}
	return len(gone), s.forget(ctx, v.Connection)
}

// vehicles yields every vehicle, a page at a time.
func (a *App) vehicles(ctx context.Context) iter.Seq2[vehicle.Vehicle, error] {
	return func(yield func(vehicle.Vehicle, error) bool) {
		for after := uuid.Nil; ; {
			vs, err := a.store.Vehicles(ctx, after, pageSize)
			if err != nil {
				yield(vehicle.Vehicle{}, err)
				return
			}
			for _, v := range vs {
				if !yield(v, nil) {
					return
				}
				after = v.ID
			}
			if len(vs) < pageSize {
				return
			}
		}
	}
}
