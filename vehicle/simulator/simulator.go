// Package simulator is a seeded fleet of vehicles that drive, park, plug in, charge,
// get full and leave again: as a [vehicle.Source] in this process ([Source]) and
// as an HTTP server that speaks Smartcar v2.0 ([Server]).
//
// A vehicle's condition at an instant is a pure function of the seed, the vehicle's number, the
// instant and the script: two fleets with the same [Settings] and the same events agree, also
// across a restart. Package simulator shares no code with the source smartcar. The server is
// written from the wire format alone, so that tests against it find mistakes of that source.
package simulator

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// MaxVehicles is the largest fleet.
const MaxVehicles = 100_000

// Epoch is the instant the fleet's life counts from unless [Settings.Start] says
// otherwise. It is fixed, so that a restart finds the vehicles where they would be.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Settings choose a fleet.
type Settings struct {
	// Seed chooses the vehicles and their lives.
	Seed uint64
	// Vehicles is the number of vehicles, 1 to MaxVehicles.
	Vehicles int
	// Start is the instant the vehicles' lives count from; zero is Epoch.
	Start time.Time
	// Hour is the real time one simulated hour takes; zero is one hour. A second
	// makes a vehicle's day pass in 24 s.
	Hour time.Duration
}

// Fleet is a number of simulated vehicles. It is safe for concurrent use.
type Fleet struct {
	settings Settings
	vehicles []Vehicle
	index    map[uuid.UUID]int

	mu     sync.RWMutex
	script map[int][]Event // sorted by At
}

// Vehicle is what never changes of a simulated vehicle.
type Vehicle struct {
	// ID is made from the fleet's seed and the vehicle's number.
	ID    uuid.UUID
	Make  string
	Model string
	Year  int
	VIN   string
	// Full is the range of a full battery in kilometres.
	Full float64
	// Limit is the charge at which the vehicle stops charging, a fraction.
	Limit float64
	// Capacity is the battery's, in kWh.
	Capacity float64
	// Rate is how much charge a plugged-in hour adds, a fraction.
	Rate float64
	// lat and lon are the middle of the area the vehicle moves in.
	lat, lon float64
}

// space is the UUID namespace of the simulator's ids.
var space = uuid.MustParse("6f0a6d1e-5a1c-5b0e-9a52-2f6f4b1f7c01")

// models are the kinds of vehicle, with capacity and consumption made up.
var models = []struct {
	brand, model string
	year         int
	kWh, km, kW  float64
}{
	{"TESLA", "Model 3", 2023, 60, 430, 11},
	{"VOLKSWAGEN", "ID.4", 2022, 77, 420, 11},
	{"HYUNDAI", "IONIQ 5", 2023, 74, 410, 10.5},
	{"KIA", "EV6", 2024, 77, 450, 11},
	{"FORD", "Mustang Mach-E", 2022, 88, 440, 10.5},
	{"BMW", "i4", 2023, 81, 480, 11},
	{"RENAULT", "Megane E-Tech", 2023, 60, 380, 7.4},
	{"POLESTAR", "2", 2024, 78, 500, 11},
	{"AUDI", "Q4 e-tron", 2022, 77, 400, 11},
	{"VOLVO", "EX30", 2024, 64, 400, 11},
}

// areas are the places in whose surroundings vehicles drive, by latitude and longitude.
var areas = [][2]float64{
	{52.3702, 4.8952}, {52.5200, 13.4050}, {48.1374, 11.5755}, {59.9139, 10.7522},
	{37.7749, -122.4194}, {51.5074, -0.1278}, {45.4642, 9.1900}, {50.8503, 4.3517},
}

// NewFleet returns the fleet that the settings choose. An error names the
// setting, its value and what is allowed.
func NewFleet(s Settings, script ...Event) (*Fleet, error) {
	if s.Vehicles < 1 || s.Vehicles > MaxVehicles {
		return nil, fmt.Errorf("simulator: vehicles %d: allowed: 1 to %d", s.Vehicles, MaxVehicles)
	}
	if s.Hour < 0 || s.Hour > 0 && s.Hour < time.Millisecond {
		return nil, fmt.Errorf("simulator: hour %v: allowed: 1ms or more, 0 for real time", s.Hour)
	}
	if s.Hour == 0 {
		s.Hour = time.Hour
	}
	if s.Start.IsZero() {
		s.Start = Epoch
	}
	f := &Fleet{
		settings: s,
		vehicles: make([]Vehicle, s.Vehicles),
		index:    make(map[uuid.UUID]int, s.Vehicles),
		script:   map[int][]Event{},
	}
	for i := range f.vehicles {
		f.vehicles[i] = build(s.Seed, i)
		f.index[f.vehicles[i].ID] = i
	}
	if err := f.Script(script...); err != nil {
		return nil, err
	}
	return f, nil
}

// build makes vehicle number i.
func build(seed uint64, i int) Vehicle {
	m := models[int(draw(seed, i, 0, 'm')*float64(len(models)))]
	a := areas[int(draw(seed, i, 0, 'a')*float64(len(areas)))]
	return Vehicle{
		ID:    seededID(seed, "car", i),
		Make:  m.brand,
		Model: m.model,
		Year:  m.year,
		VIN:   fmt.Sprintf("XX0SIM%04X%07d", uint16(mix(seed)), i),
		Full:  m.km,
		Limit: float64(80+int(draw(seed, i, 0, 'l')*4)*5) / 100,
		Rate:  m.kW / m.kWh,

		Capacity: m.kWh,
		lat:      a[0],
		lon:      a[1],
	}
}

// seededID makes a UUID from the seed, a kind and a number.
func seededID(seed uint64, kind string, i int) uuid.UUID {
	b := binary.BigEndian.AppendUint64([]byte(kind), seed)
	return uuid.NewSHA1(space, binary.BigEndian.AppendUint64(b, uint64(i)))
}

// Vehicle returns vehicle number i, counted from 0.
func (f *Fleet) Vehicle(i int) Vehicle { return f.vehicles[i] }

// Find returns the number of the vehicle with this id.
func (f *Fleet) Find(id uuid.UUID) (int, bool) {
	i, ok := f.index[id]
	return i, ok
}

// Vehicles returns every vehicle as plugbeat keeps it, read in this process. The
// caller sets Source and ConnectedAt.
func (f *Fleet) Vehicles() []vehicle.Vehicle {
	vs := make([]vehicle.Vehicle, len(f.vehicles))
	for i, c := range f.vehicles {
		vs[i] = vehicle.Vehicle{
			ID: c.ID, Native: c.ID.String(), Make: c.Make, Model: c.Model, Year: c.Year, VIN: c.VIN,
			Mode: vehicle.ModeSimulated, Permissions: permissions(),
		}
	}
	return vs
}

// permissions lists what the owner of every vehicle in this process agreed to.
func permissions() []string {
	ps := []string{"read_vehicle_info"}
	for p := range vehicle.AllPaths.All() {
		ps = append(ps, p.Permission())
	}
	return ps
}

// mix is splitmix64's finisher: a bijection that scatters its input.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draw returns a number in [0, 1), a pure function of its arguments.
func draw(seed uint64, vehicle int, cycle int64, salt rune) float64 {
	x := mix(mix(mix(mix(seed)^uint64(vehicle))^uint64(cycle)) ^ uint64(salt))
	return float64(x>>11) / (1 << 53)
}
