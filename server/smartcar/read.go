package smartcar

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook/payload"
)

// The headers of readings.
const (
	headerDataAge    = "sc-data-age"
	headerFetchedAt  = "sc-fetched-at"
	headerUnitSystem = "sc-unit-system"
)

// reads reads vehicles for callers.
type reads struct {
	scheduler Scheduler
	now       func() time.Time
	// readTime is how long SDKs wait for a read.
	readTime time.Duration
}

// path answers GET /v2.0/vehicles/{id}/charge, /battery and /location.
func (r reads) path(p vehicle.Path) handler {
	return func(ctx context.Context, c *call) (reply, error) {
		if err := c.permits(p.Permission()); err != nil {
			return reply{}, err
		}
		snap, err := r.readNow(ctx, c.vehicle.ID, vehicle.PathsOf(p))
		if err != nil {
			return reply{}, accountFault(err)
		}
		body, fault := payload.Body(p, snap, c.units)
		if fault != nil {
			return reply{}, accountFault(fault)
		}
		header := map[string]string{headerFetchedAt: payload.Timestamp(snap.FetchedAt(p))}
		if age := dataAge(snap, p); !age.IsZero() {
			header[headerDataAge] = payload.Timestamp(age)
		}
		if p == vehicle.PathBattery {
			header[headerUnitSystem] = c.units
		}
		return reply{body: body, header: header}, nil
	}
}

// accountFault turns a 401 of the source into the fault of the vehicle's account: to
// the caller a 401 would mean that its own token is not valid, and SDKs would
// refresh it over and over.
func accountFault(err error) error {
	f, ok := errors.AsType[*vehicle.Fault](err)
	if !ok || f.Status != http.StatusUnauthorized {
		return err
	}
	c := *f
	c.Type, c.Code, c.Status, c.DocURL = vehicle.TypeAccount, "AUTHENTICATION_FAILED", http.StatusBadRequest, ""
	c.Resolution = vehicle.ResolveReauthenticate
	return &c
}

func dataAge(s vehicle.Snapshot, p vehicle.Path) time.Time {
	switch p {
	case vehicle.PathCharge:
		return s.Charge.DataAge
	case vehicle.PathBattery:
		return s.Battery.DataAge
	case vehicle.PathLocation:
		return s.Location.DataAge
	}
	return time.Time{}
}

// readNow reads the vehicle, for at most as long as SDKs wait.
func (r reads) readNow(ctx context.Context, id uuid.UUID, paths vehicle.Paths) (vehicle.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, r.readTime)
	defer cancel()
	return r.scheduler.ReadNow(ctx, id, paths)
}

// other answers GET /v2.0/vehicles/{id}/odometer and the others that no delivery
// carries; vehicles of sources that have none answer 501.
func (r reads) other(e vehicle.Detail) handler {
	return func(ctx context.Context, c *call) (reply, error) {
		got, body, err := r.readOther(ctx, c, e)
		if err != nil {
			return reply{}, err
		}
		header := map[string]string{headerFetchedAt: payload.Timestamp(got.FetchedAt)}
		if !got.DataAge.IsZero() {
			header[headerDataAge] = payload.Timestamp(got.DataAge)
		}
		if e == vehicle.DetailOdometer {
			header[headerUnitSystem] = c.units
		}
		return reply{body: body, header: header}, nil
	}
}

// readOther reads an endpoint that the owner allowed, for at most as long as SDKs wait.
func (r reads) readOther(ctx context.Context, c *call, e vehicle.Detail) (vehicle.DetailReading, payload.Value, error) {
	if err := c.permits(e.Permission()); err != nil {
		return vehicle.DetailReading{}, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.readTime)
	defer cancel()
	got, err := r.scheduler.ReadDetail(ctx, c.vehicle.ID, e)
	if err != nil {
		return got, nil, accountFault(err)
	}
	body, fault := payload.DetailBody(e, got, c.units)
	if fault != nil {
		return got, nil, fault
	}
	return got, body, nil
}

// batchOthers reads the other endpoints of a batch, each once, one after the other: whether a
// source has them is known only by asking it. The entries are by name; an error fails
// the whole batch.
func (r reads) batchOthers(ctx context.Context, c *call, names []string) (map[string]payload.Value, error) {
	entries := map[string]payload.Value{}
	for _, n := range names {
		e, ok := vehicle.ParseDetail(n)
		if _, done := entries[n]; !ok || done {
			continue
		}
		got, body, err := r.readOther(ctx, c, e)
		if err == nil {
			entries[n] = payload.DetailEntry(e, got, body, c.units)
			continue
		}
		fault, ok := readFault(err)
		if !ok {
			return nil, err
		}
		entries[n] = failedEntry(c, n, fault)
	}
	return entries, nil
}
