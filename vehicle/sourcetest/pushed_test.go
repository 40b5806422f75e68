package sourcetest_test

import (
	"testing"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/vehicle/sourcetest"
)

func TestPushed(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		id := uuid.New()
		p := sourcetest.NewPushed()
		p.Tell(id, vehicle.PluggedIn)
		return sourcetest.Harness{
			Source: p, Ref: vehicle.Ref{ID: id}, Plug: vehicle.PluggedIn, Unknown: vehicle.Ref{ID: uuid.New()},
			Fail:   func(f *vehicle.Fault, paths vehicle.Paths) { p.Fail(id, f, paths) },
			Change: func() { p.Tell(id, vehicle.Unplugged) },
			Reopen: func(known vehicle.Known) vehicle.Source {
				again := sourcetest.NewPushed(known)
				again.Replay(id, vehicle.PluggedIn)
				return again
			},
		}
	})
}
