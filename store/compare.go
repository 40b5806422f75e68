package store

import (
	"bytes"
	"context"
	"errors"

	bolt "go.etcd.io/bbolt"
)

// Loss counts what a data file has and a backup of it has not, and the reverse: what
// was let go of since and comes back with the backup.
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
	// Keys counts the webhooks whose signing key was replaced since.
	Keys int `json:"keys"`
	// Back is what was removed, disconnected, unsubscribed or revoked since.
	Back Back `json:"back"`
}

// Back counts what comes back with a backup.
type Back struct {
	Webhooks      int `json:"webhooks"`
	Vehicles      int `json:"vehicles"`
	Subscriptions int `json:"subscriptions"`
	Tokens        int `json:"tokens"`
}

// lossOf compares two files of one schema.
func lossOf(here, backup reader) (l Loss, err error) {
	for bucket, n := range map[string][2]*int{
		bucketWebhooks:      {&l.Webhooks, &l.Back.Webhooks},
		bucketVehicles:      {&l.Vehicles, &l.Back.Vehicles},
		bucketSubscriptions: {&l.Subscriptions, &l.Back.Subscriptions},
		// By hash: a name that is the same may be another token's.
		bucketGrantsByHash: {&l.Tokens, &l.Back.Tokens},
	} {
		*n[0], *n[1] = lacking(bucket, here, backup), lacking(bucket, backup, here)
	}
	// Records of deliveries go with their age, and ids only grow: what is missing
	// and younger than the backup's youngest was made after it.
	last := backup.get(bucketMeta, metaLastID)
	for range here.rows(bucketDeliveries, nil, following(last)) {
		l.Deliveries++
	}
	for k := range here.rows(bucketWaiting, nil, nil) {
		if bytes.Compare(k[idLen:], last) > 0 {
			l.Waiting++
		}
	}
	l.Again = lacking(bucketWaiting, backup, here)
	for k, v := range here.rows(bucketSecrets, nil, nil) {
		if old := backup.get(bucketSecrets, k); old != nil && !bytes.Equal(old, v) {
			l.Accounts++
		}
	}
	for k, v := range here.rows(bucketWebhooks, nil, nil) {
		old := backup.get(bucketWebhooks, k)
		if old == nil {
			continue
		}
		var a, b webhookRecord
		if err := errors.Join(decode(v, &a), decode(old, &b)); err != nil {
			return l, err
		}
		if !bytes.Equal(a.SealedKey, b.SealedKey) {
			l.Keys++
		}
	}
	return l, nil
}

// lacking counts the rows of a bucket that are in one file and not in the other.
func lacking(bucket string, in, notIn reader) (n int) {
	for k := range in.rows(bucket, nil, nil) {
		if !notIn.has(bucket, k) {
			n++
		}
	}
	return n
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
