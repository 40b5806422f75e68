// Package vehicle holds vehicles: their identity, the readings a source returns
// for them, the plug state those readings tell, and the faults that stand where a
// value is missing. It is also the seam for sources.
//
// It is a leaf: it imports nothing of plugbeat. It guarantees that a snapshot
// says per path either a value with its age or a fault, that [StateOf] is total,
// and that every fault is either temporary or not.
//
// # Writing a source
//
// A source is a package below this folder and one line in package vehicle/all. Its
// [Kind] names it for the config. Its [Settings], a struct, are its section of the
// config, and open it. What they open is a [Source]: it reads one vehicle.
//
// What only some sources have is an optional interface. A source implements those it
// has and leaves out the others:
//
//   - [Pusher]: it is told of changes, by a broker or a file that is written;
//   - [Lister]: it knows its vehicles by itself, as a list in the config does;
//   - [Connector]: its vehicles belong to accounts, whose owners sign in at a vendor;
//   - [Metering]: somebody counts what it reads;
//   - [Intake]: it is sent documents over HTTP;
//   - [Reporter]: it knows by itself what is wrong with its far side;
//   - [Inspector]: it shows what it hears, and what its maps made of that;
//   - [DetailSource]: it reads more of a vehicle than deliveries carry;
//   - [Resumer]: an exchange of tokens may have been cut off by a crash;
//   - [Closer]: it has to finish something at a stop;
//   - [Endpoints], of its settings: it makes requests, whose far ends doctor looks at;
//   - [Discoverer], of its settings: it can ask its far side what there is to map;
//   - [Rehearser], of its settings: its maps can be tried out over a recorded log.
//
// Package vehicle/sourcetest tests a source, and docs/dev/adding-a-source.md is a walk through
// all of it.
package vehicle

import (
	"time"

	"github.com/google/uuid"
)

// Vehicle is one car, known through one source.
type Vehicle struct {
	// ID names the vehicle in plugbeat, its API and its payloads. Vehicles of a
	// Smartcar source keep the vendor's id.
	ID uuid.UUID `json:"id"`
	// Source is the name of the configured source that reads this vehicle, 1 to 16
	// characters of a-z, 0-9 and '-'.
	Source string `json:"source"`
	// Name is what people call the vehicle; two vehicles may share one. A source sets what it calls
	// the vehicle, or nothing. The store gives the operator's name, else [Vehicle.OwnName].
	Name string `json:"name,omitempty"`
	// Native is the id the source itself uses.
	Native string `json:"native"`
	// Connection names the account at the source whose credentials read this
	// vehicle; empty where a source needs none.
	Connection string `json:"connection,omitempty"`
	// Others are further accounts at the source that reach the vehicle, the newest first. They
	// read it where Connection does not any more.
	Others []string `json:"others,omitempty"`
	// Make is the brand in upper case, as Smartcar spells it ("TESLA").
	Make string `json:"make"`
	// Model is the model's name.
	Model string `json:"model"`
	// Year is the model year; 0 means unknown.
	Year int `json:"year"`
	// VIN is the vehicle identification number; empty where unknown.
	VIN string `json:"vin,omitempty"`
	// Mode is "live" or "simulated" and goes into every payload.
	Mode string `json:"mode"`
	// Permissions are Smartcar permission names ("read_charge"); empty means
	// the source does not restrict reading.
	Permissions []string `json:"permissions,omitempty"`
	// ConnectedAt is when plugbeat first knew the vehicle, UTC.
	ConnectedAt time.Time `json:"connected_at"`
	// Trouble is why a source that just listed the vehicle could not tell all of it; nil
	// when it could. It is not stored.
	Trouble *Fault `json:"-"`
}

// The modes of a vehicle and of a payload.
const (
	ModeLive      = "live"
	ModeSimulated = "simulated"
	ModeTest      = "test"
)

// Ref is what a source needs to find a vehicle.
type Ref struct {
	ID         uuid.UUID
	Native     string
	Connection string
	Others     []string
	Make       string
}

