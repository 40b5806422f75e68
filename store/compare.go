package store

import (
	"bytes"
	"context"

	bolt "go.etcd.io/bbolt"
)

// Loss counts what a data file has and a backup of it has not.
type Loss struct {
	Webhooks      int `json:"webhooks"`
	Vehicles      int `json:"vehicles"`
	Subscriptions int `json:"subscriptions"`
	Tokens        int `json:"tokens"`
	// Deliveries were made after the backup; Waiting of them have not been sent.
	Deliveries int `json:"deliveries"`
	Waiting    int `json:"waiting"`
	// Again counts the deliveries that wait in the backup and have ended since, so
	// that they are sent a second time.
	Again int `json:"again"`
	// Accounts counts the connections whose tokens at the vendor were renewed since;
	// the vendor may not take the old ones any more.
	Accounts int `json:"accounts"`
}

// lossOf compares two files of one schema.
func lossOf(here, backup reader) (l Loss) {
	for bucket, n := range map[string]*int{
		bucketWebhooks: &l.Webhooks, bucketVehicles: &l.Vehicles, bucketSubscriptions: &l.Subscriptions, bucketGrants: &l.Tokens,
	} {
		for k := range here.rows(bucket, nil, nil) {
			if !backup.has(bucket, k) {
				*n++
			}
		}
	}
	// Records of deliveries go with their age, and ids only grow: what is missing
	// and younger than the backup's youngest was made after it.
	last := backup.get(bucketMeta, metaLastID)
	for k := range here.rows(bucketDeliveries, nil, last) {
		if !bytes.Equal(k, last) {
			l.Deliveries++
		}
	}
	for k := range here.rows(bucketLane, nil, nil) {
		if bytes.Compare(k[idLen:], last) > 0 {
			l.Waiting++
		}
	}
	for k := range backup.rows(bucketLane, nil, nil) {
		if !here.has(bucketLane, k) {
			l.Again++
		}
	}
	for k, v := range here.rows(bucketSecrets, nil, nil) {
		if bytes.HasPrefix(k, []byte(AlertMemory)) {
			continue // told again at worst
		}
		if old := backup.get(bucketSecrets, k); old != nil && !bytes.Equal(old, v) {
			l.Accounts++
		}
	}
	return l
}

// sameRows reports whether two files hold the same rows.
func sameRows(ctx context.Context, a, b *bolt.Tx) (bool, error) {
	ca, cb := a.Cursor(), b.Cursor()
	ka, _ := ca.First()
	kb, _ := cb.First()
	for ka != nil && bytes.Equal(ka, kb) {
		same, err := sameBucket(ctx, a.Bucket(ka), b.Bucket(kb))
		if err != nil || !same {
			return false, err
		}
		ka, _ = ca.Next()
		kb, _ = cb.Next()
	}
	return ka == nil && kb == nil, nil
}

func sameBucket(ctx context.Context, a, b *bolt.Bucket) (bool, error) {
	if a == nil || b == nil {
		return false, nil // a row where a bucket should be
	}
	ca, cb := a.Cursor(), b.Cursor()
	ka, va := ca.First()
	kb, vb := cb.First()
	for n := 0; ka != nil && bytes.Equal(ka, kb) && bytes.Equal(va, vb); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		ka, va = ca.Next()
		kb, vb = cb.Next()
	}
	return ka == nil && kb == nil, nil
}
