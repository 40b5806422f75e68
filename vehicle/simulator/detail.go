package simulator

import (
	"math"
	"net/http"
	"slices"
	"time"

	"plugbeat/vehicle"
)

// offered lists the permissions that an owner can give over HTTP: those of vehicles in this
// process, and those of the details.
func offered() grant {
	ps := permissions()
	for e := range vehicle.AllDetails() {
		if !slices.Contains(ps, e.Permission()) {
			ps = append(ps, e.Permission())
		}
	}
	return ps
}

// odometer is how far vehicle number i has gone at the instant, in kilometres: some thousands
// when its life begins, and 40 more each day.
func (f *Fleet) odometer(i int, at time.Time) float64 {
	days := max(0, at.Sub(f.settings.Start).Hours()/f.settings.Hour.Hours()/24)
	return math.Round(10*(5000+40_000*draw(f.settings.Seed, i, 0, 'o')+40*days)) / 10
}

// detail serves the endpoint of a detail.
func (s *Server) detail(e vehicle.Detail) func(*answer, *http.Request, int) {
	return func(a *answer, r *http.Request, i int) {
		s.counts.read(s.fleet.vehicles[i].ID, 1)
		inject := s.injected.of(i, nil)
		if s.interrupted(a, r, inject, i, 1) {
			return
		}
		var f *vehicle.Fault
		switch {
		case !a.grant.may(e.Permission()):
			f = Row(vehicle.TypePermission, "")
			f.Description = "Not permitted to read " + e.String() + "."
		case inject != nil:
			f = inject.Fault
		}
		if f != nil {
			a.fault(f)
			return
		}
		h := a.w.Header()
		h["sc-fetched-at"], h["sc-data-age"] = []string{stamp(a.now)}, []string{stamp(a.now)}
		if e == vehicle.DetailOdometer {
			h["sc-unit-system"] = []string{metric}
		}
		a.ok(s.detailBody(e, i, a))
	}
}

func (s *Server) detailBody(e vehicle.Detail, i int, a *answer) any {
	v := s.fleet.vehicles[i]
	switch e {
	case vehicle.DetailOdometer:
		return map[string]any{"distance": s.fleet.odometer(i, a.now)}
	case vehicle.DetailVIN:
		return map[string]any{"vin": v.VIN}
	case vehicle.DetailBatteryCapacity:
		return map[string]any{"capacity": v.Capacity}
	case vehicle.DetailNominalCapacity:
		return map[string]any{
			"availableCapacities": []any{map[string]any{"capacity": v.Capacity, "description": nil}},
			"capacity":            map[string]any{"nominal": v.Capacity, "source": "SMARTCAR"},
			"url":                 nil,
		}
	}
	return map[string]any{"limit": v.Limit}
}
