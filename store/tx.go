package store

import (
	"bytes"
	"crypto/rand"
	"slices"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

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
	options *Options
	now     time.Time
	writes  int
	hooks   map[uuid.UUID]*hook
	lastID  uuid.UUID
	changes []webhook.Change // what to tell of after the commit
	change  tally            // of the numbers of records
}

func (s *core) begin(tx *bolt.Tx) *writeTx {
	return &writeTx{reader: s.reader(tx), options: &s.options, now: s.options.Now().UTC().Round(0), hooks: make(map[uuid.UUID]*hook)}
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
	c.WebhookName, c.VehicleName = h.rec.Name, t.vehicleName(d.Vehicle)
	t.tell(c)
}

// vehicleName is what a vehicle is called; empty for one that is not there.
func (t *writeTx) vehicleName(id uuid.UUID) string {
	v, err := t.vehicle(id)
	if err != nil {
		return ""
	}
	return v.Name
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
	case bucketDeliveries, bucketAttempts, bucketPayloads, bucketFinished, bucketHistory:
		b.FillPercent = 0.9 // these grow at their end, history at each vehicle's
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
