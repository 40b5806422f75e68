package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"

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
	d.FreeBytes, d.TotalBytes, readOnly = fileSystem(filepath.Dir(s.path))
	d.MinFreeBytes = min(s.minFree, d.TotalBytes/10)
	d.State = s.refused.Load().(webhook.DiskState)
	if readOnly {
		d.State = webhook.DiskReadOnly
	}
	return d, nil
}

// refusal tells which state of the disk made a write fail; webhook.DiskOK for
// errors that are not the disk's. The texts are looked at because bbolt keeps
// only those of some of its causes.
func refusal(err error) webhook.DiskState {
	of := func(ns ...syscall.Errno) bool {
		for _, n := range ns {
			if errors.Is(err, n) || strings.HasSuffix(err.Error(), n.Error()) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return webhook.DiskOK
	case errors.Is(err, webhook.ErrNoSpace), errors.Is(err, bolterrors.ErrMaxSizeReached), of(syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG):
		return webhook.DiskFull
	case errors.Is(err, webhook.ErrReadOnly), of(syscall.EROFS):
		return webhook.DiskReadOnly
	}
	return webhook.DiskOK
}

// diskError wraps webhook.ErrNoSpace or webhook.ErrReadOnly around an error of that
// kind; others pass as they are.
func diskError(err error) error {
	if errors.Is(err, webhook.ErrUnwritable) {
		return err
	}
	switch refusal(err) {
	case webhook.DiskFull:
		return fmt.Errorf("%w (%w)", webhook.ErrNoSpace, err)
	case webhook.DiskReadOnly:
		return fmt.Errorf("%w (%w)", webhook.ErrReadOnly, err)
	}
	return err
}
