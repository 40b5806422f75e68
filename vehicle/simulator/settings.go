package simulator

import (
	"context"
	"time"

	"plugbeat/vehicle"
)

// SourceSettings are the config's section of a source of this kind.
type SourceSettings struct {
	Budget   vehicle.Budget `yaml:"budget" doc:"What reading may cost. A call is a path of one vehicle that is asked for, alone or in a batch, as vendors count them."`
	Vehicles int            `yaml:"vehicles" min:"1" max:"100000" doc:"Number of vehicles. They are connected at the source's first start; when there are more later: plugbeat vehicle connect --source NAME --now."`
	Seed     uint64         `yaml:"seed" doc:"Chooses the vehicles and their lives; the same seed gives the same. Two simulators in one config need two seeds."`
	Hour     time.Duration  `yaml:"hour" min:"1ms" max:"24h" doc:"How long one hour of a vehicle's life takes; 1m makes a day pass in 24 minutes."`
}

// Kind is this kind of source.
func Kind() vehicle.Kind {
	return vehicle.Kind{
		Name: "simulator", Doc: "simulator is a fleet made up in this process", Example: "fleet",
		Section: `# Three simulated vehicles, to see everything work without an account.
fleet:
  type: simulator
  vehicles: 3
  seed: 1
  # How long an hour of their lives takes: with 1m a day passes in 24 minutes.
  hour: 1h
`,
		Settings: func() vehicle.Settings {
			return &SourceSettings{Budget: vehicle.Budget{Per: vehicle.PerMonth}, Vehicles: 3, Seed: 1, Hour: time.Hour}
		},
	}
}

// Check implements [vehicle.Settings].
func (s *SourceSettings) Check() []vehicle.Complaint { return s.Budget.Check() }

// Open implements [vehicle.Settings].
func (s *SourceSettings) Open(context.Context, vehicle.Deps) (vehicle.Source, error) {
	f, err := NewFleet(Settings{Seed: s.Seed, Vehicles: s.Vehicles, Hour: s.Hour})
	if err != nil {
		return nil, err
	}
	src := NewSource(f)
	src.budget = s.Budget
	return src, nil
}

// List implements [vehicle.Lister].
func (s *Source) List(context.Context) ([]vehicle.Vehicle, error) { return s.fleet.Vehicles(), nil }

// Allowance implements [vehicle.Metering]: nobody counts what is read here, and a budget
// is for trying one out.
func (s *Source) Allowance() vehicle.Allowance { return vehicle.Allowance{Budget: s.budget} }
