package store

import (
	"context"
	"encoding/binary"
	"fmt"
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
	// Warning says of a backup just made that it is sound and may be lost in a power cut;
	// empty for no such trouble.
	Warning string `json:"warning,omitempty"`
}

// Describe summarises a data file that no process has open, or a backup, without
// checking all of it. Errors are those of [CheckFile].
func Describe(path string) (sum Summary, err error) {
	err = readFile(path, schemaVersion, defaultLockTimeout, func(tx *bolt.Tx) error {
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
	err = l.read(ctx, file, func(tx *bolt.Tx) error {
		sum, err = verifyTx(ctx, tx, name, sl)
		return err
	})
	return sum, renamed(err, name)
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
	err := r.eachWebhook(func(rec webhookRecord) {
		if !rec.Removing {
			sum.Webhooks++
		}
		sum.Waiting += rec.Ledger.Waiting()
		newest(rec.CreatedAt, rec.StatusSince, rec.VerifiedAt, rec.Breaker.OpenSince, rec.Breaker.LastAttempt)
	})
	if err != nil {
		return sum, err
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