// Ref returns the reference a source reads this vehicle by.
func (v Vehicle) Ref() Ref {
	return Ref{ID: v.ID, Native: v.Native, Connection: v.Connection, Others: v.Others, Make: v.Make}
}

// Connections returns the accounts that reach the vehicle, the one that reads it first.
func (v Vehicle) Connections() []string {
	if v.Connection == "" {
		return nil
	}
	return append([]string{v.Connection}, v.Others...)
}

// Status is what is known of a vehicle from all its readings so far. It is stored,
// and every change of it is committed together with what it caused.
type Status struct {
	// State is the last known plug state; StateUnknown until one was seen.
	State State `json:"state"`
	// ObservedAt is the time of the observation that set State: its data age
	// where the source gave one, else its fetched-at. Only a later observation
	// may change State.
	ObservedAt time.Time `json:"observed_at"`
	// Since is the fetched-at of the reading in which State last changed.
	Since time.Time `json:"since"`
	// SeenAt is the fetched-at of the last reading whose plug was known.
	SeenAt time.Time `json:"seen_at"`
	// Charge is the last known charging state, empty until one was seen, and
	// ChargeObservedAt the time of the newest observation that told it; only a later
	// one may change it.
	Charge           ChargeState `json:"charge,omitempty"`
	ChargeObservedAt time.Time   `json:"charge_observed_at,omitzero"`
	// Restricted is true while the last answer for /charge, or for the other paths where
	// /charge is not read, was a fault of account, permission or billing; the unplugged
	// cadence applies then.
	Restricted bool `json:"restricted"`
	// ReadAt is when the last read of this vehicle ended; zero before the first.
	ReadAt time.Time `json:"read_at"`
	// NotBefore is the earliest time the source allows the next read; zero
	// means any. NotBeforeFault is the answer that said so.
	NotBefore      time.Time `json:"not_before"`
	NotBeforeFault *Fault    `json:"not_before_fault,omitempty"`
	// Last is the newest reading of each path, values and faults alike.
	Last Snapshot `json:"last"`
	// Battery is the last value of /battery, kept while the newest answer for it is a fault; the
	// zero Reading otherwise.
	Battery Reading[Battery] `json:"battery,omitzero"`
	// Reads counts calls of the source for this vehicle; PathReads counts paths
	// asked for in them, which is what a metered source counts. Both only grow.
	Reads     uint64 `json:"reads"`
	PathReads uint64 `json:"path_reads"`
	// Spent is what the vehicle has cost at its source lately; zero where the source
	// counts nothing.
	Spent Spending `json:"spent,omitzero"`
}

// Level is the last known value of /battery, whatever was answered since; not OK before the first.
func (st Status) Level() Reading[Battery] {
	if st.Last.Battery.OK {
		return st.Last.Battery
	}
	return st.Battery
}

// Withdrawn are the paths that the owner does not allow, by the last answer.
func (st Status) Withdrawn() (paths Paths) {
	for p := range AllPaths.All() {
		if f := st.Last.Fault(p); f != nil && f.Type == TypePermission {
			paths |= PathsOf(p)
		}
	}
	return paths
}

// Take puts a newer snapshot's readings into Last, and keeps the last known level. A level that the
// owner allows no more is not kept.
func (st *Status) Take(newer Snapshot) {
	level := st.Level()
	st.Last = st.Last.Merge(newer)
	st.Battery = level
	if st.Last.Battery.OK || st.Withdrawn().Has(PathBattery) {
		st.Battery = Reading[Battery]{}
	}
}

// Spending counts what a vendor counts, the paths of each call, in the period of its
// plan that began at Since.
type Spending struct {
	Since time.Time `json:"since"`
	Calls uint64    `json:"calls"`
	// Added are those of Calls that were made since the clock last moved to another period,
	// and Before and BeforeThat are the periods it was in before. A clock that was wrong
	// for a moment comes back to what was spent.
	Added      uint64 `json:"added,omitempty"`
	Before     Period `json:"before,omitzero"`
	BeforeThat Period `json:"before_that,omitzero"`
}

// Period is what was spent in a period that the clock has left.
type Period struct {
	Since time.Time `json:"since"`
	Calls uint64    `json:"calls"`
}
