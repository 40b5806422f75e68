package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// This file is what steps of a migration change rows with.

// migrateRows is how many rows one transaction of a migration writes.
const migrateRows = 1000

// row is a copy of a row of a bucket.
type row struct{ key, value []byte }

// eachSlice hands the rows of a bucket to do, some a transaction; to an empty bucket's
// too, with none.
func eachSlice(db *bolt.DB, bucket string, do func(tx *bolt.Tx, rows []row) error) error {
	var after []byte
	for {
		var rows []row
		err := db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte(bucket))
			if b == nil {
				return fmt.Errorf("bucket %s is missing", bucket)
			}
			c := b.Cursor()
			for k, v := c.Seek(following(after)); k != nil && len(rows) < migrateRows; k, v = c.Next() {
				rows = append(rows, row{bytes.Clone(k), bytes.Clone(v)})
			}
			return do(tx, rows)
		})
		if err != nil || len(rows) < migrateRows {
			return err
		}
		after = rows[len(rows)-1].key
	}
}

// rewriteRows replaces every value of a bucket by what change makes of it.
func rewriteRows(db *bolt.DB, bucket string, change func(tx *bolt.Tx, k, v []byte) ([]byte, error)) error {
	return eachSlice(db, bucket, func(tx *bolt.Tx, rows []row) error {
		for _, r := range rows {
			v, err := change(tx, r.key, r.value)
			if err != nil {
				return err
			}
			if err := tx.Bucket([]byte(bucket)).Put(r.key, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// fields is a record's JSON, of which only what a step names changes.
type fields map[string]json.RawMessage

// fieldsOf reads a record as it is, and what a step needs of it into known.
func fieldsOf(v []byte, known any) (fields, error) {
	var f fields
	if err := decode(v, &f); err != nil {
		return nil, err
	}
	if f == nil {
		return nil, &unreadable{errors.New("the record is null")}
	}
	return f, decode(v, known)
}

// encode writes the record with some fields set anew.
func (f fields) encode(set map[string]any) ([]byte, error) {
	for name, v := range set {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		f[name] = b
	}
	return json.Marshal(f)
}
