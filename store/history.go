package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// clockAhead is how far in the future a point may lie on a clock that can be believed. One that lies
// further was written by a clock that was wrong.
const clockAhead = 24 * time.Hour

// keepPoint keeps a vehicle's readings in short form, where they tell something new.
func (t *writeTx) keepPoint(id uuid.UUID, st vehicle.Status) error {
	if t.options.History <= 0 {
		return nil
	}
	p, ok := vehicle.PointOf(st, t.now, t.options.Places)
	if !ok {
		return nil
	}
	last, found, err := t.lastPoint(id, t.now)
	if _, bad := errors.AsType[*unreadable](err); err != nil && !bad { // a row that nobody can read keeps no delivery back
		return err
	}
	if found {
		if p, ok = p.After(last); !ok {
			return nil
		}
	}
	key, err := pointKey(id, p.At)
	if err != nil {
		return err
	}
	return t.put(bucketHistory, key, encodePoint(p))
}

// lastPoint returns the vehicle's last point that is not after the time.
func (r reader) lastPoint(id uuid.UUID, until time.Time) (p vehicle.Point, found bool, err error) {
	key, err := pointKey(id, until.Add(time.Millisecond))
	if err != nil {
		return p, false, err
	}
	c := r.bucket(bucketHistory).Cursor()
	before := c.Prev
	if k, _ := c.Seek(key); k == nil {
		before = c.Last
	}
	k, v := before()
	if !bytes.HasPrefix(k, id[:]) {
		return p, false, nil
	}
	p, err = decodePoint(k, v)
	return p, err == nil, err
}

// History returns a vehicle's readings in short form from a time on and before another, at most
// limit of them, oldest first. A zero time is no bound. Places are left out where they are not kept
// now, and so is what the owner allows no more. An unknown vehicle is webhook.ErrNotFound, from the moment it is being removed.
func (s *VehicleRecords) History(ctx context.Context, id uuid.UUID, from, before time.Time, limit int) (ps []vehicle.Point, err error) {
	start := id[:]
	if from.UnixMilli() > 1 { // no point is older
		if start, err = pointKey(id, from.Add(-time.Nanosecond)); err != nil { // rounds down
			return nil, err
		}
	}
	limit = pageLimit(limit)
	view, err := s.VehicleView(ctx, id)
	if err != nil {
		return nil, err
	}
	withdrawn := view.Status.Withdrawn()
	err = s.walk(ctx, bucketHistory, id[:], start, func(r reader, k, v []byte) (bool, error) {
		if _, err := r.vehicle(id); err != nil {
			return false, err
		}
		p, err := decodePoint(k, v)
		if err != nil {
			return false, named("history of vehicle", id, err)
		}
		if !before.IsZero() && !p.At.Before(before) {
			return false, nil
		}
		if !s.options.Places {
			p.Location = nil
		}
		if p, left := p.Without(withdrawn); left {
			ps = append(ps, p)
		}
		return len(ps) < limit, nil
	})
	if err != nil {
		return nil, err
	}
	return ps, nil
}

// sweepHistory erases points that are kept no longer at now, and those of a clock that was wrong.
func (s *Maintenance) sweepHistory(ctx context.Context, now time.Time, res *SweepResult) error {
	oldest, newest := now.Add(-s.options.History), now.Add(clockAhead)
	var stale []uuid.UUID
	withdrawn := map[uuid.UUID]vehicle.Paths{}
	err := s.walk(ctx, bucketVehicles, nil, nil, func(r reader, k, _ []byte) (bool, error) {
		id := uuid.UUID(k)
		if st, err := r.status(id); err == nil && st.Withdrawn() != 0 {
			withdrawn[id] = st.Withdrawn()
		}
		for k := range r.rows(bucketHistory, k, nil) {
			if at, err := pointTime(k); err != nil || at.Before(oldest) || at.After(newest) {
				stale = append(stale, id)
			}
			break
		}
		if last, found, err := r.lastPoint(id, timeOf(maxMillis-1)); err == nil && found && last.At.After(newest) {
			stale = append(stale, id)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	for id, paths := range withdrawn {
		if err := s.eraseWithdrawn(ctx, id, paths, res); err != nil {
			return err
		}
	}
	for _, id := range stale {
		old := func(k, _ []byte) (take, more bool) {
			at, err := pointTime(k)
			take = bytes.HasPrefix(k, id[:]) && (err != nil || at.Before(oldest))
			return take, take
		}
		if err := s.erasePoints(ctx, id[:], old, res); err != nil {
			return err
		}
		after, err := pointKey(id, newest)
		if err != nil {
			return err
		}
		if err := s.erasePoints(ctx, after, beginningWith(id), res); err != nil {
			return err
		}
	}
	return nil
}

// eraseWithdrawn takes out of a vehicle's points what the owner allows no more.
func (s *core) eraseWithdrawn(ctx context.Context, id uuid.UUID, paths vehicle.Paths, res *SweepResult) error {
	told := func(k, v []byte) (take, more bool) {
		p, err := decodePoint(k, v)
		rest, _ := p.Without(paths)
		in := bytes.HasPrefix(k, id[:])
		return in && err == nil && !bytes.Equal(encodePoint(p), encodePoint(rest)), in
	}
	erased, err := inSlices(ctx, s, bucketHistory, id[:], told, func(t *writeTx, k []byte) (none struct{}, changed bool, err error) {
		p, err := decodePoint(k, t.get(bucketHistory, k))
		if err != nil {
			return none, false, err
		}
		rest, left := p.Without(paths)
		if !left {
			return none, true, t.delete(bucketHistory, k)
		}
		return none, true, t.put(bucketHistory, k, encodePoint(rest))
	})
	res.Points += len(erased)
	return err
}

// beginningWith selects the rows whose keys begin with the id.
func beginningWith(id uuid.UUID) selector {
	return func(k, _ []byte) (take, more bool) { in := bytes.HasPrefix(k, id[:]); return in, in }
}

// erasePoints erases the points after a key that are selected.
func (s *core) erasePoints(ctx context.Context, after []byte, selects selector, res *SweepResult) error {
	erased, err := inSlices(ctx, s, bucketHistory, after, selects, func(t *writeTx, k []byte) (none struct{}, changed bool, err error) {
		return none, true, t.delete(bucketHistory, k)
	})
	res.Points += len(erased)
	return err
}

// dropHistory erases some of the oldest points of the vehicle whose history begins first; more is
// false when there was none.
func (s *Maintenance) dropHistory(ctx context.Context, res *SweepResult) (more bool, err error) {
	var first []byte // key
	err = s.walk(ctx, bucketVehicles, nil, nil, func(r reader, k, _ []byte) (bool, error) {
		for k := range r.rows(bucketHistory, k, nil) {
			if first == nil || bytes.Compare(k[idLen:], first[idLen:]) < 0 {
				first = bytes.Clone(k)
			}
			break
		}
		return true, nil
	})
	if err != nil || first == nil {
		return false, err
	}
	n, before := 0, res.Points
	some := func(k, _ []byte) (take, more bool) {
		n++
		in := bytes.HasPrefix(k, first[:idLen])
		return in, in && n < 8*sliceRows
	}
	err = s.erasePoints(ctx, first[:idLen], some, res)
	return res.Points > before, err
}

// pointLen is the length of a key in bucket history: vehicle · time.
const pointLen = idLen + timeLen

func pointKey(id uuid.UUID, at time.Time) ([]byte, error) {
	ms, err := millis(at)
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, pointLen), id[:]...), ms), nil
}

