package simulator

import (
	"context"
	_ "embed"
	"time"

	"plugbeat/vehicle"
)

// SourceSettings are the config's section of a source of this kind.
type SourceSettings struct {
	Budget   vehicle.Budget `yaml:"budget"`
	Vehicles int            `yaml:"vehicles"`
	Seed     uint64         `yaml:"seed"`
	Hour     time.Duration  `yaml:"hour"`
}

// reference documents the settings, apart from the budget.
//
//go:embed reference.yaml
var reference string

// Kind is this kind of source.
func Kind() vehicle.Kind {
	return vehicle.Kind{
		Name: "simulator", Doc: "simulator is a fleet made up in this process", Example: "fleet",
		Starts: []vehicle.Start{{
			Name: "simulator", Doc: "a fleet that is made up, to see everything work", Source: "fleet",
			Questions: []vehicle.Question{{Key: "vehicles", Ask: "how many vehicles", Default: "3"},
				{Key: "hour", Ask: "how long an hour of their lives takes (with 1m a day passes in 24 minutes)", Default: "1h"}},
			Section: `# Simulated vehicles, to see everything work without an account.
type: simulator
vehicles: {vehicles}
seed: 1
# How long an hour of their lives takes: with 1m a day passes in 24 minutes.
hour: {hour}
`}},
		Reference: vehicle.BudgetReference + reference,
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

// Allowance implements [vehicle.Metering]. Reads here cost nothing; a budget serves to try
// budgets out.
func (s *Source) Allowance() vehicle.Allowance { return vehicle.Allowance{Budget: s.budget} }
