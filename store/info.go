package store

import (
	"context"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

// Info describes the data file and what is in it.
type Info struct {
	webhook.DataFile
	CreatedAt time.Time
	// Readers is how many read transactions are open, this one not counted.
	Readers  int
	Webhooks int
}

// Info returns the store's numbers. It reads the webhooks and otherwise what is
// counted in memory, so it costs the same however many vehicles there are.
func (s *Maintenance) Info(ctx context.Context) (Info, error) {
	i := Info{CreatedAt: s.created, Readers: s.db.Stats().OpenTxN, DataFile: webhook.DataFile{
		Path: s.options.Path, MaxBytes: s.options.MaxSize, Schema: int(s.options.layout.version), Instance: s.instance,
		Commits: s.commits.Load(), Operations: s.operations.Load(),
	}}
	var err error
	if i.Disk, err = s.Disk(ctx); err != nil {
		return Info{}, err
	}
	err = s.view(ctx, func(r reader) error {
		stats := s.db.Stats()
		i.FreePages = stats.FreePageN + stats.PendingPageN
		return r.eachWebhook(func(rec webhookRecord) {
			if !rec.Removing {
				i.Webhooks++
			}
			i.Waiting += rec.Ledger.Waiting()
		})
	})
	if err != nil {
		return Info{}, err
	}
	n := s.counts.look()
	i.Subscriptions = n.subscriptions
	for _, vehicles := range n.vehicles {
		i.Vehicles += vehicles
	}
	st, err := s.file.Stat()
	if err != nil {
		return Info{}, fmt.Errorf("data file: %w", err)
	}
	i.FileBytes = st.Size()
	return i, nil
}

// liveBytes is the size of the pages in use.
func (s *Maintenance) liveBytes(ctx context.Context) (int64, error) {
	return viewed(ctx, s.core, func(r reader) (int64, error) { return liveBytes(s.db, r.tx), nil })
}

// liveBytes is the size of the pages in use, of what the transaction sees.
func liveBytes(db *bolt.DB, tx *bolt.Tx) int64 {
	stats := db.Stats()
	return tx.Size() - int64(stats.FreePageN+stats.PendingPageN)*int64(db.Info().PageSize)
}
