package vehicle

// Trouble is how much of a person's eye a vehicle needs.
type Trouble uint8

// The troubles of a vehicle, the worst last.
const (
	// NoTrouble is also that of a vehicle that sleeps or was never read.
	NoTrouble Trouble = iota
	// Unread is the trouble of a vehicle whose last answer for /charge was a fault.
	Unread
	// NeedsOwner is that of a vehicle whose account, permission or plan does not let
	// it be read, or whose vendor says that somebody must do something.
	NeedsOwner
)

// Trouble says whether the vehicle's readings fail.
func (s Status) Trouble() Trouble {
	f := s.Last.Charge.Fault
	switch {
	case s.Restricted, f != nil && f.NeedsPerson():
		return NeedsOwner
	case f != nil && f.Type != TypeVehicleState:
		return Unread
	}
	return NoTrouble
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
