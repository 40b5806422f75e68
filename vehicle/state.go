package vehicle

import "fmt"

// Plug is the plug as a source tells it. It is three-valued: a missing or
// unrecognised value is unknown, never unplugged.
type Plug uint8

// The values of a plug.
const (
	PlugUnknown Plug = iota
	PluggedIn
	Unplugged
)

var plugNames = [...]string{"unknown", "plugged_in", "unplugged"}

// String returns "unknown", "plugged_in" or "unplugged".
func (p Plug) String() string {
	if int(p) < len(plugNames) {
		return plugNames[p]
	}
	return fmt.Sprintf("Plug(%d)", uint8(p))
}

// MarshalText writes the plug's name.
func (p Plug) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a plug's name and refuses any other text.
func (p *Plug) UnmarshalText(b []byte) error {
	for i, n := range plugNames {
		if string(b) == n {
			*p = Plug(i)
			return nil
		}
	}
	return fmt.Errorf("plug %q: want unknown, plugged_in or unplugged", b)
}

// State is the plug state that chooses the cadence.
type State uint8

// The states of a vehicle.
const (
	StateUnknown State = iota
	StateUnplugged
	StatePluggedIn
)

var stateNames = [...]string{"unknown", "unplugged", "plugged_in"}

// String returns "unknown", "unplugged" or "plugged_in".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name and refuses any other text.
func (s *State) UnmarshalText(b []byte) error {
	for i, n := range stateNames {
		if string(b) == n {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("vehicle state %q: want unknown, unplugged or plugged_in", b)
}

// StateOf returns the state a charge reading tells. It is total: anything but a
// value with a known plug is StateUnknown. A vehicle that is charging is plugged in
// whatever its plug says; a vehicle that is not charging proves nothing.
func StateOf(r Reading[Charge]) State {
	switch {
	case !r.OK:
		return StateUnknown
	case r.Value.Plug == PluggedIn, r.Value.State == Charging:
		return StatePluggedIn
	case r.Value.Plug == Unplugged:
		return StateUnplugged
	}
	return StateUnknown
}
