package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

func TestRefusal(t *testing.T) {
	text := func(n syscall.Errno) error { return errors.New("file resize error: truncate x: " + n.Error()) }
	for _, c := range []struct {
		err   error
		want  webhook.DiskState
		class error
	}{
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, webhook.DiskFull, webhook.ErrNoSpace},
		{syscall.EDQUOT, webhook.DiskFull, webhook.ErrNoSpace},
		{syscall.EFBIG, webhook.DiskFull, webhook.ErrNoSpace},
		{text(syscall.ENOSPC), webhook.DiskFull, webhook.ErrNoSpace},
		{fmt.Errorf("x: %w", webhook.ErrNoSpace), webhook.DiskFull, webhook.ErrNoSpace},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EROFS}, webhook.DiskReadOnly, webhook.ErrReadOnly},
		{text(syscall.EROFS), webhook.DiskReadOnly, webhook.ErrReadOnly},
		{fmt.Errorf("x: %w", webhook.ErrReadOnly), webhook.DiskReadOnly, webhook.ErrReadOnly},
		{syscall.EIO, webhook.DiskOK, nil},
		{nil, webhook.DiskOK, nil},
	} {
		if got := refusal(c.err); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
		got := diskError(c.err)
		for _, class := range []error{webhook.ErrNoSpace, webhook.ErrReadOnly} {
			if errors.Is(got, class) != (c.class != nil && errors.Is(c.class, class)) {
				t.Errorf("%v became %v", c.err, got)
			}
		}
		if errors.Is(got, webhook.ErrUnwritable) != (c.class != nil) || !errors.Is(got, c.err) {
			t.Errorf("%v became %v", c.err, got)
		}
	}
}

// The disk's state is what the last commit met, and a write that was refused for
// it has not happened: neither for a reader nor after a new start.
func TestDiskState(t *testing.T) {
	var log strings.Builder
	var fail error
	f := open(t, func(o *Options) {
		o.Log = zerolog.New(&log)
		o.commit = func(tx *bolt.Tx) error {
			if fail != nil {
				return fail
			}
			return tx.Commit()
		}
	})
	state := func() webhook.DiskState {
		t.Helper()
		d, err := f.Disk(ctx)
		must(t, err)
		i, err := f.Info(ctx)
		must(t, err)
		if i.State != d.State || d.LiveBytes == 0 || i.LiveBytes != d.LiveBytes || d.TotalBytes < d.FreeBytes {
			t.Errorf("%+v, %+v", d, i)
		}
		return d.State
	}
	for _, c := range []struct {
		fail, class error
		want        webhook.DiskState
	}{
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EROFS}, webhook.ErrReadOnly, webhook.DiskReadOnly},
		{syscall.ENOSPC, webhook.ErrNoSpace, webhook.DiskFull},
	} {
		fail = c.fail
		if err := f.PutVehicle(ctx, newVehicle(1)); !errors.Is(err, c.class) || state() != c.want {
			t.Errorf("%v: %v, %s", c.fail, err, state())
		}
		if _, err := f.Vehicle(ctx, vid(1)); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("a refused write is there: %v", err)
		}
	}
	fail = nil
	must(t, f.PutVehicle(ctx, newVehicle(2)))
	if state() != webhook.DiskOK {
		t.Errorf("after a commit: %s", state())
	}
	events := ""
	for line := range strings.Lines(log.String()) {
		_, event, _ := strings.Cut(line, `"event":"store.`)
		event, _, _ = strings.Cut(event, `"`)
		events += " " + event
	}
	if events != " opened read_only no_space space_back" {
		t.Errorf("the log tells of%s", events)
	}
	f.reopen()
	f.sound()
	if _, err := f.Vehicle(ctx, vid(1)); !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("a refused write is there: %v", err)
	}
}

// The bound is the setting's, and on a small disk a tenth of it.
func TestMinFree(t *testing.T) {
	for _, minFree := range []int64{0, 1, 1 << 60} {
		f := open(t, func(o *Options) { o.MinFree = minFree })
		_, total, _ := fileSystem(filepath.Dir(f.o.Path))
		if total == 0 {
			t.Skip("skipped: this platform does not tell what is free")
		}
		if d, err := f.Disk(ctx); err != nil || d.MinFreeBytes != min(minFree, total/10) {
			t.Errorf("%d: %+v, %v", minFree, d, err)
		}
	}
}