func pointTime(k []byte) (time.Time, error) {
	if len(k) != pointLen {
		return time.Time{}, badRow("key of %d bytes, want %d", len(k), pointLen)
	}
	ms := binary.BigEndian.Uint64(k[idLen:])
	if ms == 0 || ms > maxMillis {
		return time.Time{}, badRow("time %d is out of range", ms)
	}
	return timeOf(ms), nil
}

// pointVersion is the first byte of a point's value. The second holds the plug state, the charging
// state and which values follow, in this order:
//
//	level, thousandths, 2 bytes
//	range, km, 2 bytes
//	latitude and longitude, ten-millionths of a degree, 4 bytes each
const pointVersion = 1

// The bits of a point's second byte.
const (
	plugBits   = 0x03 // [vehicle.State]
	chargeBits = 0x0c // the place in pointCharges, shifted by chargeShift
	hasLevel   = 0x10
	hasRange   = 0x20
	hasPlace   = 0x40
	knownBits  = 0x7f

	chargeShift = 2
	degree      = 1e7
)

// pointCharges are the charging states in the order of their numbers on disk.
var pointCharges = [...]vehicle.ChargeState{"", vehicle.Charging, vehicle.FullyCharged, vehicle.NotCharging}

func encodePoint(p vehicle.Point) []byte {
	bits := byte(p.Plug) & plugBits
	for i, c := range pointCharges {
		if c == p.Charge {
			bits |= byte(i) << chargeShift
		}
	}
	b := []byte{pointVersion, 0}
	if p.Level != nil {
		bits |= hasLevel
		b = binary.BigEndian.AppendUint16(b, uint16(math.Round(*p.Level*1000)))
	}
	if p.RangeKm != nil {
		bits |= hasRange
		b = binary.BigEndian.AppendUint16(b, uint16(*p.RangeKm))
	}
	if p.Location != nil {
		bits |= hasPlace
		for _, d := range []float64{p.Location.Latitude, p.Location.Longitude} {
			b = binary.BigEndian.AppendUint32(b, uint32(int32(math.Round(d*degree))))
		}
	}
	b[1] = bits
	return b
}

func decodePoint(k, b []byte) (p vehicle.Point, err error) {
	if p.At, err = pointTime(k); err != nil {
		return p, err
	}
	if len(b) < 2 || b[0] != pointVersion || b[1]&^knownBits != 0 || b[1]&plugBits > byte(vehicle.StatePluggedIn) {
		return p, badRow("a point of %d bytes %x..., want version %d", len(b), b[:min(len(b), 2)], pointVersion)
	}
	bits, rest := b[1], b[2:]
	want := 0
	for _, value := range []struct{ bit, length int }{{hasLevel, 2}, {hasRange, 2}, {hasPlace, 8}} {
		if int(bits)&value.bit != 0 {
			want += value.length
		}
	}
	if len(rest) != want {
		return p, badRow("a point of %d bytes, want %d", len(b), want+2)
	}
	p.Plug, p.Charge = vehicle.State(bits&plugBits), pointCharges[bits&chargeBits>>chargeShift]
	number := func() float64 {
		n := binary.BigEndian.Uint16(rest)
		rest = rest[2:]
		return float64(n)
	}
	if bits&hasLevel != 0 {
		level := number() / 1000
		p.Level = &level
	}
	if bits&hasRange != 0 {
		km := number()
		p.RangeKm = &km
	}
	if bits&hasPlace != 0 {
		p.Location = &vehicle.Location{Latitude: float64(int32(binary.BigEndian.Uint32(rest))) / degree,
			Longitude: float64(int32(binary.BigEndian.Uint32(rest[4:]))) / degree}
	}
	return p, nil
}
