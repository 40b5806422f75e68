package store

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// The buckets, as drawn in the package comment.
const (
	bucketMeta          = "meta"
	bucketWebhooks      = "webhooks"
	bucketVehicles      = "vehicles"
	bucketVehicleState  = "vehicle_state"
	bucketSubscriptions = "subscriptions"
	bucketSubsByVehicle = "subs_by_vehicle"
	bucketSchedules     = "slots"
	bucketDue           = "slot_due"
	bucketDeliveries    = "deliveries"
	bucketAttempts      = "attempts"
	bucketPayloads      = "payloads"
	bucketWaiting       = "waiting"
	bucketFinished      = "finished"
	bucketSecrets       = "secrets"
	bucketGrants        = "grants"
	bucketGrantsByHash  = "grants_by_hash"

	bucketConsents       = "consents" // not in every file; see consents.go
	bucketConsentsByHash = "consents_by_hash"
)

var bucketNames = []string{
	bucketMeta, bucketWebhooks, bucketVehicles, bucketVehicleState, bucketSubscriptions, bucketSubsByVehicle,
	bucketSchedules, bucketDue, bucketDeliveries, bucketAttempts, bucketPayloads, bucketWaiting, bucketFinished,
	bucketSecrets, bucketGrants, bucketGrantsByHash,
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
		c := r.bucket(bucket).Cursor()
		start := prefix
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

// vehicle reads a vehicle that is not being removed.
func (r reader) vehicle(id uuid.UUID) (vehicle.Vehicle, error) {
	rec, err := r.vehicleRecord(id)
	if err == nil && rec.Removing {
		err = noVehicle(id)
	}
	return rec.Vehicle, err
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

// hook is a webhook that operations of a group share. It is written once, when
// the group ends.
type hook struct {
	rec   webhookRecord
	dirty bool
}

// writeTx is the transaction of a group. Every change goes through it, so it
// knows whether an operation has written.
type writeTx struct {
	reader
	now     time.Time
	writes  int
	hooks   map[uuid.UUID]*hook
	lastID  uuid.UUID
	changes []webhook.Change // what to tell of after the commit
	change  tally            // of the numbers of records
}

func (s *core) begin(tx *bolt.Tx) *writeTx {
	return &writeTx{reader: reader{tx: tx, sealer: s.sealer, memos: &s.memos}, now: s.now().UTC().Round(0), hooks: make(map[uuid.UUID]*hook)}
}

// flush writes what operations of the group shared.
func (t *writeTx) flush() error {
	for id, h := range t.hooks {
		if h.dirty {
			if err := t.putWebhook(h); err != nil {
				return named("webhook", id, err)
			}
		}
	}
	if t.lastID != uuid.Nil {
		return t.bucket(bucketMeta).Put(metaLastID, t.lastID[:])
	}
	return nil
}

// tell enters a change of which [Options.Committed] is told after the commit. It is
// called beside a write, so that an operation which fails later takes it back.
func (t *writeTx) tell(c webhook.Change) {
	c.At = t.now
	t.changes = append(t.changes, c)
}

// tellDelivery tells of a delivery of the hook, with the attempt that was made or nil.
func (t *writeTx) tellDelivery(h *hook, d webhook.Delivery, a *webhook.Attempt) {
	c := webhook.ChangeOf(d, a)
	c.WebhookName = h.rec.Name
	t.tell(c)
}

// tellWebhook tells of the hook as it stands.
func (t *writeTx) tellWebhook(h *hook, did webhook.ChangeAction) {
	w := &h.rec.Webhook
	t.tell(webhook.Change{Kind: webhook.WebhookChange, Action: did, Webhook: w.ID, WebhookName: w.Name, Status: w.Status, Reason: w.Reason})
}

func (t *writeTx) put(bucket string, key, value []byte) error {
	t.writes++
	b := t.bucket(bucket)
	switch bucket {
	case bucketDeliveries, bucketAttempts, bucketPayloads, bucketFinished:
		b.FillPercent = 0.9 // these grow at their end
	}
	return b.Put(key, value)
}

func (t *writeTx) putRecord(bucket string, key []byte, record any) error {
	b, err := encode(record)
	if err != nil {
		return err
	}
	return t.put(bucket, key, b)
}

func (t *writeTx) delete(bucket string, key []byte) error {
	t.writes++
	return t.bucket(bucket).Delete(key)
}

// deletePrefix deletes every row whose key begins with prefix.
func (t *writeTx) deletePrefix(bucket string, prefix []byte) error {
	for _, k := range t.keys(bucket, prefix, 0) {
		if err := t.delete(bucket, k); err != nil {
			return err
		}
	}
	return nil
}

// newID makes the next delivery's id.
func (t *writeTx) newID() (uuid.UUID, error) {
	ms, err := millis(t.now)
	if err != nil {
		return uuid.Nil, err
	}
	var random [10]byte
	_, _ = rand.Read(random[:])
	t.lastID = nextID(t.newestID(), ms, random)
	return t.lastID, nil
}

// newestID is the id of the delivery made last, whatever became of it.
func (t *writeTx) newestID() uuid.UUID {
	if t.lastID != uuid.Nil {
		return t.lastID
	}
	return uuid.UUID(t.get(bucketMeta, metaLastID))
}

// hook returns the group's copy of a webhook, also of one being removed.
func (t *writeTx) hook(id uuid.UUID) (*hook, error) {
	if h := t.hooks[id]; h != nil {
		return h, nil
	}
	rec, err := t.webhookRecord(id)
	if err != nil {
		return nil, err
	}
	h := &hook{rec: rec}
	t.hooks[id] = h
	return h, nil
}

// liveHook is hook without those being removed.
func (t *writeTx) liveHook(id uuid.UUID) (*hook, error) {
	h, err := t.hook(id)
	if err == nil && h.rec.Removing {
		return nil, noWebhook(id)
	}
	return h, err
}

// touch marks the hook to be written when the group ends.
func (t *writeTx) touch(h *hook) { t.writes++; h.dirty = true }

func (t *writeTx) putWebhook(h *hook) error {
	id := h.rec.ID
	if h.rec.SealedKey == nil {
		h.rec.SealedKey = t.sealer.seal(bucketWebhooks, id[:], h.rec.Key)
	}
	switch {
	case len(h.rec.OldKey) == 0:
		h.rec.SealedOldKey = nil
	case h.rec.SealedOldKey == nil:
		h.rec.SealedOldKey = t.sealer.seal(bucketWebhooks, oldKeyName(id), h.rec.OldKey)
	}
	h.dirty = false
	return t.putRecord(bucketWebhooks, id[:], h.rec)
}

// cloneWebhook copies what a webhook refers to, so that the copy can be changed
// and kept.
func cloneWebhook(w webhook.Webhook) webhook.Webhook {
	w.Breaker.Tried = slices.Clone(w.Breaker.Tried)
	w.Key, w.OldKey = slices.Clone(w.Key), slices.Clone(w.OldKey)
	w.KeyOverlap, w.Recovery = copied(w.KeyOverlap), copied(w.Recovery)
	return w
}

// putSchedule writes a schedule and moves its row in the due queue. before is the schedule as
// it stands, nil for a new one.
func (t *writeTx) putSchedule(before *webhook.Schedule, s webhook.Schedule) error {
	value, err := encodeSchedule(s)
	if err != nil {
		return err
	}
	was, is := []byte(nil), []byte(nil)
	if before != nil {
		if was, err = dueRow(*before); err != nil {
			return err
		}
	}
	if is, err = dueRow(s); err != nil {
		return err
	}
	if !bytes.Equal(was, is) {
		if was != nil {
			if err := t.delete(bucketDue, was); err != nil {
				return err
			}
		}
		if is != nil {
			if err := t.put(bucketDue, is, []byte{}); err != nil {
				return err
			}
		}
	}
	return t.put(bucketSchedules, subscriptionKey(s.SubscriptionKey), value)
}

// dueRow is the schedule's row in the due queue, nil while it is parked.
func dueRow(s webhook.Schedule) ([]byte, error) {
	ms, err := millis(s.Due)
	if err != nil || ms == 0 {
		return nil, err
	}
	return dueKey(s.Source, ms, s.SubscriptionKey), nil
}

// deleteSubscription removes a subscription with its schedule and index rows.
func (t *writeTx) deleteSubscription(key webhook.SubscriptionKey) error {
	k := subscriptionKey(key)
	schedule, err := t.schedule(key)
	if err != nil {
		return err
	}
	due, err := dueRow(schedule)
	if err != nil {
		return err
	}
	if due != nil {
		if err := t.delete(bucketDue, due); err != nil {
			return err
		}
	}
	if err := t.delete(bucketSchedules, k); err != nil {
		return err
	}
	if err := t.delete(bucketSubsByVehicle, pairKey(key.Vehicle, key.Webhook)); err != nil {
		return err
	}
	t.change.subscriptions--
	return t.delete(bucketSubscriptions, k)
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
