package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Summary says what a data file holds.
type Summary struct {
	Bytes     int64     `json:"bytes"`
	Schema    int       `json:"schema"`
	Instance  uuid.UUID `json:"instance"`
	CreatedAt time.Time `json:"created_at"`
	// Latest is the newest moment that the file's records speak of: a reading, a
	// delivery, a change of a webhook. So of two files of one instance the later
	// one has the later Latest.
	Latest        time.Time `json:"latest"`
	Webhooks      int       `json:"webhooks"`
	Vehicles      int       `json:"vehicles"`
	Subscriptions int       `json:"subscriptions"`
	Waiting       uint64    `json:"waiting"`
}

// Describe summarises a data file that no process has open, or a backup, without
// checking all of it. Errors are those of [CheckFile].
func Describe(path string) (sum Summary, err error) {
	err = readFile(path, schemaVersion, func(tx *bolt.Tx) error {
		sum, err = summarise(reader{tx: tx})
		return err
	})
	return sum, err
}

// verify checks a file as [CheckFile] does and summarises it; with a key, it has to
// be the file's, and sealed values are opened too. A file of an older schema is
// checked in a copy that is brought up to date. Errors call the file by the name
// that it is to have.
func verify(ctx context.Context, file, name string, l layout, sl *sealer) (sum Summary, err error) {
	err = readFile(file, l.version, func(tx *bolt.Tx) error {
		sum, err = verifyTx(ctx, tx, name, sl)
		return err
	})
	if !errors.Is(err, errOlder) {
		return sum, renamed(err, name)
	}
	temp := file + ".newer"
	if err := copyPlain(file, temp); err != nil {
		return Summary{}, err
	}
	defer func() { _ = os.Remove(temp) }()
	if _, _, err := l.bring(temp); err != nil {
		return Summary{}, renamed(err, name)
	}
	return verify(ctx, temp, name, l, sl)
}

func verifyTx(ctx context.Context, tx *bolt.Tx, name string, sl *sealer) (Summary, error) {
	if sl != nil {
		if err := checkKey(name, tx, sl); err != nil {
			return Summary{}, err
		}
	}
	problems, err := checkTx(ctx, tx, sl)
	if err != nil {
		return Summary{}, err
	}
	if n := len(problems); n > 0 {
		return Summary{}, damaged(name, fmt.Sprintf("there are %d problems, the first: %s", n, problems[0]))
	}
	return summarise(reader{tx: tx})
}

// readFile opens a data file that no process has open for reading, sees that it is
// one of the version want (0 means any), and runs read. Damage is an error wrapping ErrDamaged.
func readFile(path string, want uint32, read func(*bolt.Tx) error) (err error) {
	db, _, err := openFile(path, bolt.Options{ReadOnly: true, Timeout: defaultLockTimeout})
	if err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, p)
		}
		if cerr := db.Close(); err == nil {
			err = cerr
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := db.Begin(false)
	if err != nil {
		return fmt.Errorf("read data file %s: %w", path, err)
	}
	defer func() { _ = tx.Rollback() }()
	if want == 0 {
		_, err = identify(path, tx)
	} else {
		err = checkFile(path, tx, want)
	}
	if err != nil {
		return err
	}
	return read(tx)
}

// summarise walks the small buckets.
func summarise(r reader) (Summary, error) {
	meta := r.bucket(bucketMeta)
	sum := Summary{
		Bytes: r.tx.Size(), Schema: int(binary.BigEndian.Uint32(meta.Get(metaSchema))),
		Instance: uuid.UUID(meta.Get(metaInstance)), CreatedAt: timeOf(binary.BigEndian.Uint64(meta.Get(metaCreated))),
	}
	newest := func(ts ...time.Time) {
		for _, t := range ts {
			if t.After(sum.Latest) {
				sum.Latest = t.UTC()
			}
		}
	}
	newest(sum.CreatedAt)
	if last := meta.Get(metaLastID); len(last) == idLen && uuid.UUID(last) != uuid.Nil {
		newest(timeOf(lastMillis(uuid.UUID(last))))
	}
	if k, _ := r.bucket(bucketFinished).Cursor().Last(); len(k) > timeLen {
		newest(timeOf(binary.BigEndian.Uint64(k)))
	}
	for k, v := range r.rows(bucketWebhooks, nil, nil) {
		rec, err := r.decodeWebhook(uuid.UUID(k), v)
		if err != nil {
			return sum, err
		}
		if !rec.Removing {
			sum.Webhooks++
		}
		sum.Waiting += rec.Ledger.Waiting()
		newest(rec.CreatedAt, rec.StatusSince, rec.VerifiedAt, rec.Breaker.OpenSince, rec.Breaker.LastAttempt)
	}
	for _, v := range r.rows(bucketVehicles, nil, nil) {
		var rec vehicleRecord
		if err := decode(v, &rec); err != nil {
			return sum, err
		}
		sum.Vehicles++
		newest(rec.ConnectedAt)
	}
	for _, v := range r.rows(bucketVehicleState, nil, nil) {
		var st vehicle.Status
		if err := decode(v, &st); err != nil {
			return sum, err
		}
		newest(st.ReadAt)
	}
	for _, v := range r.rows(bucketSubscriptions, nil, nil) {
		var sub webhook.Subscription
		if err := decode(v, &sub); err != nil {
			return sum, err
		}
		sum.Subscriptions++
		newest(sub.CreatedAt)
	}
	for _, v := range r.rows(bucketGrants, nil, nil) {
		var g grantRecord
		if err := decode(v, &g); err != nil {
			return sum, err
		}
		newest(g.CreatedAt)
	}
	return sum, nil
}
