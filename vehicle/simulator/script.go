package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"plugbeat/vehicle"
)

// Action is what an event does to a vehicle.
type Action string

// The actions of a script.
const (
	// Plug and Unplug put the cable in and out. A vehicle with such an event in its script
	// stands still and does nothing by itself. Before its first such event it is in the
	// opposite state.
	Plug   Action = "plug"
	Unplug Action = "unplug"
	// Fail answers reads with a fault, from At until Until.
	Fail Action = "fail"
)

// Event forces something to happen to one vehicle.
type Event struct {
	// Vehicle is the vehicle's number, counted from 0.
	Vehicle int
	// At is when, in real time since the fleet's start.
	At time.Duration
	// Until ends Fail; zero means never.
	Until time.Duration
	// Do is what happens.
	Do Action
	// Fault is what Fail answers; nil is the account's failed login,
	// CONNECTED_SERVICES_ACCOUNT:AUTHENTICATION_FAILED.
	Fault *vehicle.Fault
	// Paths are the paths that fail; zero means all.
	Paths vehicle.Paths
}

// Script adds events to the fleet's script. An event may lie in the past. The error names the event,
// the value and what is allowed, and then no event was added.
func (f *Fleet) Script(events ...Event) error {
	for n, e := range events {
		switch {
		case e.Vehicle < 0 || e.Vehicle >= len(f.vehicles):
			return fmt.Errorf("simulator: event %d: vehicle %d: allowed: 0 to %d", n, e.Vehicle, len(f.vehicles)-1)
		case e.Do != Plug && e.Do != Unplug && e.Do != Fail:
			return fmt.Errorf("simulator: event %d: action %q: allowed: plug, unplug, fail", n, e.Do)
		case e.At < 0:
			return fmt.Errorf("simulator: event %d: at %v: allowed: 0 or more", n, e.At)
		case e.Until != 0 && e.Until <= e.At:
			return fmt.Errorf("simulator: event %d: until %v: allowed: later than %v, or 0 for ever", n, e.Until, e.At)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		// A new slice each time: readers keep the old one.
		all := append(slices.Clone(f.script[e.Vehicle]), e)
		slices.SortStableFunc(all, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
		f.script[e.Vehicle] = all
	}
	return nil
}

// plugs returns the plug events of vehicle i, oldest first.
func (f *Fleet) plugs(i int) []Event {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var plugs []Event
	for _, e := range f.script[i] {
		if e.Do == Plug || e.Do == Unplug {
			plugs = append(plugs, e)
		}
	}
	return plugs
}

// FaultAt returns the fault that the script has for a path of vehicle number i at now, nil for
// none. Of several events the latest counts.
func (f *Fleet) FaultAt(i int, p vehicle.Path, now time.Time) *vehicle.Fault {
	f.mu.RLock()
	events := f.script[i]
	f.mu.RUnlock()
	since := now.Sub(f.settings.Start)
	var found *vehicle.Fault
	for _, e := range events {
		if e.Do != Fail || since < e.At || e.Until != 0 && since >= e.Until || e.Paths != 0 && !e.Paths.Has(p) {
			continue
		}
		if found = e.Fault; found == nil {
			found = Row(vehicle.TypeAccount, "AUTHENTICATION_FAILED")
		}
	}
	if found == nil {
		return nil
	}
	copied := *found
	return &copied
}
