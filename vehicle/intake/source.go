package intake

import (
	"context"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// Source is a source of this kind.
type Source struct {
	*mapping.Fleet
	log zerolog.Logger
}

var (
	_ vehicle.Intake = (*Source)(nil)
	_ vehicle.Lister = (*Source)(nil)
)

// Push implements [vehicle.Pusher].
func (s *Source) Push(ctx context.Context, hint func(uuid.UUID)) error {
	s.Settle(ctx, hint)
	return ctx.Err()
}

// Take implements [vehicle.Intake].
func (s *Source) Take(document []byte) []vehicle.Taken {
	taken := []vehicle.Taken{}
	for _, v := range s.Fleet.Take("", document, false) {
		t := vehicle.Taken{Vehicle: v.Vehicle, Input: v.Input, Became: v.Became, Refused: v.Refused}
		switch {
		case v.Absent != "":
			t.Refused = "the document has nothing at " + v.Absent
		case v.Refused != "":
			s.log.Debug().Str("event", "source.refused").Str("vehicle", v.Vehicle).Str("input", v.Input).Str("text", v.Refused).
				Msg("a message could not be taken")
		case v.Became == "":
			t.Refused = "the document says that there is no value"
		}
		taken = append(taken, t)
	}
	return taken
}
