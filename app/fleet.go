package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/delivery"
	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// fleet connects and disconnects vehicles for the server. It does one at a time,
// so that a connection's tokens are not erased while a vehicle of it comes in.
type fleet struct {
	log        zerolog.Logger
	store      *store.Store
	sources    *sources
	scheduler  *scheduler.Scheduler // nil while New connects the vehicles of a Lister
	dispatcher *delivery.Dispatcher
	// busy holds a token while vehicles are connected or disconnected.
	busy chan struct{}
	// disconnects counts the vehicles that were disconnected.
	disconnects atomic.Uint64
}

// vendorTime is how long a vendor may take to confirm a disconnection.
const vendorTime = 20 * time.Second

// alone waits until nobody else connects or disconnects.
func (f *fleet) alone(ctx context.Context) (done func(), err error) {
	select {
	case f.busy <- struct{}{}:
		return func() { <-f.busy }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Connect adds the vehicles that the refresh token reaches at the named source. A
// vehicle that is connected already keeps its subscriptions and what is known of it.
func (f *fleet) Connect(ctx context.Context, name, refreshToken string) ([]vehicle.Vehicle, error) {
	s := f.sources.byName[name]
	if s == nil {
		return nil, &webhook.Invalid{Field: "source", Value: name, Allowed: "a configured source: " +
			strings.Join(slices.Sorted(maps.Keys(f.sources.byName)), ", ")}
	}
	done, err := f.alone(ctx)
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
			Allowed: "the refresh token of the owner's connection at the vendor: plugbeat vehicle connect --source NAME --refresh-token-stdin"}
	}
	return nil, fmt.Errorf("%w: the source brings in no vehicles now", webhook.ErrConflict)
}

// connect adds the vehicles that the source of the name brings.
func (f *fleet) connect(ctx context.Context, name string, bring func() ([]vehicle.Vehicle, error)) ([]vehicle.Vehicle, error) {
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
		if st, err := f.store.Vehicles.VehicleStatus(ctx, vs[i].ID); err == nil && trouble == nil && st.Trouble() != vehicle.NoTrouble {
			healed[vs[i].ID] = true
		}
		vs[i].Source, vs[i].ConnectedAt = name, time.Now().UTC()
		if err := f.store.Vehicles.PutVehicle(ctx, vs[i]); err != nil {
			return nil, err
		}
		if vs[i], err = f.store.Vehicles.Vehicle(ctx, vs[i].ID); err != nil {
			return nil, err
		}
		f.log.Info().Str("event", "vehicle.connected").Stringer("vehicle", vs[i].ID).Str("source", name).
			Str("make", vs[i].Make).Str("model", vs[i].Model).Msg("vehicle connected")
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
	if f.scheduler != nil {
		f.scheduler.Kick()
	}
	return vs, nil
}

