package store

import (
	"errors"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

type tape struct {
	operations []int
	errs       []error
	took       time.Duration
}

func (t *tape) Committed(n int, took time.Duration, err error) {
	t.operations, t.errs, t.took = append(t.operations, n), append(t.errs, err), t.took+took
}

// The meter is told of each commit with the size of its group, and of each that
// the disk did not take; of a group that wrote nothing it is not told.
func TestMeter(t *testing.T) {
	f := open(t)
	m := &tape{}
	f.options.Meter = m
	refuse := func(tx *bolt.Tx) error { return errors.Join(syscall.ENOSPC, tx.Rollback()) }
	f.group(putName("a"), func(*writeTx) error { return errors.New("no") }, putName("b"))
	must(t, f.update(ctx, func(*writeTx) error { return nil }))
	take := f.options.commit
	f.options.commit = refuse
	if err := f.update(ctx, putName("c")); err == nil {
		t.Fatal("committed")
	}
	f.options.commit = take
	must(t, f.update(ctx, putName("c")))
	must(t, f.Close())
	if len(m.operations) != 3 || m.operations[0] != 3 || m.errs[0] != nil || m.errs[1] == nil || m.errs[2] != nil || m.took <= 0 {
		t.Errorf("%+v", m)
	}
}
