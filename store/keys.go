package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Widths of keys in bytes.
const (
	idLen     = 16
	timeLen   = 8
	sourceLen = 16
	pairLen   = 2 * idLen
	dueLen    = sourceLen + timeLen + pairLen
	doneLen   = timeLen + idLen
	tryLen    = idLen + 4
)

// maxMillis is the last time a key or record may carry: the end of year 9999,
// the last that JSON can hold.
const maxMillis = 253402300799999

// millis returns t as unix milliseconds, 0 for the zero time. Times before 1970
// and after 9999 are an error.
func millis(t time.Time) (uint64, error) {
	if t.IsZero() {
		return 0, nil
	}
	ms := t.UnixMilli()
	if ms < 1 || ms > maxMillis {
		return 0, &webhook.Invalid{Field: "time", Value: t.UTC().Format(time.RFC3339), Allowed: "1970-01-02 to 9999-12-31"}
	}
	return uint64(ms), nil
}

// timeOf is the inverse of millis, in UTC.
func timeOf(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// badRow is what is wrong with a row that no store wrote so.
func badRow(format string, args ...any) error { return &unreadable{fmt.Errorf(format, args...)} }

// pairKey is a · b.
func pairKey(a, b uuid.UUID) []byte {
	k := make([]byte, 0, pairLen)
	return append(append(k, a[:]...), b[:]...)
}

func parsePair(k []byte) (a, b uuid.UUID, err error) {
	if len(k) != pairLen {
		return a, b, badRow("key of %d bytes, want %d", len(k), pairLen)
	}
	return uuid.UUID(k[:idLen]), uuid.UUID(k[idLen:]), nil
}

// subscriptionKey is webhook · vehicle, the key of subscriptions and schedules.
func subscriptionKey(k webhook.SubscriptionKey) []byte { return pairKey(k.Webhook, k.Vehicle) }

func parseSubscriptionKey(k []byte) (webhook.SubscriptionKey, error) {
	w, v, err := parsePair(k)
	return webhook.SubscriptionKey{Webhook: w, Vehicle: v}, err
}

// checkSource returns an error naming the allowed form when s cannot name a source.
func checkSource(s string) error {
	ok := len(s) >= 1 && len(s) <= sourceLen
	for _, c := range []byte(s) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return &webhook.Invalid{Field: "source", Value: s, Allowed: "1 to 16 characters of a-z, 0-9 and '-'"}
	}
	return nil
}

// padSource is the source's name filled up with zero bytes; parseSource its
// inverse. The name must have passed checkSource.
func padSource(s string) (p [sourceLen]byte) {
	copy(p[:], s)
	return p
}

func parseSource(p []byte) (string, error) {
	n := 0
	for n < len(p) && p[n] != 0 {
		n++
	}
	for _, c := range p[n:] {
		if c != 0 {
			return "", badRow("source %q is not padded with zeros", p)
		}
	}
	s := string(p[:n])
	if err := checkSource(s); err != nil {
		return s, &unreadable{err}
	}
	return s, nil
}

// dueKey is source · time · webhook · vehicle.
func dueKey(source string, ms uint64, sk webhook.SubscriptionKey) []byte {
	k := make([]byte, 0, dueLen)
	p := padSource(source)
	k = append(k, p[:]...)
	k = binary.BigEndian.AppendUint64(k, ms)
	k = append(k, sk.Webhook[:]...)
	return append(k, sk.Vehicle[:]...)
}

func parseDue(k []byte) (source string, ms uint64, sk webhook.SubscriptionKey, err error) {
	if len(k) != dueLen {
		return "", 0, sk, badRow("key of %d bytes, want %d", len(k), dueLen)
	}
	if source, err = parseSource(k[:sourceLen]); err != nil {
		return "", 0, sk, err
	}
	ms = binary.BigEndian.Uint64(k[sourceLen:])
	if ms == 0 || ms > maxMillis {
		return "", 0, sk, badRow("time %d is out of range", ms)
	}
	sk, err = parseSubscriptionKey(k[sourceLen+timeLen:])
	return source, ms, sk, err
}

// doneKey is time · delivery, the key of finished.
func doneKey(ms uint64, id uuid.UUID) []byte {
	k := binary.BigEndian.AppendUint64(make([]byte, 0, doneLen), ms)
	return append(k, id[:]...)
}

func parseDone(k []byte) (ms uint64, id uuid.UUID, err error) {
	if len(k) != doneLen {
		return 0, id, badRow("key of %d bytes, want %d", len(k), doneLen)
	}
	ms = binary.BigEndian.Uint64(k)
	if ms == 0 || ms > maxMillis {
		return 0, id, badRow("time %d is out of range", ms)
	}
	return ms, uuid.UUID(k[timeLen:]), nil
}

// attemptKey is delivery · n.
func attemptKey(id uuid.UUID, n int) []byte {
	k := append(make([]byte, 0, tryLen), id[:]...)
	return binary.BigEndian.AppendUint32(k, uint32(n))
}

func parseAttempt(k []byte) (id uuid.UUID, n int, err error) {
	if len(k) != tryLen {
		return id, 0, badRow("key of %d bytes, want %d", len(k), tryLen)
	}
	return uuid.UUID(k[:idLen]), int(binary.BigEndian.Uint32(k[idLen:])), nil
}

// parseID reads a key that is one id.
func parseID(k []byte) (uuid.UUID, error) {
	if len(k) != idLen {
		return uuid.Nil, badRow("key of %d bytes, want %d", len(k), idLen)
	}
	return uuid.UUID(k), nil
}

// nextID returns a UUIDv7 for the time that is greater than last: of that
// millisecond with random bits where the clock has moved on, else last plus a
// random step. So ids grow in commit order also when the clock goes back, and
// an id's time is never before its commit.
func nextID(last uuid.UUID, ms uint64, random [10]byte) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], ms<<16)
	id[6], id[7] = random[8]&0x0f|0x70, random[9]
	copy(id[8:], random[:8])
	id[8] = id[8]&0x3f | 0x80
	if lastMillis(last) < ms {
		return id
	}
	// 122 bits count: 48 of time, 12 and 62 around version and variant.
	low := binary.BigEndian.Uint64(last[8:]) & (1<<62 - 1)
	high := binary.BigEndian.Uint64(last[:8])
	high = high>>16<<12 | high&0xfff
	low += uint64(binary.BigEndian.Uint32(random[:4])) + 1
	high += low >> 62
	low &= 1<<62 - 1
	binary.BigEndian.PutUint64(id[:8], high>>12<<16|0x7000|high&0xfff)
	binary.BigEndian.PutUint64(id[8:], 1<<63|low)
	return id
}

// lastMillis is the time in a UUIDv7.
func lastMillis(id uuid.UUID) uint64 { return binary.BigEndian.Uint64(id[:8]) >> 16 }
