package store

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// The buckets, as drawn in the package comment.
const (
	bucketMeta           = "meta"
	bucketWebhooks       = "webhooks"
	bucketVehicles       = "vehicles"
	bucketVehicleState   = "vehicle_state"
	bucketSubscriptions  = "subscriptions"
	bucketSubsByVehicle  = "subs_by_vehicle"
	bucketSchedules      = "slots"
	bucketDue            = "slot_due"
	bucketDeliveries     = "deliveries"
	bucketAttempts       = "attempts"
	bucketPayloads       = "payloads"
	bucketWaiting        = "waiting"
	bucketFinished       = "finished"
	bucketSecrets        = "secrets"
	bucketGrants         = "grants"
	bucketGrantsByHash   = "grants_by_hash"
	bucketConsents       = "consents"
	bucketConsentsByHash = "consents_by_hash"
	bucketHistory        = "history"
)

var bucketNames = []string{
	bucketMeta, bucketWebhooks, bucketVehicles, bucketVehicleState, bucketSubscriptions, bucketSubsByVehicle,
	bucketSchedules, bucketDue, bucketDeliveries, bucketAttempts, bucketPayloads, bucketWaiting, bucketFinished,
	bucketSecrets, bucketGrants, bucketGrantsByHash, bucketConsents, bucketConsentsByHash, bucketHistory,
}

// reader reads records in one transaction. Bytes it returns are valid only
// within it; records are copies.
type reader struct {
	tx     *bolt.Tx
	sealer *sealer // nil where no key is at hand; sealed fields stay sealed
	memos  *memos  // nil where records are read once
}

func (r reader) bucket(name string) *bolt.Bucket { return r.tx.Bucket([]byte(name)) }

func (r reader) get(bucket string, key []byte) []byte { return r.bucket(bucket).Get(key) }

// has reports whether the key is there, whatever its value.
func (r reader) has(bucket string, key []byte) bool {
	k, _ := r.bucket(bucket).Cursor().Seek(key)
	return bytes.Equal(k, key)
}

// rows yields the rows whose keys begin with prefix and are not less than from.
// The bucket must not change meanwhile.
func (r reader) rows(bucket string, prefix, from []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		b := r.bucket(bucket)
		if b == nil {
			return // history, in a file that was never opened since it came
		}
		c, start := b.Cursor(), prefix
		if bytes.Compare(from, prefix) > 0 {
			start = from
		}
		for k, v := c.Seek(start); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if !yield(k, v) {
				return
			}
		}
	}
}

// following is the least key that is greater than key; of no key it is none.
func following(key []byte) []byte {
	if key == nil {
		return nil
	}
	return append(bytes.Clone(key), 0)
}

// keys copies at most limit keys that begin with prefix, so that they may be
// deleted; limit 0 means all.
func (r reader) keys(bucket string, prefix []byte, limit int) [][]byte {
	var ks [][]byte
	for k := range r.rows(bucket, prefix, nil) {
		if ks = append(ks, bytes.Clone(k)); len(ks) == limit {
			break
		}
	}
	return ks
}

// webhookRecord reads a webhook, also one being removed.
func (r reader) webhookRecord(id uuid.UUID) (webhookRecord, error) {
	b := r.get(bucketWebhooks, id[:])
	if b == nil {
		return webhookRecord{}, noWebhook(id)
	}
	return r.decodeWebhook(id, b)
}

func (r reader) decodeWebhook(id uuid.UUID, b []byte) (rec webhookRecord, err error) {
	if err := decode(b, &rec); err != nil {
		return rec, named("webhook", id, err)
	}
	if r.sealer == nil {
		return rec, nil
	}
	if rec.Key, err = r.sealer.open(bucketWebhooks, id[:], rec.SealedKey); err != nil {
		return rec, named("signing key of webhook", id, err)
	}
	if len(rec.SealedOldKey) > 0 {
		if rec.OldKey, err = r.sealer.open(bucketWebhooks, oldKeyName(id), rec.SealedOldKey); err != nil {
			return rec, named("old signing key of webhook", id, err)
		}
	}
	return rec, nil
}

// eachWebhook hands every webhook to do, also one being removed.
func (r reader) eachWebhook(do func(webhookRecord)) error {
	for k, b := range r.rows(bucketWebhooks, nil, nil) {
		rec, err := r.decodeWebhook(uuid.UUID(k), b)
		if err != nil {
			return err
		}
		do(rec)
	}
	return nil
}

// vehicle reads a vehicle that is not being removed.
func (r reader) vehicle(id uuid.UUID) (vehicle.Vehicle, error) {
	rec, err := r.vehicleRecord(id)
	if err == nil && rec.Removing {
		err = noVehicle(id)
	}
	return rec.shown(), err
}

func (r reader) vehicleRecord(id uuid.UUID) (rec vehicleRecord, err error) {
	b := r.get(bucketVehicles, id[:])
	if b == nil {
		return rec, noVehicle(id)
	}
	if err := r.memos.vehicle(id, b, &rec); err != nil {
		return rec, named("vehicle", id, err)
	}
	return rec, nil
}

// status reads a vehicle's status, the zero one where nothing was read yet.
func (r reader) status(id uuid.UUID) (st vehicle.Status, err error) {
	if b := r.get(bucketVehicleState, id[:]); b != nil {
		if err := r.memos.status(id, b, &st); err != nil {
			return st, named("status of vehicle", id, err)
		}
	}
	return st, nil
}

func (r reader) schedule(key webhook.SubscriptionKey) (webhook.Schedule, error) {
	b := r.get(bucketSchedules, subscriptionKey(key))
	if b == nil {
		return webhook.Schedule{}, named("schedule", fmt.Sprintf("%s/%s", key.Webhook, key.Vehicle), webhook.ErrNotFound)
	}
	return decodeSchedule(key, b)
}

func (r reader) delivery(id uuid.UUID) (rec deliveryRecord, err error) {
	b := r.get(bucketDeliveries, id[:])
	if b == nil {
		return rec, noDelivery(id)
	}
	if err := r.memos.delivery(id, b, &rec); err != nil {
		return rec, named("delivery", id, err)
	}
	return rec, nil
}

// subscriptionsOf lists a vehicle's subscriptions, by webhook id.
func (r reader) subscriptionsOf(id uuid.UUID) ([]webhook.SubscriptionKey, error) {
	var keys []webhook.SubscriptionKey
	for k := range r.rows(bucketSubsByVehicle, id[:], nil) {
		v, w, err := parsePair(k)
		if err != nil {
			return nil, named("subscriptions of vehicle", id, err)
		}
		keys = append(keys, webhook.SubscriptionKey{Webhook: w, Vehicle: v})
	}
	return keys, nil
}
