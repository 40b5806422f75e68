package store

import (
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
	err = readFile(path, schemaVersion, inspectTimeout, func(tx *bolt.Tx) error {
		if err := checkKey(path, tx, sl); err != nil {
			return err
		}
		r := reader{tx: tx, sealer: sl}
		in.Schema, in.Instance = schemaVersion, uuid.UUID(r.get(bucketMeta, metaInstance))
		err := r.eachWebhook(func(rec webhookRecord) {
			if rec.Key, rec.OldKey = nil, nil; !rec.Removing {
				in.Webhooks = append(in.Webhooks, rec.Webhook)
			}
		})
		if err != nil {
			return err
		}
		touch(tx)
		return nil
	})
	if err != nil {
		return Inspection{}, err
	}
	return in, nil
}
