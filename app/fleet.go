package app

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// fleet connects and disconnects vehicles for the server. It does one at a time,
// so that a connection's tokens are not erased while a vehicle of it comes in.
type fleet struct{ a *App }

// vendorTime is how long a vendor may take to confirm a disconnection.
const vendorTime = 20 * time.Second

// turn waits until nobody else connects or disconnects.
func (f fleet) turn(ctx context.Context) (done func(), err error) {
	select {
	case f.a.fleetTurn <- struct{}{}:
		return func() { <-f.a.fleetTurn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Connect adds the vehicles that the refresh token reaches at the named source. A
// vehicle that is connected already keeps its subscriptions and what is known of it.
func (f fleet) Connect(ctx context.Context, name, refreshToken string) ([]vehicle.Vehicle, error) {
	s := f.a.sources[name]
	if s == nil {
		return nil, &webhook.Invalid{Field: "source", Value: name, Allowed: "a configured source: " + strings.Join(slices.Sorted(maps.Keys(f.a.sources)), ", ")}
	}
	done, err := f.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return f.connect(ctx, name, func() ([]vehicle.Vehicle, error) { return bring(ctx, s, refreshToken) })
}

// bring returns the vehicles that the refresh token reaches at the source, or without one
// all that a source has that needs none.
func bring(ctx context.Context, s vehicle.Source, refreshToken string) ([]vehicle.Vehicle, error) {
	c, accounts := s.(vehicle.Connector)
	l, lists := s.(vehicle.Lister)
	switch {
	case accounts && refreshToken != "":
		return c.Connect(ctx, refreshToken)
	case lists && refreshToken == "":
		return l.List(ctx)
	case lists:
		return nil, &webhook.Invalid{Field: "refresh_token", Value: "[secret]", Allowed: "no token: the source has no accounts"}
	case accounts:
		return nil, &webhook.Invalid{Field: "refresh_token", Value: "",
			Allowed: "the refresh token of the owner's connection at the vendor: plugbeat vehicle connect --refresh-token-stdin"}
	}
	return nil, fmt.Errorf("%w: the source brings in no vehicles now", webhook.ErrConflict)
}

// connect adds the vehicles that the source of the name brings.
func (f fleet) connect(ctx context.Context, name string, bring func() ([]vehicle.Vehicle, error)) ([]vehicle.Vehicle, error) {
	vs, err := bring()
	if err != nil {
		return nil, err
	}
	vs, moved, err := f.unclaimed(ctx, name, vs)
	if err != nil {
		return nil, err
	}
	healed := map[uuid.UUID]bool{}
	for i := range vs {
		trouble := vs[i].Trouble
		if st, err := f.a.store.VehicleStatus(ctx, vs[i].ID); err == nil && trouble == nil && st.Trouble() != vehicle.NoTrouble {
			healed[vs[i].ID] = true
		}
		vs[i].Source, vs[i].ConnectedAt = name, time.Now().UTC()
		if err := f.a.store.PutVehicle(ctx, vs[i]); err != nil {
			return nil, err
		}
		if vs[i], err = f.a.store.Vehicle(ctx, vs[i].ID); err != nil {
			return nil, err
		}
		f.a.log.Info().Str("event", "vehicle.connected").Stringer("vehicle", vs[i].ID).Str("source", name).Str("make", vs[i].Make).Str("model", vs[i].Model).Msg("vehicle connected")
		if trouble != nil {
			if err := f.note(ctx, vs[i], trouble); err != nil {
				return nil, err
			}
		}
	}
	for _, old := range moved {
		if err := f.forget(ctx, old); err != nil {
			return nil, err
		}
	}
	if err := f.hurry(ctx, healed); err != nil {
		return nil, err
	}
	if f.a.scheduler != nil { // nil while New connects the vehicles of a Lister
		f.a.scheduler.Kick()
	}
	return vs, nil
}

// unclaimed returns the vehicles that the source of the name may have, with what is known
// already of those that it could not describe, and those that another source gives up: one
// that the config does not have any more. A vehicle that another source has stays there.
func (f fleet) unclaimed(ctx context.Context, name string, listed []vehicle.Vehicle) (vs, moved []vehicle.Vehicle, err error) {
	for _, v := range listed {
		old, known := f.a.store.Vehicle(ctx, v.ID)
		switch {
		case known != nil: // new here
		case old.Source != name && f.a.sources[old.Source] != nil:
			err = fmt.Errorf("vehicle %s: %w: it is connected through source %s; disconnect it there first", v.ID, webhook.ErrConflict, old.Source)
			f.a.log.Warn().Str("event", "vehicle.claimed").Stringer("vehicle", v.ID).Str("source", name).Str("other", old.Source).
				Msg("the vehicle is connected through another source and stays there")
			continue
		case old.Source != name:
			moved = append(moved, old)
		default:
			// The account that listed it last reads it, the others are fallen back on.
			v.Others = slices.DeleteFunc(old.Connections(), func(name string) bool { return name == v.Connection })
		}
		if known == nil && v.Trouble != nil {
			v.Make, v.Model, v.Year = cmp.Or(v.Make, old.Make), cmp.Or(v.Model, old.Model), cmp.Or(v.Year, old.Year)
			if v.Permissions == nil {
				v.Permissions = old.Permissions
			}
		}
		vs = append(vs, v)
	}
	if len(vs) > 0 {
		err = nil
	}
	return vs, moved, err
}

// note keeps the trouble of a vehicle that was just connected, until it is read.
func (f fleet) note(ctx context.Context, v vehicle.Vehicle, trouble *vehicle.Fault) error {
	f.a.log.Warn().Str("event", "vehicle.incomplete").Stringer("vehicle", v.ID).Str("source", v.Source).Str("fault", trouble.Error()).
		Msg("the vehicle is connected, and its source could not describe it")
	_, err := f.a.store.CompleteRead(ctx, v.ID, func(view webhook.VehicleView) (webhook.Decision, error) {
		now := time.Now()
		var s vehicle.Snapshot
		s.Fail(vehicle.AllPaths, trouble, now)
		st, _ := cadence.Observe(view.Status, s, now)
		return webhook.Decision{Status: st}, nil
	})
	return err
}

// hurry has vehicles read now that could not be read before, not when they are due.
func (f fleet) hurry(ctx context.Context, healed map[uuid.UUID]bool) error {
	if f.a.scheduler == nil || len(healed) == 0 {
		return nil
	}
	_, err := f.a.scheduler.Hurry(ctx, func(v vehicle.Vehicle) bool { return healed[v.ID] })
	return err
}

// Disconnect ends a vehicle: at its vendor where that can be reached, and then
// here with all that is kept of it. A vendor that does not answer does not keep
// the operator from erasing; it is logged. Erasing goes on when ctx ends.
func (f fleet) Disconnect(ctx context.Context, id uuid.UUID) (cancelled int, err error) {
	a := f.a
	done, err := f.turn(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	v, err := a.store.Vehicle(ctx, id)
	if err != nil {
		return 0, err
	}
	if s, ok := a.sources[v.Source].(vehicle.Connector); ok {
		vendor, cancel := context.WithTimeout(ctx, vendorTime)
		err := s.Disconnect(vendor, v)
		cancel()
		if err != nil {
			a.log.Warn().Str("event", "source.disconnect_failed").Stringer("vehicle", id).Err(err).
				Msg("the vendor did not confirm the disconnection; end the access in the owner's account there too")
		}
	}
	ctx = context.WithoutCancel(ctx)
	// The tokens first: were they last, a crash in between would leave them for ever.
	if err := f.forget(ctx, v); err != nil {
		return 0, err
	}
	gone, err := a.store.RemoveVehicle(ctx, id)
	a.scheduler.Forget(id)
	a.dispatcher.Forget(gone)
	if err != nil {
		return len(gone), err
	}
	a.log.Info().Str("event", "vehicle.disconnected").Stringer("vehicle", id).Int("cancelled", len(gone)).Msg("vehicle disconnected, its data erased")
	return len(gone), nil
}

// forget erases the tokens of a vehicle's connections, those that no other vehicle needs.
func (f fleet) forget(ctx context.Context, v vehicle.Vehicle) error {
	ends := v.Connections()
	for other, err := range f.a.vehicles(ctx) {
		if err != nil {
			return err
		}
		if other.ID != v.ID && other.Source == v.Source {
			ends = slices.DeleteFunc(ends, func(name string) bool { return slices.Contains(other.Connections(), name) })
		}
	}
	for _, name := range ends {
		if err := f.forgetTokens(ctx, v.Source, name); err != nil {
			return err
		}
	}
	return nil
}

func (f fleet) forgetTokens(ctx context.Context, source, connection string) error {
	if s, ok := f.a.sources[source].(vehicle.Connector); ok {
		return s.Forget(ctx, connection)
	}
	return tokens{f.a, source}.Save(ctx, connection, nil)
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
