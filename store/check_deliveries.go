package store

import (
	"bytes"
	"fmt"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func checkDeliveries(c *checker) {
	c.ids(bucketDeliveries, func(id uuid.UUID, key string, v []byte) {
		var rec deliveryRecord
		if err := decode(v, &rec); err != nil {
			c.bad(bucketDeliveries, key, "%v", err)
			return
		}
		if rec.ID != id {
			c.bad(bucketDeliveries, key, "its record says %s", rec.ID)
			return
		}
		if rec.State.Final() {
			c.finishedDelivery(rec, key)
		} else {
			c.waitingDelivery(rec, key)
		}
		payload := c.get(bucketPayloads, id[:])
		switch {
		case rec.Erased == erasedNothing && payload == nil:
			c.bad(bucketPayloads, key, "the row is missing, its delivery is there and not erased")
		case rec.Erased != erasedNothing && payload != nil:
			c.bad(bucketPayloads, key, "its delivery is erased")
		case rec.Erased == erasedNothing && len(payload) != rec.Bytes:
			c.bad(bucketPayloads, key, "it has %d bytes, its delivery says %d", len(payload), rec.Bytes)
		}
		for n := 1; n <= rec.Attempts && rec.Erased != erasedAll; n++ {
			if !c.has(bucketAttempts, attemptKey(id, n)) {
				c.bad(bucketAttempts, fmt.Sprintf("%s/%d", key, n), "the row is missing, its delivery had %d attempts", rec.Attempts)
			}
		}
	})
}

func (c *checker) waitingDelivery(rec deliveryRecord, key string) {
	if rec.State != webhook.Waiting {
		c.bad(bucketDeliveries, key, "there is no state %q", rec.State)
	}
	if rec.Erased != erasedNothing {
		c.bad(bucketDeliveries, key, "it waits and is erased")
	}
	if !c.has(bucketWaiting, pairKey(rec.Webhook, rec.ID)) {
		c.bad(bucketWaiting, key, "the row is missing, its delivery waits")
	}
	if !c.has(bucketWebhooks, rec.Webhook[:]) {
		c.bad(bucketDeliveries, key, "it waits and its webhook %s is gone", rec.Webhook)
	}
	if !c.has(bucketVehicles, rec.Vehicle[:]) {
		c.bad(bucketDeliveries, key, "it waits and its vehicle %s is gone", rec.Vehicle)
	}
}

func (c *checker) finishedDelivery(rec deliveryRecord, key string) {
	known := false
	for _, s := range webhook.States {
		known = known || s == rec.State
	}
	if !known {
		c.bad(bucketDeliveries, key, "there is no state %q", rec.State)
	}
	ms, err := millis(rec.FinishedAt)
	if err != nil || ms == 0 {
		c.bad(bucketDeliveries, key, "it is %s without a time", rec.State)
	} else if !c.has(bucketFinished, doneKey(ms, rec.ID)) {
		c.bad(bucketFinished, key, "the row is missing, its delivery is %s", rec.State)
	}
	if c.has(bucketWaiting, pairKey(rec.Webhook, rec.ID)) {
		c.bad(bucketWaiting, key, "its delivery is %s", rec.State)
	}
}

func checkAttempts(c *checker) {
	c.walk(bucketAttempts, func(k, v []byte) {
		id, n, err := parseAttempt(k)
		if err != nil {
			c.bad(bucketAttempts, fmt.Sprintf("%x", k), "%v", err)
			return
		}
		key := fmt.Sprintf("%s/%d", id, n)
		var a webhook.Attempt
		if err := decode(v, &a); err != nil {
			c.bad(bucketAttempts, key, "%v", err)
		} else if a.N != n {
			c.bad(bucketAttempts, key, "its record says %d", a.N)
		}
		rec, err := c.delivery(id)
		switch {
		case err != nil:
			c.bad(bucketAttempts, key, "there is no such delivery")
		case n < 1 || n > rec.Attempts:
			c.bad(bucketAttempts, key, "its delivery had %d attempts", rec.Attempts)
		case rec.Erased == erasedAll:
			c.bad(bucketAttempts, key, "its delivery is erased")
		}
	})
}

func checkPayloads(c *checker) {
	c.ids(bucketPayloads, func(id uuid.UUID, key string, _ []byte) {
		if !c.has(bucketDeliveries, id[:]) {
			c.bad(bucketPayloads, key, "there is no such delivery")
		}
	})
}

// checkQueues holds each row against its delivery, and each ledger against its rows.
func checkQueues(c *checker) {
	waiting := make(map[uuid.UUID]uint64)
	c.walk(bucketWaiting, func(k, v []byte) {
		w, id, err := parsePair(k)
		if err != nil {
			c.bad(bucketWaiting, fmt.Sprintf("%x", k), "%v", err)
			return
		}
		waiting[w]++
		key := id.String()
		if _, ok := c.hooks[w]; !ok {
			c.bad(bucketWaiting, key, "there is no webhook %s", w)
		}
		rec, err := c.delivery(id)
		switch {
		case err != nil:
			c.bad(bucketWaiting, key, "there is no such delivery")
		case rec.State != webhook.Waiting || rec.Webhook != w:
			c.bad(bucketWaiting, key, "its delivery is %s on webhook %s", rec.State, rec.Webhook)
		default:
			if want, err := queuedValue(rec.Delivery); err != nil || !bytes.Equal(v, want) {
				c.bad(bucketWaiting, key, "it says %x and its delivery %x (vehicle, retry time)", v, want)
			}
		}
	})
	for id, rec := range c.hooks {
		l := rec.Ledger
		if done := l.Delivered + l.Superseded + l.Dead + l.Expired + l.Cancelled; done+waiting[id] != l.Produced {
			c.bad(bucketWebhooks, id.String(), "the ledger does not balance: %d produced, %d finished, %d wait", l.Produced, done, waiting[id])
		}
	}
}

func checkFinished(c *checker) {
	c.walk(bucketFinished, func(k, _ []byte) {
		ms, id, err := parseDone(k)
		if err != nil {
			c.bad(bucketFinished, fmt.Sprintf("%x", k), "%v", err)
			return
		}
		key := id.String()
		rec, err := c.delivery(id)
		if err != nil {
			c.bad(bucketFinished, key, "there is no such delivery")
			return
		}
		at, err := millis(rec.FinishedAt)
		if err != nil || !rec.State.Final() || at != ms {
			c.bad(bucketFinished, key, "it says %s and its delivery is %s at %s", timeOf(ms), rec.State, rec.FinishedAt)
		}
	})
}
