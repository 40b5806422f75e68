package store

import (
	"context"
	"path/filepath"

	"plugbeat/webhook"
)

// Disk returns what is left, at the cost of a few system calls and of no walk.
func (s *Maintenance) Disk(ctx context.Context) (d webhook.Disk, err error) {
	if d.LiveBytes, err = s.liveBytes(ctx); err != nil {
		return webhook.Disk{}, err
	}
	var readOnly bool
	d.FreeBytes, d.TotalBytes, readOnly = fileSystem(filepath.Dir(s.options.Path))
	d.MinFreeBytes = min(s.options.MinFree, d.TotalBytes/10)
	d.State = s.refused.Load().(webhook.DiskState)
	if readOnly {
		d.State = webhook.DiskReadOnly
	}
	return d, nil
}
