package simulator

import (
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// plan is a vehicle in a month, as it is paid for.
type plan struct {
	vehicle uuid.UUID
	month   string // 2026-05
}

// countReads books n path reads of a vehicle.
func (s *Server) countReads(id uuid.UUID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads[id] += uint64(n)
}

// limited returns the fault of the limit that n path reads of a vehicle would break, and
// books them when there is none. A vehicle that is asked for too soon is told when it
// may be asked for again; nothing else names a time.
func (s *Server) limited(id uuid.UUID, n int, now time.Time) *vehicle.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.Bucket > 0 {
		if !s.filled.IsZero() {
			s.bucket = min(float64(s.opts.Bucket), s.bucket+float64(now.Sub(s.filled))/float64(s.opts.Refill))
		}
		s.filled = now
		if s.bucket < float64(n) {
			return Row(vehicle.TypeRateLimit, "SMARTCAR_API")
		}
	}
	if left := s.opts.VehicleEvery - now.Sub(s.asked[id]); s.opts.VehicleEvery > 0 && left > 0 {
		f := Row(vehicle.TypeRateLimit, "VEHICLE")
		f.RetryAfter = left
		return f
	}
	month := plan{id, now.UTC().Format("2006-01")}
	if s.opts.Plan > 0 && s.spent[month]+n > s.opts.Plan {
		return Row(vehicle.TypeBilling, "VEHICLE_REQUEST_LIMIT")
	}
	s.bucket -= float64(n)
	s.asked[id] = now
	s.spent[month] += n
	return nil
}
