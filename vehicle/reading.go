package vehicle

import (
	"encoding/json"
	"time"
)

// Reading is what a source returned for one path: a value with its age, or a
// fault. The zero Reading means the path was not asked for.
type Reading[T any] struct {
	// Value is meaningful only when OK.
	Value T `json:"value"`
	// OK is true when the source returned a value. A missing value is never a
	// zero: it is OK false with a Fault.
	OK bool `json:"ok"`
	// DataAge is the instant the vehicle recorded the value; zero means unknown.
	DataAge time.Time `json:"data_age"`
	// FetchedAt is the instant the value or fault was obtained from the source.
	FetchedAt time.Time `json:"fetched_at"`
	// Fault says why there is no value; nil when OK or not asked for.
	Fault *Fault `json:"fault,omitempty"`
}

// MarshalJSON leaves the value out where there is none, so that nobody reads a
// zero for it.
func (r Reading[T]) MarshalJSON() ([]byte, error) {
	type plain Reading[T]
	if r.OK {
		return json.Marshal(plain(r))
	}
	return json.Marshal(struct {
		OK        bool      `json:"ok"`
		DataAge   time.Time `json:"data_age"`
		FetchedAt time.Time `json:"fetched_at"`
		Fault     *Fault    `json:"fault,omitempty"`
	}{r.OK, r.DataAge, r.FetchedAt, r.Fault})
}

// Asked reports whether the path was asked for at all.
func (r Reading[T]) Asked() bool { return r.OK || r.Fault != nil }

// ObservedAt is the time the reading speaks of: its data age, else when it was
// fetched.
func (r Reading[T]) ObservedAt() time.Time {
	if !r.DataAge.IsZero() {
		return r.DataAge
	}
	return r.FetchedAt
}

// Charge is the body of /charge.
type Charge struct {
	// State is empty where the source tells none, or one that is not known.
	State ChargeState `json:"state"`
	// Plug is PluggedIn or Unplugged in an OK reading; a source that cannot
	// tell the plug returns a fault instead of a guess.
	Plug Plug `json:"plug"`
}

// ChargeState is the charging state as Smartcar v2.0 spells it.
type ChargeState string

// The charging states of Smartcar v2.0.
const (
	Charging     ChargeState = "CHARGING"
	FullyCharged ChargeState = "FULLY_CHARGED"
	NotCharging  ChargeState = "NOT_CHARGING"
)

// ChargeStateOf returns the charging state that a charge reading tells, empty where it
// tells none. It is total. A vehicle that is not plugged in is not charging, whether or not
// its source says so.
func ChargeStateOf(r Reading[Charge]) ChargeState {
	if !r.OK {
		return ""
	}
	switch s := r.Value.State; s {
	case Charging, FullyCharged, NotCharging:
		return s
	}
	if r.Value.Plug == Unplugged {
		return NotCharging
	}
	return ""
}

// Battery is the body of /battery.
type Battery struct {
	// PercentRemaining is a fraction, 0 to 1.
	PercentRemaining float64 `json:"percent_remaining"`
	// RangeKm is the remaining range in kilometres; nil where the source has none.
	RangeKm *float64 `json:"range_km,omitempty"`
}

// Location is the body of /location, in decimal degrees, WGS84.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// Snapshot is one reading of a vehicle: per path a value with its age, or a fault.
type Snapshot struct {
	// RequestID is the id of the upstream request that filled the snapshot, or
	// one made here where the source gave none; a UUID in text.
	RequestID string            `json:"request_id,omitempty"`
	Charge    Reading[Charge]   `json:"charge,omitzero"`
	Battery   Reading[Battery]  `json:"battery,omitzero"`
	Location  Reading[Location] `json:"location,omitzero"`
	// Held is why the source was not asked although somebody asked for a new reading. The
	// readings are then older ones. A stored snapshot has none.
	Held *Fault `json:"held,omitempty"`
}

// Fault returns the fault that stands at p, nil where there is a value or the
// path was not asked for.
func (s Snapshot) Fault(p Path) *Fault {
	switch p {
	case PathCharge:
		return s.Charge.Fault
	case PathBattery:
		return s.Battery.Fault
	case PathLocation:
		return s.Location.Fault
	}
	return nil
}

// Asked returns the paths that were asked for.
func (s Snapshot) Asked() Paths {
	var set Paths
	if s.Charge.Asked() {
		set |= 1 << PathCharge
	}
	if s.Battery.Asked() {
		set |= 1 << PathBattery
	}
	if s.Location.Asked() {
		set |= 1 << PathLocation
	}
	return set
}

// FetchedAt returns when the path was fetched; zero when it was not asked for.
func (s Snapshot) FetchedAt(p Path) time.Time {
	switch p {
	case PathCharge:
		return s.Charge.FetchedAt
	case PathBattery:
		return s.Battery.FetchedAt
	case PathLocation:
		return s.Location.FetchedAt
	}
	return time.Time{}
}

// Fail sets the fault of every path in the set, fetched at now.
func (s *Snapshot) Fail(paths Paths, f *Fault, now time.Time) {
	if paths.Has(PathCharge) {
		s.Charge = Reading[Charge]{Fault: f, FetchedAt: now}
	}
	if paths.Has(PathBattery) {
		s.Battery = Reading[Battery]{Fault: f, FetchedAt: now}
	}
	if paths.Has(PathLocation) {
		s.Location = Reading[Location]{Fault: f, FetchedAt: now}
	}
}

// Merge returns s with every path that newer was asked for taken from newer.
func (s Snapshot) Merge(newer Snapshot) Snapshot {
	if newer.RequestID != "" {
		s.RequestID = newer.RequestID
	}
	if newer.Charge.Asked() {
		s.Charge = newer.Charge
	}
	if newer.Battery.Asked() {
		s.Battery = newer.Battery
	}
	if newer.Location.Asked() {
		s.Location = newer.Location
	}
	return s
}
