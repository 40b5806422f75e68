package simulator

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// plan is the key of what is paid for: a vehicle in a month.
type plan struct {
	vehicle uuid.UUID
	month   string // 2026-05
}

// counts counts what the server answered, and what its limits leave.
type counts struct {
	opts ServerOptions

	mu       sync.Mutex
	reads    map[uuid.UUID]uint64
	requests map[string]uint64
	bucket   float64
	filled   time.Time
	asked    map[uuid.UUID]time.Time // when a vehicle's data was last asked for
	spent    map[plan]int
}

// request counts a request to a route.
func (c *counts) request(pattern string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests[pattern]++
}

// read counts n path reads of a vehicle.
func (c *counts) read(id uuid.UUID, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads[id] += uint64(n)
}

// limited returns the fault of the limit that n path reads of a vehicle exceed. Within the limits
// it books them and returns nil. Only the fault of VehicleEvery has a retry-after.
func (c *counts) limited(id uuid.UUID, n int, now time.Time) *vehicle.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opts.Bucket > 0 {
		if !c.filled.IsZero() {
			c.bucket = min(float64(c.opts.Bucket), c.bucket+float64(now.Sub(c.filled))/float64(c.opts.Refill))
		}
		c.filled = now
		if c.bucket < float64(n) {
			return Row(vehicle.TypeRateLimit, "SMARTCAR_API")
		}
	}
	if left := c.opts.VehicleEvery - now.Sub(c.asked[id]); c.opts.VehicleEvery > 0 && left > 0 {
		f := Row(vehicle.TypeRateLimit, "VEHICLE")
		f.RetryAfter = left
		return f
	}
	month := plan{id, now.UTC().Format("2006-01")}
	if c.opts.Plan > 0 && c.spent[month]+n > c.opts.Plan {
		return Row(vehicle.TypeBilling, "VEHICLE_REQUEST_LIMIT")
	}
	c.bucket -= float64(n)
	c.asked[id] = now
	c.spent[month] += n
	return nil
}
