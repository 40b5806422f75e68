package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Problem is one thing in the data file that cannot be as it is.
type Problem = webhook.FileProblem

// maxProblems ends a check that finds more; one damage can show in many rows.
const maxProblems = 1000

// Check walks the whole store and returns what is wrong with it; nil means all is
// well. It decodes and unseals every record, walks every index both ways, and
// holds every ledger against its queue. One read transaction is open meanwhile:
// where that matters, check a copy with [CheckFile].
func (s *Maintenance) Check(ctx context.Context) (problems []Problem, err error) {
	err = s.view(ctx, func(r reader) error {
		problems, err = check(ctx, r)
		return err
	})
	return problems, err
}

// CheckFile is Check for a data file that no process has open, or a copy. It reads
// only, needs no key (sealed values are not opened), and checks bbolt's pages too.
// A file that cannot be read at all is an error wrapping ErrDamaged, ErrNewer or
// ErrInUse.
func CheckFile(path string) (problems []Problem, err error) {
	return CheckFileContext(context.Background(), path)
}

// CheckFileContext is CheckFile that ends early with ctx.
func CheckFileContext(ctx context.Context, path string) (problems []Problem, err error) {
	err = readFile(path, schemaVersion, defaultLockTimeout, func(tx *bolt.Tx) error {
		problems, err = checkTx(ctx, tx, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return problems, nil
}

// checkTx checks all that a transaction sees, and the pages it lies on; without a
// sealer sealed values are not opened.
func checkTx(ctx context.Context, tx *bolt.Tx, sl *sealer) ([]Problem, error) {
	problems, err := check(ctx, reader{tx: tx, sealer: sl})
	if err != nil {
		return nil, err
	}
	// bbolt's own check runs in a goroutine of its own, where a fault could not be
	// caught; by now every page it will follow has been read.
	for perr := range tx.Check() {
		problems = append(problems, Problem{Bucket: "pages", Text: perr.Error()})
	}
	return problems, nil
}

// checker collects problems.
type checker struct {
	reader
	ctx      context.Context
	problems []Problem
	seen     int
	hooks    map[uuid.UUID]webhookRecord
}

func check(ctx context.Context, r reader) ([]Problem, error) {
	c := &checker{reader: r, ctx: ctx, hooks: make(map[uuid.UUID]webhookRecord)}
	for _, walk := range []func(*checker){
		checkMeta, checkWebhooks, checkVehicles, checkVehicleState, checkSubscriptions, checkSubsByVehicle, checkSchedules, checkDue,
		checkDeliveries, checkAttempts, checkPayloads, checkQueues, checkFinished,
		checkSecrets, checkGrants, checkGrantsByHash, checkConsents, checkConsentsByHash, checkHistory,
	} {
		walk(c)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return c.problems, nil
}

func (c *checker) bad(bucket, key, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{Bucket: bucket, Key: key, Text: fmt.Sprintf(format, args...)})
	}
}

// walk hands every row of a bucket to row, until there are too many problems or
// the context ends.
func (c *checker) walk(bucket string, row func(k, v []byte)) {
	for k, v := range c.rows(bucket, nil, nil) {
		if c.seen++; c.seen%1024 == 0 && c.ctx.Err() != nil || len(c.problems) >= maxProblems {
			return
		}
		row(k, v)
	}
}

// ids is walk for buckets whose key is one id.
func (c *checker) ids(bucket string, row func(id uuid.UUID, key string, v []byte)) {
	c.walk(bucket, func(k, v []byte) {
		id, err := parseID(k)
		if err != nil {
			c.bad(bucket, fmt.Sprintf("%x", k), "%v", err)
			return
		}
		row(id, id.String(), v)
	})
}

// pairs is walk for buckets whose key is webhook · vehicle, or the reverse.
func (c *checker) pairs(bucket string, row func(key webhook.SubscriptionKey, name string, v []byte)) {
	c.walk(bucket, func(k, v []byte) {
		key, err := parseSubscriptionKey(k)
		if err != nil {
			c.bad(bucket, fmt.Sprintf("%x", k), "%v", err)
			return
		}
		if bucket == bucketSubsByVehicle {
			key = webhook.SubscriptionKey{Webhook: key.Vehicle, Vehicle: key.Webhook}
		}
		row(key, subscriptionName(key), v)
	})
}

func subscriptionName(k webhook.SubscriptionKey) string {
	return k.Webhook.String() + "/" + k.Vehicle.String()
}

func checkMeta(c *checker) {
	c.walk(bucketMeta, func(k, v []byte) {
		want := map[string]int{
			string(metaSchema): 4, string(metaInstance): idLen, string(metaCreated): timeLen, string(metaLastID): idLen,
			string(metaCanary): sealedMin + len(canaryText),
		}
		if n, known := want[string(k)]; !known {
			c.bad(bucketMeta, string(k), "it is not known")
		} else if len(v) != n {
			c.bad(bucketMeta, string(k), "it has %d bytes, want %d", len(v), n)
		}
	})
	for _, name := range [][]byte{metaSchema, metaInstance, metaCreated, metaLastID, metaCanary} {
		if !c.has(bucketMeta, name) {
			c.bad(bucketMeta, string(name), "it is missing")
		}
	}
	if k, _ := c.bucket(bucketDeliveries).Cursor().Last(); bytes.Compare(k, c.get(bucketMeta, metaLastID)) > 0 {
		c.bad(bucketMeta, string(metaLastID), "a delivery has a greater id, %x", k)
	}
	_ = c.tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		if !slices.Contains(bucketNames, string(name)) {
			c.bad(string(name), "", "the bucket is not known")
		}
		return nil
	})
}

