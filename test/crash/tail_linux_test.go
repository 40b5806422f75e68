package crash

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"

	"plugbeat/test/crash/stop"
)

// entry is one line of the record of a data file: a write, a change of its length, or
// a sync that ended.
type entry struct {
	kind byte // 'W', 'T' or 'S'
	at   int64
	b    []byte
}

// readRecord reads what the stepped daemon noted. An entry that is cut short was being
// noted when the daemon ended, and nobody acted on it.
func readRecord(path string) (all []entry, err error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for len(rest) >= 17 {
		e := entry{kind: rest[0], at: int64(binary.LittleEndian.Uint64(rest[1:]))} //nolint:gosec // an offset
		n := int(binary.LittleEndian.Uint64(rest[9:]))                             //nolint:gosec // a length
		if rest = rest[17:]; n > len(rest) {
			break
		}
		e.b, rest = rest[:n], rest[n:]
		all = append(all, e)
	}
	return all, nil
}

// apply does to a file's content what the entry did.
func (e entry) apply(file []byte) []byte {
	end := int(e.at)
	if e.kind == 'W' {
		end += len(e.b)
	}
	if end > len(file) {
		file = append(file, make([]byte, end-len(file))...)
	}
	switch e.kind {
	case 'W':
		copy(file[e.at:], e.b)
	case 'T':
		file = file[:e.at]
	}
	return file
}

// sector is what a disk writes whole or not at all.
const sector = 512

// cutPower makes of the data file what a disk may hold after the power was cut when
// the daemon ended: all that was written before the last sync that ended, and of what
// was written after it any part, in pieces of a sector. It returns how many writes
// there were after that sync.
func (h *harness) cutPower() (torn int, err error) {
	now, err := os.ReadFile(h.d.DataFile())
	if err != nil {
		return 0, err
	}
	record, err := readRecord(h.path("record"))
	if err != nil {
		return 0, err
	}
	synced := 0
	for i, e := range record {
		if e.kind == 'S' {
			synced = i + 1
		}
	}
	file := bytes.Clone(h.base)
	for _, e := range record[:synced] {
		file = e.apply(file)
	}
	tail, whole := record[synced:], bytes.Clone(file)
	for _, e := range tail {
		whole = e.apply(whole)
	}
	// Where the daemon ended in its writer, the record must be complete. Elsewhere the
	// last write may be missing from it, as if the disk had not begun with it.
	if s := h.page.Reached(); s != stop.None && s != stop.BeforeRequest && s != stop.AfterRequest && !bytes.Equal(whole, now) {
		return 0, fmt.Errorf("the record of writes does not lead to the data file: %d bytes, want %d", len(whole), len(now))
	}
	for _, e := range some(tail, h.random) {
		file = e.apply(file)
	}
	return len(tail), os.WriteFile(h.d.DataFile(), file, 0o600)
}

// some is what of the writes a disk did: none, all, those up to some moment, only those
// after it, some of them in no order, or some sectors of each.
func some(tail []entry, random *rand.Rand) (done []entry) {
	upto := random.IntN(len(tail) + 1)
	switch random.IntN(6) {
	case 0:
		return nil
	case 1:
		return tail
	case 2:
		return tail[:upto]
	case 3:
		return tail[upto:]
	case 4:
		for _, e := range tail {
			if random.IntN(2) == 0 {
				done = append(done, e)
			}
		}
		return done
	}
	for _, e := range tail {
		if e.kind != 'W' {
			done = append(done, e)
			continue
		}
		for at := 0; at < len(e.b); at += sector {
			if random.IntN(2) == 0 {
				done = append(done, entry{'W', e.at + int64(at), e.b[at:min(at+sector, len(e.b))]})
			}
		}
	}
	return done
}
