package store

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// memoRows is how many records of a kind are remembered, at one to two kilobytes
// each: about twice as many as are dealt with at a time when very much is due.
const memoRows = 2048

// memo remembers what the bytes of recent records decoded to: a vehicle's record is
// read twice for a delivery and hardly ever changes. It is asked with
// the bytes as they stand in the asker's transaction and answers for those alone, so
// it can be neither stale nor wrong. What it gives shares memory with it as far as
// the type refers to any.
type memo[T any] struct {
	mu   sync.Mutex
	rows [memoRows]struct {
		raw []byte
		rec T
	}
}

// decode is decode for the record of that id.
func (m *memo[T]) decode(id uuid.UUID, b []byte, rec *T) error {
	row := &m.rows[memoRow(id)]
	m.mu.Lock()
	raw, known := row.raw, row.rec
	m.mu.Unlock()
	if raw != nil && bytes.Equal(raw, b) {
		*rec = known
		return nil
	}
	if err := decode(b, rec); err != nil {
		return err
	}
	m.keep(id, bytes.Clone(b), *rec)
	return nil
}

// keep remembers that b, which must not change any more, decodes to rec.
func (m *memo[T]) keep(id uuid.UUID, b []byte, rec T) {
	row := &m.rows[memoRow(id)]
	m.mu.Lock()
	row.raw, row.rec = b, rec
	m.mu.Unlock()
}

// memoRow is where a record has its place: the end of an id is random.
func memoRow(id uuid.UUID) int { return int(binary.BigEndian.Uint16(id[14:]) % memoRows) }

// memos are the kinds that are remembered. A nil one remembers nothing.
type memos struct {
	vehicles   memo[vehicleRecord]
	statuses   memo[vehicle.Status]
	deliveries memo[deliveryRecord]
}

func (m *memos) vehicle(id uuid.UUID, b []byte, rec *vehicleRecord) error {
	if m == nil {
		return decode(b, rec)
	}
	err := m.vehicles.decode(id, b, rec)
	rec.Permissions = slices.Clone(rec.Permissions)
	return err
}

func (m *memos) status(id uuid.UUID, b []byte, st *vehicle.Status) error {
	if m == nil {
		return decode(b, st)
	}
	err := m.statuses.decode(id, b, st)
	last := &st.Last
	for _, f := range []**vehicle.Fault{&st.NotBeforeFault, &last.Charge.Fault, &last.Battery.Fault, &last.Location.Fault} {
		if *f = copied(*f); *f != nil {
			(*f).Detail = bytes.Clone((*f).Detail)
		}
	}
	last.Battery.Value.RangeKm = copied(last.Battery.Value.RangeKm)
	st.Battery.Value.RangeKm = copied(st.Battery.Value.RangeKm)
	return err
}

func (m *memos) delivery(id uuid.UUID, b []byte, rec *deliveryRecord) error {
	if m == nil {
		return decode(b, rec)
	}
	err := m.deliveries.decode(id, b, rec)
	*rec = rec.unshared()
	return err
}

// written remembers a delivery's record as it is written; b must not change any more.
func (m *memos) written(b []byte, rec deliveryRecord) {
	m.deliveries.keep(rec.ID, b, rec.unshared())
}

// unshared returns the record with copies of what it points to.
func (r deliveryRecord) unshared() deliveryRecord {
	r.ResendOf, r.ResentAs, r.SupersededBy = copied(r.ResendOf), copied(r.ResentAs), copied(r.SupersededBy)
	return r
}

// copied returns a pointer to a copy of what p points to, nil for nil.
func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
