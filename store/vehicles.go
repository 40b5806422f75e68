package store

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// PutVehicle adds a vehicle, or updates it keeping its ConnectedAt and the operator's name for
// it; its Name is what its source calls it. Its schedules
// follow when its source changes, and what it has spent counts anew. A vehicle that is just being removed is
// webhook.ErrConflict.
func (s *VehicleRecords) PutVehicle(ctx context.Context, v vehicle.Vehicle) error {
	if v.ID == uuid.Nil {
		return &webhook.Invalid{Field: "id", Value: v.ID.String(), Allowed: "any other UUID"}
	}
	if err := checkSource(v.Source); err != nil {
		return err
	}
	return s.update(ctx, func(t *writeTx) error {
		rec := vehicleRecord{Vehicle: v}
		moved, was := false, ""
		if t.has(bucketVehicles, v.ID[:]) {
			old, err := t.vehicleRecord(v.ID)
			if err != nil {
				return err
			}
			if old.Removing {
				return named("vehicle", v.ID, webhook.ErrConflict)
			}
			rec.ConnectedAt, rec.GivenName, moved = old.ConnectedAt, old.GivenName, old.Source != v.Source
			was = old.Source
		}
		if rec.ConnectedAt.IsZero() {
			rec.ConnectedAt = t.now
		}
		b, err := encode(rec)
		if err != nil {
			return err
		}
		if moved {
			if err := moveSchedules(t, v.ID, v.Source); err != nil {
				return err
			}
			if err := forgetSpent(t, v.ID, was); err != nil {
				return err
			}
		}
		if was != "" {
			t.change.vehicle(was, -1)
		} else {
			t.change.fares(v.ID, nil, &vehicle.Status{})
		}
		t.change.vehicle(v.Source, 1)
		return t.put(bucketVehicles, v.ID[:], b)
	})
}

// RenameVehicle sets what the operator calls a vehicle, and returns it. An empty name gives its
// own back. Two vehicles may have one name. An unknown vehicle is webhook.ErrNotFound.
func (s *VehicleRecords) RenameVehicle(ctx context.Context, id uuid.UUID, name string) (vehicle.Vehicle, error) {
	if why := vehicle.WhyNoName(name); why != "" && name != "" {
		return vehicle.Vehicle{}, &webhook.Invalid{Field: "name", Value: name, Why: why, Allowed: vehicle.NameForm}
	}
	return updated(ctx, s.core, func(t *writeTx) (vehicle.Vehicle, error) {
		rec, err := t.vehicleRecord(id)
		if err == nil && rec.Removing {
			err = noVehicle(id)
		}
		if err != nil {
			return vehicle.Vehicle{}, err
		}
		rec.GivenName = name
		return rec.shown(), t.putRecord(bucketVehicles, id[:], rec)
	})
}

// NameVehicle sets what the source calls a vehicle. A vehicle that is not connected through the
// source stays as it is.
func (s *VehicleRecords) NameVehicle(ctx context.Context, source string, id uuid.UUID, name string) error {
	return s.update(ctx, func(t *writeTx) error {
		rec, err := t.vehicleRecord(id)
		switch {
		case errors.Is(err, webhook.ErrNotFound) || err == nil && (rec.Removing || rec.Source != source || rec.Name == name):
			return nil
		case err != nil:
			return err
		}
		rec.Name = name
		return t.putRecord(bucketVehicles, id[:], rec)
	})
}

// forgetSpent sets what a vehicle has spent to nought: it was another source's.
func forgetSpent(t *writeTx, id uuid.UUID, source string) error {
	st, err := t.status(id)
	if err != nil || st.Spent == (vehicle.Spending{}) {
		return err
	}
	t.change.spend(source, st.Spent, vehicle.Spending{})
	st.Spent = vehicle.Spending{}
	b, err := encode(st)
	if err != nil {
		return err
	}
	return t.put(bucketVehicleState, id[:], b)
}

// moveSchedules moves a vehicle's schedules to another source's part of the due queue.
func moveSchedules(t *writeTx, id uuid.UUID, source string) error {
	keys, err := t.subscriptionsOf(id)
	if err != nil {
		return err
	}
	for _, key := range keys {
		old, err := t.schedule(key)
		if err != nil {
			return err
		}
		schedule := old
		schedule.Source = source
		if err := t.putSchedule(&old, schedule); err != nil {
			return err
		}
	}
	return nil
}

// Vehicle returns a vehicle, or an error wrapping webhook.ErrNotFound.
func (s *VehicleRecords) Vehicle(ctx context.Context, id uuid.UUID) (vehicle.Vehicle, error) {
	return viewed(ctx, s.core, func(r reader) (vehicle.Vehicle, error) { return r.vehicle(id) })
}

// Vehicles lists vehicles by id, those greater than after, at most limit; a limit
// of 0 or less means 100.
func (s *VehicleRecords) Vehicles(ctx context.Context, after uuid.UUID, limit int) ([]vehicle.Vehicle, error) {
	limit = pageLimit(limit)
	var vs []vehicle.Vehicle
	err := s.walk(ctx, bucketVehicles, nil, after[:], func(_ reader, k, b []byte) (bool, error) {
		var rec vehicleRecord
		if err := decode(b, &rec); err != nil {
			return false, named("vehicle", uuid.UUID(k), err)
		}
		if !rec.Removing {
			vs = append(vs, rec.shown())
		}
		return len(vs) < limit, nil
	})
	if err != nil {
		return nil, err
	}
	return vs, nil
}

// VehicleStatus returns what is known of a vehicle from its readings; the zero
// Status before the first. An unknown vehicle is webhook.ErrNotFound.
func (s *VehicleRecords) VehicleStatus(ctx context.Context, id uuid.UUID) (vehicle.Status, error) {
	view, err := s.VehicleView(ctx, id)
	return view.Status, err
}

// VehicleView returns a vehicle with its status, both as they stand in one transaction,
// without its schedules. An unknown vehicle is webhook.ErrNotFound.
func (s *VehicleRecords) VehicleView(ctx context.Context, id uuid.UUID) (webhook.VehicleView, error) {
	return viewed(ctx, s.core, func(r reader) (webhook.VehicleView, error) { return r.vehicleView(id) })
}

// vehicleView reads a vehicle that is not being removed, with its status.
func (r reader) vehicleView(id uuid.UUID) (view webhook.VehicleView, err error) {
	if view.Vehicle, err = r.vehicle(id); err != nil {
		return view, err
	}
	view.Status, err = r.status(id)
	return view, err
}
