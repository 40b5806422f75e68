package server

import (
	"context"

	"plugbeat/vehicle"
	"plugbeat/webhook/payload"
)

// extra answers GET /v2.0/vehicles/{id}/odometer and the others that no delivery
// carries; vehicles of sources that have none answer 501.
func (s *Server) extra(e vehicle.Detail) v2Handler {
	return func(ctx context.Context, c *call) (reply, error) {
		r, body, err := s.readExtra(ctx, c, e)
		if err != nil {
			return reply{}, err
		}
		header := map[string]string{headerFetchedAt: payload.Timestamp(r.FetchedAt)}
		if !r.DataAge.IsZero() {
			header[headerDataAge] = payload.Timestamp(r.DataAge)
		}
		if e == vehicle.DetailOdometer {
			header[headerUnitSystem] = c.units
		}
		return reply{body: body, header: header}, nil
	}
}

// readExtra reads an extra that the owner allowed, for at most as long as SDKs wait.
func (s *Server) readExtra(ctx context.Context, c *call, e vehicle.Detail) (vehicle.DetailReading, payload.Value, error) {
	if err := c.permits(e.Permission()); err != nil {
		return vehicle.DetailReading{}, payload.Value{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, ReadTimeout)
	defer cancel()
	r, err := s.Scheduler.ReadDetail(ctx, c.car.ID, e)
	if err != nil {
		return r, payload.Value{}, accountFault(err)
	}
	body, fault := payload.DetailBody(e, r, c.units)
	if fault != nil {
		return r, payload.Value{}, fault
	}
	return r, body, nil
}

// batchExtras reads the extras of a batch, each once, one after the other: whether a
// source has them is known only by asking it. The entries are by name; an error fails
// the whole batch.
func (s *Server) batchExtras(ctx context.Context, c *call, names []string) (map[string]payload.Value, error) {
	entries := map[string]payload.Value{}
	for _, n := range names {
		e, ok := vehicle.ParseDetail(n)
		if _, done := entries[n]; !ok || done {
			continue
		}
		r, body, err := s.readExtra(ctx, c, e)
		if err == nil {
			entries[n] = payload.DetailEntry(e, r, body, c.units)
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
