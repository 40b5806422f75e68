package store

import (
	"context"
	"path/filepath"

	"plugbeat/webhook"
)

// Disk is what the file system of the data file has left.
type Disk struct {
	State webhook.DiskState
	// FreeBytes is what plugbeat's user may still take and TotalBytes the size of
	// the file system; both are 0 where that is not known.
	FreeBytes, TotalBytes int64
	// MinFreeBytes is what should be free: Options.MinFree, or a tenth of the file
	// system where that is less.
	MinFreeBytes int64
	// LiveBytes is what of the data file is in use. [Maintenance.Sweep] holds it against
	// Options.MaxSize.
	LiveBytes int64
}

// Disk returns what is left, at the cost of a few system calls and of no walk.
func (s *Maintenance) Disk(ctx context.Context) (d Disk, err error) {
	if d.LiveBytes, err = s.liveBytes(ctx); err != nil {
		return Disk{}, err
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
