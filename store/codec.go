package store

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Records are JSON and change only by adding fields: a field that is absent
// reads as its zero value. The golden files under testdata hold each of them.

// webhookRecord is a webhook with what only the store knows of it.
type webhookRecord struct {
	webhook.Webhook
	// Removing is set from the first step of a removal to its last.
	Removing bool `json:"removing"`
	// SealedKey is the webhook's Key, sealed for bucket webhooks and its id.
	SealedKey []byte `json:"sealed_key"`
	// SealedOldKey is its OldKey, sealed for bucket webhooks and [oldKeyName] of its
	// id; absent unless it has one.
	SealedOldKey []byte `json:"sealed_old_key,omitempty"`
}

// oldKeyName is what a webhook's old key is sealed for beside the bucket, so that it
// does not open in the place of its key.
func oldKeyName(id uuid.UUID) []byte { return append(id[:], "old"...) }

// vehicleRecord is a vehicle with what only the store knows of it.
type vehicleRecord struct {
	// Vehicle has the source's own Name, or none.
	vehicle.Vehicle
	// GivenName is what the operator calls it; absent where he gave it no name.
	GivenName string `json:"given_name,omitempty"`
	// Removing is set from the first step of a removal to its last.
	Removing bool `json:"removing"`
}

// shown is the vehicle under the name that people call it by.
func (r vehicleRecord) shown() vehicle.Vehicle {
	v := r.Vehicle
	v.Name = cmp.Or(r.GivenName, v.OwnName())
	return v
}

// deliveryRecord is a delivery with what only the store knows of it.
type deliveryRecord struct {
	webhook.Delivery
	// Erased says what of a finished delivery is gone before its record is.
	Erased erased `json:"erased"`
}

// erased is what of a finished delivery is gone.
type erased string

const (
	erasedNothing erased = ""        // payload and attempts are there
	erasedPayload erased = "payload" // retention took the payload
	erasedAll     erased = "all"     // the vehicle was removed: neither payload nor attempts
)

// grantRecord is a grant with its hash, which the grant's own JSON leaves out.
type grantRecord struct {
	access.Grant
	Hash string `json:"sha256"` // hex
}

func (r grantRecord) grant() (access.Grant, error) {
	g := r.Grant
	n, err := hex.Decode(g.Hash[:], []byte(r.Hash))
	if err != nil || n != len(g.Hash) || len(r.Hash) != 2*len(g.Hash) {
		return g, fmt.Errorf("grant %q: its hash is not 64 hexadecimal digits", g.Name)
	}
	return g, nil
}

// encode writes a record. It fails only for values JSON cannot hold, such as a
// fraction that is not a number.
func encode(record any) ([]byte, error) {
	b, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", kindOf(record), err)
	}
	return b, nil
}

func decode(b []byte, record any) error {
	if err := json.Unmarshal(b, record); err != nil {
		return &unreadable{fmt.Errorf("decode %s: %w", kindOf(record), err)}
	}
	return nil
}

func kindOf(record any) string {
	s := fmt.Sprintf("%T", record)
	return strings.TrimSuffix(s[strings.LastIndexByte(s, '.')+1:], "Record")
}

// queuedValue is the value of a waiting delivery's row: its vehicle and, where it is
// set aside, when it is retried, in unix ms.
func queuedValue(d webhook.Delivery) ([]byte, error) {
	v := append(make([]byte, 0, idLen+timeLen), d.Vehicle[:]...)
	if !d.SetAside() {
		return v, nil
	}
	ms, err := millis(d.RetryAt)
	if err != nil {
		return nil, named("delivery", d.ID, fmt.Errorf("retry_at: %w", err))
	}
	return binary.BigEndian.AppendUint64(v, ms), nil
}

// parseQueued reads a row of bucket waiting.
func parseQueued(k, v []byte) (q webhook.Queued, err error) {
	if _, q.Delivery, err = parsePair(k); err != nil {
		return q, err
	}
	if len(v) != idLen && len(v) != idLen+timeLen {
		return q, badRow("%s: the row of delivery %s has %d bytes", bucketWaiting, q.Delivery, len(v))
	}
	q.Vehicle = uuid.UUID(v[:idLen])
	if len(v) > idLen {
		q.RetryAt = timeOf(binary.BigEndian.Uint64(v[idLen:]))
	}
	return q, nil
}

// scheduleVersion is the first byte of a schedule's value.
const scheduleVersion = 1

// scheduleLen is the length of a schedule's value:
//
//	0  version
//	1  due, unix ms, 0 while parked
//	9  anchor, unix ms
//	17 fired at, unix ms, 0 for never
//	25 state
//	26 cause
//	27 source, zero padded to 16
const scheduleLen = 1 + 3*timeLen + 2 + sourceLen

func encodeSchedule(s webhook.Schedule) ([]byte, error) {
	b := append(make([]byte, 0, scheduleLen), scheduleVersion)
	for _, t := range [...]struct {
		field string
		at    time.Time
	}{{"due", s.Due}, {"anchor", s.Anchor}, {"produced_at", s.ProducedAt}} {
		ms, err := millis(t.at)
		if err != nil {
			return nil, fmt.Errorf("schedule %s: %w", t.field, err)
		}
		b = binary.BigEndian.AppendUint64(b, ms)
	}
	if s.State > vehicle.StatePluggedIn || s.Cause > webhook.CauseChange {
		return nil, fmt.Errorf("schedule: no state %d or cause %d", s.State, s.Cause)
	}
	if err := checkSource(s.Source); err != nil {
		return nil, err
	}
	p := padSource(s.Source)
	return append(append(b, byte(s.State), byte(s.Cause)), p[:]...), nil
}

func decodeSchedule(key webhook.SubscriptionKey, b []byte) (s webhook.Schedule, err error) {
	defer func() {
		if err != nil {
			err = &unreadable{err}
		}
	}()
	s = webhook.Schedule{SubscriptionKey: key}
	if len(b) != scheduleLen || b[0] != scheduleVersion {
		return s, fmt.Errorf("schedule: %d bytes %x..., want %d bytes of version %d", len(b), b[:min(len(b), 1)], scheduleLen, scheduleVersion)
	}
	for i, t := range []*time.Time{&s.Due, &s.Anchor, &s.ProducedAt} {
		ms := binary.BigEndian.Uint64(b[1+i*timeLen:])
		if ms > maxMillis {
			return s, fmt.Errorf("schedule: time %d is out of range", ms)
		}
		*t = timeOf(ms)
	}
	s.State, s.Cause = vehicle.State(b[25]), webhook.Cause(b[26])
	if s.State > vehicle.StatePluggedIn || s.Cause > webhook.CauseChange {
		return s, fmt.Errorf("schedule: no state %d or cause %d", s.State, s.Cause)
	}
	s.Source, err = parseSource(b[27:])
	return s, err
}
