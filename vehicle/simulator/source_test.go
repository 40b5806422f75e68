package simulator_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/sourcetest"
)

func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		f, err := simulator.NewFleet(simulator.Settings{Seed: 7, Vehicles: 3, Start: time.Now().Add(-time.Hour)},
			simulator.Event{Vehicle: 1, At: 0, Do: simulator.Plug})
		if err != nil {
			t.Fatal(err)
		}
		return sourcetest.Harness{
			Source:  simulator.NewSource(f),
			Ref:     f.Vehicles()[1].Ref(),
			Plug:    vehicle.PluggedIn,
			Unknown: vehicle.Ref{ID: uuid.New()},
			Fail: func(fault *vehicle.Fault, paths vehicle.Paths) {
				if err := f.Script(simulator.Event{Vehicle: 1, At: 0, Do: simulator.Fail, Fault: fault, Paths: paths}); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
