package vehicle

import (
	"context"
	"io"
	"time"

	"github.com/google/uuid"
)

// Inspector is a source that shows what it hears, for a person who gets a map right.
type Inspector interface {
	Source
	// Inspect says what the source is connected to and what it made of what it heard. It costs
	// nothing.
	Inspect(now time.Time) Inspection
	// Watch hands everything that is heard from now on to heard, one at a time, until stop
	// is called. heard must not block.
	Watch(heard func(Heard)) (stop func())
}

// Discoverer are settings of a source that can ask their far side what it offers. It needs no
// vehicle in the settings.
type Discoverer interface {
	Settings
	// Discover listens for so long and says what is there that a preset understands. It
	// changes nothing at the far side.
	Discover(ctx context.Context, d Deps, listen time.Duration) (Discovery, error)
	// Mark says of each offer which vehicle of the settings has it.
	Mark(offers []Offer)
}

// Rehearser are settings of a source whose maps can be tried out over a recorded log.
type Rehearser interface {
	Settings
	// Rehearse runs the log through the maps. An error names the line of the log.
	Rehearse(log io.Reader) ([]Heard, error)
}

// RecordedFormat is what to give mosquitto_sub as -F for a log that a [Rehearser] reads.
const RecordedFormat = "%I retain=%r qos=%q %t %p"

// MaxShownPayload is how many bytes of a payload are shown.
const MaxShownPayload = 256

// Heard is one thing that a source heard: a message with what it became, or what is known of
// a vehicle after its plug or its charging state changed.
type Heard struct {
	At time.Time `json:"at"`
	// Topic and Payload are the message's. Payload is at most [MaxShownPayload] bytes of it,
	// and Bytes its whole length.
	Topic   string `json:"topic,omitempty"`
	Payload string `json:"payload,omitempty"`
	Bytes   int    `json:"bytes"`
	// Replayed is true for a message that the broker had kept.
	Replayed bool `json:"replayed,omitempty"`
	// Verdicts say what it became; none for a message that no map speaks of.
	Verdicts []Verdict `json:"verdicts,omitempty"`
	// Vehicle is the native id of the vehicle that changed, and Reading what is known of it
	// now. A message has neither.
	Vehicle string    `json:"vehicle,omitempty"`
	Reading *Snapshot `json:"reading,omitempty"`
	// End is true for what is known of a vehicle where a recorded log ends.
	End bool `json:"end,omitempty"`
}

// Verdict says what a message became for one input of a vehicle's map.
type Verdict struct {
	// Vehicle is the id in the map, and Input what was said: plug, charging, battery,
	// range, latitude, longitude, alive, or an input of a preset.
	Vehicle string `json:"vehicle"`
	Input   string `json:"input"`
	// One of the three is there: Became is the value that was taken, as text; Nothing says that
	// the message told no value; Refused says why what it told could not be taken.
	Became  string `json:"became,omitempty"`
	Nothing string `json:"nothing,omitempty"`
	Refused string `json:"refused,omitempty"`
	// Remedy says what to write into the map after a refusal; empty where the map is not what
	// is wrong.
	Remedy string `json:"remedy,omitempty"`
}

// Inspection is a source as it stands.
type Inspection struct {
	// Server is the far side, host:port, and Version what it says of itself; empty where it
	// says nothing.
	Server  string `json:"server"`
	Version string `json:"version,omitempty"`
	// ConnectedSince is absent while there is no connection, and LastMessage before the first.
	ConnectedSince time.Time          `json:"connected_since,omitzero"`
	LastMessage    time.Time          `json:"last_message,omitzero"`
	Messages       uint64             `json:"messages"`
	Vehicles       []InspectedVehicle `json:"vehicles"`
}

// InspectedVehicle is the map of a vehicle with what it has become.
type InspectedVehicle struct {
	ID     uuid.UUID        `json:"id"`
	Native string           `json:"native"`
	Values []InspectedValue `json:"values"`
	Inputs []InspectedInput `json:"inputs"`
}

// InspectedValue is one value of a vehicle.
type InspectedValue struct {
	Path string `json:"path"`
	// Name is plug, charging, battery, range or location.
	Name string `json:"name"`
	// Is is the value as text; empty while none is known.
	Is string `json:"is,omitempty"`
	// ObservedAt is when it was so, as far as anybody knows; ChangedAt when it last became
	// another one here; ConfirmedAt when the far side last vouched for it.
	ObservedAt  time.Time `json:"observed_at,omitzero"`
	ChangedAt   time.Time `json:"changed_at,omitzero"`
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`
	// Fault says why it does not go out; empty where it does.
	Fault string `json:"fault,omitempty"`
}

// InspectedInput is one input of a map: where it is said, and what was said last.
type InspectedInput struct {
	Input string `json:"input"`
	// Topic is what it is bound to, and At the JSON pointer in the payload; empty for the
	// whole of it.
	Topic string `json:"topic"`
	At    string `json:"at,omitempty"`
	// Became is what the last message became; empty where it was refused, or none came.
	Became  string    `json:"became,omitempty"`
	HeardAt time.Time `json:"heard_at,omitzero"`
	// Refusal is the last message that was refused; absent where none was.
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Refusal is a payload that could not be taken.
type Refusal struct {
	// Payload is what was said, in quotes, escaped and cut.
	Payload string    `json:"payload"`
	Why     string    `json:"why"`
	Remedy  string    `json:"remedy,omitempty"`
	At      time.Time `json:"at"`
	// Over is true once a later message was taken.
	Over bool `json:"over,omitempty"`
}

// Discovery is what a far side offers.
type Discovery struct {
	Server string `json:"server"`
	// Messages counts what was heard while listening.
	Messages int     `json:"messages"`
	Offers   []Offer `json:"offers"`
	// Section is the part of the config that reads what no map has yet, as YAML of the level
	// of sources; empty where there is nothing to add.
	Section string `json:"section,omitempty"`
}

// Offer is one vehicle that a preset understands.
type Offer struct {
	Preset string            `json:"preset"`
	With   map[string]string `json:"with"`
	// ID is one that is proposed; Name is what the publisher calls the vehicle, and Make its
	// brand; both may be empty.
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Make string `json:"make,omitempty"`
	// Tells lists what was heard: plug, charging, battery, range, location.
	Tells []string `json:"tells"`
	// Mapped is the id of the vehicle in the config that has it already; empty for none. Map is
	// the vehicle's map, as YAML in a line.
	Mapped string `json:"mapped,omitempty"`
	Map    string `json:"map"`
}
