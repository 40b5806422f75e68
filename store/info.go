package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Info describes the data file and what is in it.
type Info struct {
	Path string `json:"path"`
	// FileBytes is the size on disk, which never shrinks by itself; LiveBytes is
	// what of it is in use, and is held against Options.MaxSize.
	FileBytes int64     `json:"file_bytes"`
	LiveBytes int64     `json:"live_bytes"`
	MaxBytes  int64     `json:"max_bytes"`
	FreePages int       `json:"free_pages"`
	Schema    int       `json:"schema"`
	Instance  uuid.UUID `json:"instance"`
	CreatedAt time.Time `json:"created_at"`
	// Commits and Operations count since the file was opened; their quotient is
	// the mean size of a group. LargestGroup is at most 256.
	Commits      uint64 `json:"commits"`
	Operations   uint64 `json:"operations"`
	LargestGroup int    `json:"largest_group"`
	// These four are as in [Disk].
	State        webhook.DiskState `json:"state"`
	FreeBytes    int64             `json:"disk_free_bytes"`
	TotalBytes   int64             `json:"disk_total_bytes"`
	MinFreeBytes int64             `json:"min_free_bytes"`
	// Readers is how many read transactions are open, this one not counted.
	Readers       int    `json:"readers"`
	Webhooks      int    `json:"webhooks"`
	Vehicles      int    `json:"vehicles"`
	Subscriptions int    `json:"subscriptions"`
	Waiting       uint64 `json:"waiting"`
}

// Info returns the store's numbers. It reads the webhooks and otherwise what is
// counted in memory, so it costs the same however many vehicles there are.
func (s *Maintenance) Info(ctx context.Context) (Info, error) {
	i := Info{
		Path: s.path, MaxBytes: s.maxSize, Schema: int(s.layout.version), Instance: s.instance, CreatedAt: s.created,
		Commits: s.commits.Load(), Operations: s.operations.Load(), LargestGroup: int(s.largest.Load()),
		Readers: s.db.Stats().OpenTxN,
	}
	disk, err := s.Disk(ctx)
	if err != nil {
		return Info{}, err
	}
	i.State, i.FreeBytes, i.TotalBytes, i.MinFreeBytes, i.LiveBytes = disk.State, disk.FreeBytes, disk.TotalBytes, disk.MinFreeBytes, disk.LiveBytes
	err = s.view(ctx, func(r reader) error {
		stats := s.db.Stats()
		i.FreePages = stats.FreePageN + stats.PendingPageN
		for k, b := range r.rows(bucketWebhooks, nil, nil) {
			rec, err := r.decodeWebhook(uuid.UUID(k), b)
			if err != nil {
				return err
			}
			if !rec.Removing {
				i.Webhooks++
			}
			i.Waiting += rec.Ledger.Waiting()
		}
		return nil
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
func (s *Maintenance) liveBytes(ctx context.Context) (n int64, err error) {
	err = s.view(ctx, func(r reader) error {
		stats := s.db.Stats()
		page := int64(s.db.Info().PageSize)
		n = r.tx.Size() - int64(stats.FreePageN+stats.PendingPageN)*page
		return nil
	})
	return n, err
}
