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
func (s *Source) Take(document []byte) []vehicle.Verdict { return s.Fleet.Take("", document, false) }
