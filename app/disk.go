package app

import (
	"context"

	"github.com/rs/zerolog"

	"plugbeat/store"
	"plugbeat/webhook"
)

// watchDisk returns a job that tells when the disk becomes nearly full and when it
// is so no more. A disk that refuses a write is told of by the store.
func watchDisk(look func(context.Context) (store.Disk, error), log zerolog.Logger) func(context.Context) {
	nearly := false
	return func(ctx context.Context) {
		d, err := look(ctx)
		if err != nil || (d.State == webhook.DiskNearlyFull) == nearly || !d.State.Writable() {
			return // what is wrong with the store ends the process elsewhere
		}
		nearly = !nearly
		if nearly {
			log.Warn().Str("event", "store.nearly_full").Int64("free", d.FreeBytes).Int64("live", d.LiveBytes).
				Msg("the disk has less free than retention.min_free, or the data file nears retention.max_size: make room")
			return
		}
		log.Info().Str("event", "store.space_back").Any("was", webhook.DiskNearlyFull).Int64("free", d.FreeBytes).Int64("live", d.LiveBytes).Msg("there is room again")
	}
}