// unclaimed returns the vehicles that the source of the name may have, with what is known
// already of those that it could not describe, and those that another source gives up: one
// that the config does not have any more. A vehicle that another source has stays there.
func (f *fleet) unclaimed(ctx context.Context, name string, listed []vehicle.Vehicle) (vs, moved []vehicle.Vehicle, err error) {
	for _, v := range listed {
		old, known := f.store.Vehicles.Vehicle(ctx, v.ID)
		switch {
		case known != nil: // new here
		case old.Source != name && f.sources.byName[old.Source] != nil:
			err = fmt.Errorf("vehicle %s: %w: it is connected through source %s; disconnect it there first", v.ID, webhook.ErrConflict, old.Source)
			f.log.Warn().Str("event", "vehicle.claimed").Stringer("vehicle", v.ID).Str("source", name).Str("other", old.Source).
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
func (f *fleet) note(ctx context.Context, v vehicle.Vehicle, trouble *vehicle.Fault) error {
	f.log.Warn().Str("event", "vehicle.incomplete").Stringer("vehicle", v.ID).Str("source", v.Source).Str("fault", trouble.Error()).
		Msg("the vehicle is connected, and its source could not describe it")
	_, err := f.store.Schedules.CompleteRead(ctx, v.ID, func(view webhook.VehicleView) (webhook.Decision, error) {
		now := time.Now()
		var s vehicle.Snapshot
		s.Fail(vehicle.AllPaths, trouble, now)
		st, _ := cadence.Observe(view.Status, s, now)
		return webhook.Decision{Status: st}, nil
	})
	return err
}

// hurry has vehicles read now that could not be read before, not when they are due.
func (f *fleet) hurry(ctx context.Context, healed map[uuid.UUID]bool) error {
	if f.scheduler == nil || len(healed) == 0 {
		return nil
	}
	_, err := f.scheduler.Hurry(ctx, func(v vehicle.Vehicle) bool { return healed[v.ID] })
	return err
}

// Disconnect ends a vehicle: at its vendor where that can be reached, and then
// here with all that is kept of it. A vendor that does not answer does not keep
// the operator from erasing; it is logged. Erasing goes on when ctx ends.
func (f *fleet) Disconnect(ctx context.Context, id uuid.UUID) (cancelled int, err error) {
	done, err := f.alone(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	v, err := f.store.Vehicles.Vehicle(ctx, id)
	if err != nil {
		return 0, err
	}
	if s, ok := f.sources.byName[v.Source].(vehicle.Connector); ok {
		vendor, cancel := context.WithTimeout(ctx, vendorTime)
		err := s.Disconnect(vendor, v)
		cancel()
		if err != nil {
			f.log.Warn().Str("event", "source.disconnect_failed").Stringer("vehicle", id).Err(err).
				Msg("the vendor did not confirm the disconnection; end the access in the owner's account there too")
		}
	}
	ctx = context.WithoutCancel(ctx)
	f.disconnects.Add(1)
	// The tokens first: were they last, a crash in between would leave them for ever.
	if err := f.forget(ctx, v); err != nil {
		return 0, err
	}
	gone, err := f.store.Vehicles.RemoveVehicle(ctx, id)
	f.scheduler.Forget(id)
	f.dispatcher.Forget(gone)
	if err != nil {
		return len(gone), err
	}
	f.log.Info().Str("event", "vehicle.disconnected").Stringer("vehicle", id).Int("cancelled", len(gone)).
		Msg("vehicle disconnected, its data erased")
	return len(gone), nil
}

// forget erases the tokens of a vehicle's connections, those that no other vehicle needs.
func (f *fleet) forget(ctx context.Context, v vehicle.Vehicle) error {
	ends := v.Connections()
	for other, err := range vehicles(ctx, f.store) {
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

func (f *fleet) forgetTokens(ctx context.Context, source, connection string) error {
	if s, ok := f.sources.byName[source].(vehicle.Connector); ok {
		return s.Forget(ctx, connection)
	}
	return tokens{f.store, source}.Save(ctx, connection, nil)
}

// connectListed connects the vehicles of each [vehicle.Lister] that are new.
func (f *fleet) connectListed(ctx context.Context) error {
	for _, name := range f.sources.cfg.SourceNames() {
		if l, ok := f.sources.byName[name].(vehicle.Lister); ok {
			if err := f.connectNew(ctx, name, l); err != nil {
				return fmt.Errorf("sources.%s: %w", name, err)
			}
		}
	}
	return nil
}

// connectNew connects the vehicles that a source lists and that were never connected before:
// one that was disconnected stays so. The others take the names that they are listed by. Vehicles that another source has stay there.
func (f *fleet) connectNew(ctx context.Context, name string, l vehicle.Lister) error {
	listing, cancel := context.WithTimeout(ctx, openTime)
	listed, err := vehicle.Apart(listing, func() ([]vehicle.Vehicle, error) { return l.List(listing) }, func([]vehicle.Vehicle) {})
	cancel()
	if why := f.sources.broken(name, err); why != "" {
		f.log.Error().Str("event", "source.not_opened").Str("source", name).Str("text", why).
			Msg("the source does not list its vehicles: those that are connected already are read")
		return nil
	}
	if err != nil {
		return err
	}
	record := tokens{f.store, name}.name("connected")
	before, err := f.connectedBefore(ctx, record, listed)
	if err != nil {
		return err
	}
	fresh := slices.DeleteFunc(slices.Clone(listed), func(v vehicle.Vehicle) bool { return slices.Contains(before, v.ID) })
	for _, v := range listed {
		if v.Name == "" {
			continue
		}
		if err := f.store.Vehicles.NameVehicle(ctx, name, v.ID, v.Name); err != nil {
			return err
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	_, err = f.connect(ctx, name, func() ([]vehicle.Vehicle, error) { return slices.Clone(fresh), nil })
	if errors.Is(err, webhook.ErrConflict) {
		f.log.Warn().Str("event", "vehicle.claimed").Str("source", name).Err(err).
			Msg("the source's vehicles are another source's: two simulators need two seeds")
		return nil
	}
	if err != nil {
		return err
	}
	for _, v := range fresh {
		before = append(before, v.ID)
	}
	b, err := json.Marshal(before)
	if err != nil {
		return err
	}
	return f.store.Secrets.PutSecret(ctx, record, b)
}

// connectedBefore lists the vehicles of a source that were connected at some start. A record
// that is only a time is from when a source's vehicles came in at its first start alone.
func (f *fleet) connectedBefore(ctx context.Context, record string, listed []vehicle.Vehicle) (before []uuid.UUID, err error) {
	b, err := f.store.Secrets.Secret(ctx, record)
	switch {
	case errors.Is(err, webhook.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if json.Unmarshal(b, &before) == nil {
		return before, nil
	}
	for _, v := range listed {
		before = append(before, v.ID)
	}
	return before, nil
}

// vehicles yields every vehicle, a page at a time.
func vehicles(ctx context.Context, s *store.Store) iter.Seq2[vehicle.Vehicle, error] {
	return func(yield func(vehicle.Vehicle, error) bool) {
		for after := uuid.Nil; ; {
			vs, err := s.Vehicles.Vehicles(ctx, after, pageSize)
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
