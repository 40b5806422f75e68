package vehicle

import "time"

// Trouble is how much a vehicle needs a person to look at it.
type Trouble uint8

// The troubles of a vehicle, the worst last.
const (
	// NoTrouble is also that of a vehicle that sleeps or was never read.
	NoTrouble Trouble = iota
	// Unread: the last reading of a path that is still read was a fault.
	Unread
	// NeedsOwner: the account, the permission or the plan keeps the vehicle from being
	// read, or the vendor says that somebody has to act.
	NeedsOwner
)

// stillRead is how long the last reading of a path counts beside newer readings of other paths.
// A path whose last reading is older is no longer read, and its fault is no trouble.
const stillRead = 24 * time.Hour

// Trouble says whether the vehicle's readings fail, whichever paths are read.
func (s Status) Trouble() Trouble {
	t, _ := s.trouble()
	return t
}

// TroubleFault returns the fault that makes the vehicle's trouble; nil where there is none,
// or none is known.
func (s Status) TroubleFault() *Fault {
	_, f := s.trouble()
	return f
}

func (s Status) trouble() (worst Trouble, why *Fault) {
	var newest, value time.Time
	for p := range AllPaths.All() {
		at := s.Last.FetchedAt(p)
		if at.After(newest) {
			newest = at
		}
		if s.Last.Asked().Has(p) && s.Last.Fault(p) == nil && at.After(value) {
			value = at
		}
	}
	silent := false
	for p := range AllPaths.All() {
		f, at := s.Last.Fault(p), s.Last.FetchedAt(p)
		if f == nil || newest.Sub(at) > stillRead {
			continue
		}
		// What an owner did not allow, or a model does not have, concerns that path alone
		// while another one has values.
		alone := f.Type == TypePermission || f.Type == TypeCompatibility
		if alone && !value.IsZero() && at.Sub(value) <= stillRead {
			continue
		}
		silent = silent || f.Network
		t := NoTrouble
		switch {
		case f.NeedsPerson():
			t = NeedsOwner
		case f.Type != TypeVehicleState:
			t = Unread
		}
		if t > worst {
			worst, why = t, f
		}
	}
	if s.Restricted && (silent || newest.IsZero()) {
		worst = NeedsOwner // no answer from the network says nothing about the access
	}
	return worst, why
}

// Census counts vehicles by how they fare.
type Census struct {
	Total int
	// States counts by plug state, indexed by [State].
	States [3]int
	// Unread and NeedsOwner count the vehicles of those troubles.
	Unread, NeedsOwner int
}

// Count adds n vehicles, which may be negative, that fare as the status says.
func (c *Census) Count(s Status, n int) {
	c.Total += n
	if int(s.State) < len(c.States) {
		c.States[s.State] += n
	}
	switch s.Trouble() {
	case NoTrouble:
	case Unread:
		c.Unread += n
	case NeedsOwner:
		c.NeedsOwner += n
	}
}

// Add adds what another census counted.
func (c *Census) Add(o Census) {
	c.Total += o.Total
	for i, n := range o.States {
		c.States[i] += n
	}
	c.Unread += o.Unread
	c.NeedsOwner += o.NeedsOwner
}
