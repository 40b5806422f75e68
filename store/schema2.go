package store

import (
	"fmt"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
)

// This file makes a data file of schema 1 one of schema 2. In schema 1 a webhook had a
// ladder with rungs and trials (health) where schema 2 has a circuit breaker with steps and
// probes. A delivery could have a rung of its own, an attempt had all headers of its answer,
// the queue was bucket lane, and bucket changes told what happened to deliveries. The step
// changes records as raw JSON and has types of its own, so that package webhook may change
// without it.

// The buckets that schema 1 had and schema 2 does not.
const (
	bucketLane1    = "lane"    // became waiting
	bucketChanges1 = "changes" // what happened is told from memory now
)

// toSchema2 makes a file of schema 1 one of schema 2.
func toSchema2(db *bolt.DB) (notes []note, err error) {
	hooks := make(map[uuid.UUID]*webhook1)
	err = rewriteRows(db, bucketWebhooks, func(tx *bolt.Tx, k, v []byte) ([]byte, error) {
		id, err := parseID(k)
		if err != nil {
			return nil, &unreadable{fmt.Errorf("webhook %x: %w", k, err)}
		}
		w, value, told, err := webhookTo2(tx, v)
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %w", id, err)
		}
		hooks[id] = w
		for _, text := range told {
			notes = append(notes, note{id, w.Name, text})
		}
		return value, nil
	})
	if err != nil {
		return nil, err
	}
	err = rewriteRows(db, bucketDeliveries, func(tx *bolt.Tx, k, v []byte) ([]byte, error) {
		value, err := deliveryTo2(tx, hooks, k, v)
		if err != nil {
			return nil, fmt.Errorf("delivery %x: %w", k, err)
		}
		return value, nil
	})
	if err != nil {
		return nil, err
	}
	err = rewriteRows(db, bucketAttempts, func(_ *bolt.Tx, k, v []byte) ([]byte, error) {
		value, err := attemptTo2(v)
		if err != nil {
			return nil, fmt.Errorf("attempt %x: %w", k, err)
		}
		return value, nil
	})
	if err != nil {
		return nil, err
	}
	if err := queuesTo2(db); err != nil {
		return nil, err
	}
	return notes, db.Update(func(tx *bolt.Tx) error {
		if err := tx.DeleteBucket([]byte(bucketLane1)); err != nil {
			return err
		}
		for _, name := range []string{bucketConsents, bucketConsentsByHash} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		if tx.Bucket([]byte(bucketChanges1)) == nil {
			return nil // no delivery was made yet, or none since that bucket came
		}
		return tx.DeleteBucket([]byte(bucketChanges1))
	})
}
