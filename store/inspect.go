package store

import (
	"time"

	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

// inspectTimeout is how long Inspect waits for the file: who has it open keeps it.
const inspectTimeout = 200 * time.Millisecond

// Inspect looks into a data file that no process has open: whether it is whole as
// far as its small buckets tell, of a version that this code reads, and sealed with
// the key. It changes nothing, and returns the webhooks without their signing keys. Its
// errors are those of [Open].
func Inspect(path string, key []byte) (ws []webhook.Webhook, err error) {
	sl, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	err = readFile(path, schemaVersion, inspectTimeout, func(tx *bolt.Tx) error {
		if err := checkKey(path, tx, sl); err != nil {
			return err
		}
		touch(tx)
		return reader{tx: tx, sealer: sl}.eachWebhook(func(rec webhookRecord) {
			if rec.Key, rec.OldKey = nil, nil; !rec.Removing {
				ws = append(ws, rec.Webhook)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return ws, nil
}
