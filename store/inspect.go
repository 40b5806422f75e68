package store

import (
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

// Inspection is what a data file says of itself.
type Inspection struct {
	Schema   int
	Instance uuid.UUID
	// Webhooks are all there are, without their signing keys.
	Webhooks []webhook.Webhook
}

// inspectTimeout is how long Inspect waits for the file: who has it open keeps it.
const inspectTimeout = 200 * time.Millisecond

// Inspect looks into a data file that no process has open: whether it is whole as
// far as its small buckets tell, of a version that this code reads, and sealed with
// the key. It changes nothing. Its errors are those of [Open].
func Inspect(path string, key []byte) (in Inspection, err error) {
	sl, err := newSealer(key)
	if err != nil {
		return in, err
	}
	db, _, err := openFile(path, bolt.Options{ReadOnly: true, Timeout: inspectTimeout})
	if err != nil {
		return in, err
	}
	defer func() {
		if p := recover(); p != nil {
			in, err = Inspection{}, damaged(path, p)
		}
		if cerr := db.Close(); err == nil {
			err = cerr
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	err = db.View(func(tx *bolt.Tx) error {
		if err := checkFile(path, tx, schemaVersion); err != nil {
			return err
		}
		if err := checkKey(path, tx, sl); err != nil {
			return err
		}
		meta := tx.Bucket([]byte(bucketMeta))
		in.Schema, in.Instance = schemaVersion, uuid.UUID(meta.Get(metaInstance))
		for k, b := range (reader{tx: tx, sealer: sl}).rows(bucketWebhooks, nil, nil) {
			rec, err := reader{tx: tx, sealer: sl}.decodeWebhook(uuid.UUID(k), b)
			if err != nil {
				return err
			}
			if rec.Key = nil; !rec.Removing {
				in.Webhooks = append(in.Webhooks, rec.Webhook)
			}
		}
		return touch(tx)
	})
	if err != nil {
		return Inspection{}, err
	}
	return in, nil
}