func checkWebhooks(c *checker) {
	names := make(map[string]uuid.UUID)
	c.ids(bucketWebhooks, func(id uuid.UUID, key string, v []byte) {
		rec, err := c.decodeWebhook(id, v)
		if err != nil {
			c.bad(bucketWebhooks, key, "%v", err)
		}
		if rec.ID != id {
			c.bad(bucketWebhooks, key, "its record says %s", rec.ID)
			return
		}
		if len(rec.SealedKey) < sealedMin {
			c.bad(bucketWebhooks, key, "its signing key is not sealed")
		}
		switch {
		case rec.KeyOverlap == nil && rec.SealedOldKey != nil:
			c.bad(bucketWebhooks, key, "it has an old signing key and no overlap")
		case rec.KeyOverlap != nil && len(rec.SealedOldKey) < sealedMin:
			c.bad(bucketWebhooks, key, "its keys overlap and it has no old one that is sealed")
		}
		if other, taken := names[rec.Name]; taken && !rec.Removing {
			c.bad(bucketWebhooks, key, "webhook %s has the name %q too", other, rec.Name)
		}
		if !rec.Removing {
			names[rec.Name] = id
		}
		c.hooks[id] = rec
	})
}

func checkVehicles(c *checker) {
	c.ids(bucketVehicles, func(id uuid.UUID, key string, v []byte) {
		var rec vehicleRecord
		if err := decode(v, &rec); err != nil {
			c.bad(bucketVehicles, key, "%v", err)
		} else if rec.ID != id {
			c.bad(bucketVehicles, key, "its record says %s", rec.ID)
		} else if err := checkSource(rec.Source); err != nil {
			c.bad(bucketVehicles, key, "%v", err)
		}
	})
}

func checkVehicleState(c *checker) {
	c.ids(bucketVehicleState, func(id uuid.UUID, key string, v []byte) {
		var st vehicle.Status
		if err := decode(v, &st); err != nil {
			c.bad(bucketVehicleState, key, "%v", err)
		}
		if !c.has(bucketVehicles, id[:]) {
			c.bad(bucketVehicleState, key, "there is no such vehicle")
		}
	})
}

