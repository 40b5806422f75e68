package cadence

import (
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Observe takes the answers of a read into a vehicle's status and reports whether the plug state
// changed. Paths that were not asked for stay as they are.
//
// The first known state is no change. A known plug changes the state only if its time (data age,
// else fetched-at) is later than that of the newest observation of the current state; so an old
// cached answer leaves the state alone. An unknown plug changes nothing.
//
// Restricted follows the last answer for /charge, or for the other paths where /charge was not
// asked for. A fault without any answer (network) leaves it.
func Observe(st vehicle.Status, s vehicle.Snapshot, now time.Time) (vehicle.Status, bool) {
	st.Take(s)
	if s.Asked() != 0 {
		st.ReadAt = now
	}
	st.Restricted = restricted(st, s)
	if !s.Charge.Asked() {
		return st, false
	}
	state := vehicle.StateOf(s.Charge)
	if state == vehicle.StateUnknown {
		return st, false
	}
	fetched := s.Charge.FetchedAt
	// The present bounds an observation's time: a vehicle's clock that runs ahead would keep
	// later observations out, and so would this machine's clock before it went back.
	at := earlier(s.Charge.ObservedAt(), fetched)
	if st.ObservedAt.After(now) {
		st.ObservedAt = time.Time{}
	}
	if st.SeenAt.After(now) {
		st.SeenAt = time.Time{}
	}
	st.SeenAt = later(st.SeenAt, fetched)
	switch {
	case st.State == vehicle.StateUnknown:
		st.State, st.ObservedAt, st.Since = state, at, fetched
	case state == st.State:
		st.ObservedAt = later(st.ObservedAt, at)
	case at.After(st.ObservedAt):
		st.State, st.ObservedAt, st.Since = state, at, fetched
		return st, true
	}
	return st, false
}

// restricted reports whether the vehicle may not be read, after an answer that st has in Last.
// The answer for /charge decides. Without one, another path's value says that the account can
// be read, and another path's fault that it cannot, unless the owner kept back that path alone.
func restricted(st vehicle.Status, s vehicle.Snapshot) bool {
	if s.Charge.Asked() {
		if f := s.Charge.Fault; f != nil && f.Network {
			return st.Restricted
		}
		return s.Charge.Fault != nil && s.Charge.Fault.Restricts()
	}
	charge, is := st.Last.Charge, st.Restricted
	for p := range s.Asked().All() {
		switch f := s.Fault(p); {
		case f == nil:
			return st.Restricted && charge.Fault != nil && charge.Fault.Type == vehicle.TypePermission
		case !f.Network && (f.Type != vehicle.TypePermission || !charge.OK):
			is = f.Restricts()
		}
	}
	return is
}

// happened takes the charging state of a read into a vehicle's status, and returns the event in
// it, nil for none.
//
// The first known charging state is no event. An unknown one changes nothing; the next known one
// is compared with the last known one, however long ago that was. A known one counts only if
// its time is later than that of the newest observation of the last; so an old cached answer
// makes no event.
func happened(id uuid.UUID, st vehicle.Status, s vehicle.Snapshot, now time.Time) (vehicle.Status, *webhook.Event) {
	state := vehicle.ChargeStateOf(s.Charge)
	if state == "" {
		return st, nil
	}
	at := earlier(s.Charge.ObservedAt(), s.Charge.FetchedAt)
	if st.ChargeObservedAt.After(now) {
		st.ChargeObservedAt = time.Time{}
	}
	before := st.Charge
	switch {
	case before == state:
		st.ChargeObservedAt = later(st.ChargeObservedAt, at)
		return st, nil
	case before != "" && !at.After(st.ChargeObservedAt):
		return st, nil
	}
	st.Charge, st.ChargeObservedAt = state, at
	if t := webhook.EventOf(before, state); t != "" {
		return st, webhook.NewEvent(id, t, at)
	}
	return st, nil
}

// Effective returns the state whose cadence applies at now, StatePluggedIn or
// StateUnplugged: the last known state, but unplugged while none is known, while
// the vehicle is restricted, and once the plug has been unknown for unknownAfter.
func Effective(st vehicle.Status, now time.Time, unknownAfter time.Duration) vehicle.State {
	if st.State != vehicle.StatePluggedIn || st.Restricted || now.Sub(st.SeenAt) >= unknownAfter {
		return vehicle.StateUnplugged
	}
	return vehicle.StatePluggedIn
}

// Fresh returns the paths that need not be asked for: their last reading is younger than the
// window, and is a value or a fault that is permanent.
func Fresh(last vehicle.Snapshot, now time.Time, window time.Duration) vehicle.Paths {
	var fresh vehicle.Paths
	for p := range last.Asked().All() {
		age := now.Sub(last.FetchedAt(p))
		if f := last.Fault(p); age >= 0 && age < window && (f == nil || !f.Temporary()) {
			fresh |= vehicle.PathsOf(p)
		}
	}
	return fresh
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