func checkHistory(c *checker) {
	c.walk(bucketHistory, func(k, v []byte) {
		key := fmt.Sprintf("%x", k)
		if _, err := decodePoint(k, v); err != nil {
			c.bad(bucketHistory, key, "%v", err)
		} else if !c.has(bucketVehicles, k[:idLen]) {
			c.bad(bucketHistory, key, "there is no such vehicle")
		}
	})
}

func checkSubscriptions(c *checker) {
	c.pairs(bucketSubscriptions, func(key webhook.SubscriptionKey, name string, v []byte) {
		var sub webhook.Subscription
		if err := decode(v, &sub); err != nil {
			c.bad(bucketSubscriptions, name, "%v", err)
		} else if sub.SubscriptionKey != key {
			c.bad(bucketSubscriptions, name, "its record says %s", subscriptionName(sub.SubscriptionKey))
		}
		if !c.has(bucketWebhooks, key.Webhook[:]) {
			c.bad(bucketSubscriptions, name, "there is no such webhook")
		}
		if !c.has(bucketVehicles, key.Vehicle[:]) {
			c.bad(bucketSubscriptions, name, "there is no such vehicle")
		}
		if !c.has(bucketSchedules, subscriptionKey(key)) {
			c.bad(bucketSchedules, name, "the row is missing, its subscription is there")
		}
		if !c.has(bucketSubsByVehicle, pairKey(key.Vehicle, key.Webhook)) {
			c.bad(bucketSubsByVehicle, name, "the row is missing, its subscription is there")
		}
	})
}

func checkSubsByVehicle(c *checker) {
	c.pairs(bucketSubsByVehicle, func(key webhook.SubscriptionKey, name string, _ []byte) {
		if !c.has(bucketSubscriptions, subscriptionKey(key)) {
			c.bad(bucketSubsByVehicle, name, "there is no such subscription")
		}
	})
}

func checkSchedules(c *checker) {
	c.pairs(bucketSchedules, func(key webhook.SubscriptionKey, name string, v []byte) {
		if !c.has(bucketSubscriptions, subscriptionKey(key)) {
			c.bad(bucketSchedules, name, "there is no such subscription")
		}
		schedule, err := decodeSchedule(key, v)
		if err != nil {
			c.bad(bucketSchedules, name, "%v", err)
			return
		}
		if v, err := c.vehicleRecord(key.Vehicle); err == nil && v.Source != schedule.Source {
			c.bad(bucketSchedules, name, "its source is %s, its vehicle's %s", schedule.Source, v.Source)
		}
		if w, ok := c.hooks[key.Webhook]; ok && w.Fires() == schedule.Due.IsZero() {
			c.bad(bucketSchedules, name, "parked is %t and that its webhook fires is %t", schedule.Due.IsZero(), w.Fires())
		}
		if due, err := dueRow(schedule); err != nil {
			c.bad(bucketSchedules, name, "%v", err)
		} else if due != nil && !c.has(bucketDue, due) {
			c.bad(bucketDue, name, "the row is missing, its schedule is due at %s", schedule.Due.Format(time.RFC3339Nano))
		}
	})
}

func checkDue(c *checker) {
	c.walk(bucketDue, func(k, _ []byte) {
		source, ms, key, err := parseDue(k)
		if err != nil {
			c.bad(bucketDue, fmt.Sprintf("%x", k), "%v", err)
			return
		}
		name := subscriptionName(key)
		schedule, err := c.schedule(key)
		switch {
		case err != nil:
			c.bad(bucketDue, name, "there is no such schedule")
		case !schedule.Due.Equal(timeOf(ms)) || schedule.Source != source:
			c.bad(bucketDue, name, "it says %s at %s and its schedule %s at %s", source, timeOf(ms), schedule.Source, schedule.Due)
		}
	})
}
