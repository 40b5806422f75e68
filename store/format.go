package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
)

// schemaVersion is the version of the file's layout that this code reads and
// writes. A later layout gets a higher number and a migration.
const schemaVersion = 2

// The names in bucket meta.
var (
	metaSchema   = []byte("schema")
	metaInstance = []byte("instance")
	metaCreated  = []byte("created")
	metaCanary   = []byte("canary")
	metaLastID   = []byte("last_id")
)

// canaryText is sealed at creation; a key that cannot open it is not the file's.
var canaryText = []byte("plugbeat")

func initialise(tx *bolt.Tx, sl *sealer, schema uint32, now time.Time) error {
	for _, name := range bucketNames {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	created, err := millis(now)
	if err != nil {
		return err
	}
	instance, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	meta := tx.Bucket([]byte(bucketMeta))
	for _, row := range []struct{ name, value []byte }{
		{metaSchema, binary.BigEndian.AppendUint32(nil, schema)},
		{metaInstance, instance[:]},
		{metaCreated, binary.BigEndian.AppendUint64(nil, created)},
		{metaCanary, sl.seal(bucketMeta, metaCanary, canaryText)},
		{metaLastID, make([]byte, idLen)},
	} {
		if err := meta.Put(row.name, row.value); err != nil {
			return err
		}
	}
	return nil
}

// checkKey tells whether the key is the one that the file was created with.
func checkKey(path string, tx *bolt.Tx, sl *sealer) error {
	canary, err := sl.open(bucketMeta, metaCanary, tx.Bucket([]byte(bucketMeta)).Get(metaCanary))
	if err != nil || !bytes.Equal(canary, canaryText) {
		return &fileError{path: path, kind: ErrKey, is: fmt.Sprintf("is %v than the one given", ErrKey),
			mend: "give the key it was created with, or restore file and key from the same backup"}
	}
	return nil
}

// identify tells whether the file is as long as it should be and plugbeat's, and
// returns its schema.
func identify(path string, tx *bolt.Tx) (schema uint32, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("open data file: %w", err)
	}
	if st.Size() < tx.Size() {
		return 0, damaged(path, fmt.Sprintf("it is %d bytes long and should be %d, so it was cut off", st.Size(), tx.Size()))
	}
	meta := tx.Bucket([]byte(bucketMeta))
	if meta == nil {
		return 0, &fileError{path: path, kind: errForeign, is: "is not plugbeat's", mend: "choose another data directory"}
	}
	v := meta.Get(metaSchema)
	if len(v) != 4 {
		return 0, damaged(path, "it has no schema version")
	}
	if schema = binary.BigEndian.Uint32(v); schema == 0 {
		return 0, damaged(path, "there is no schema version 0")
	}
	return schema, nil
}

// anySchema is what [checkFile] is to want of a file that may have any schema.
const anySchema = 0

// checkFile tells whether the file is a whole store of the schema want; of any schema it
// need only be plugbeat's. It needs no key.
func checkFile(path string, tx *bolt.Tx, want uint32) error {
	n, err := identify(path, tx)
	if err != nil || want == anySchema {
		return err
	}
	if n > want {
		return &fileError{path: path, kind: ErrNewer,
			is: fmt.Sprintf("was %v of plugbeat: its schema is %d and this one knows %d", ErrNewer, n, want),
			mend: fmt.Sprintf("run the newer plugbeat, or restore a backup made before the upgrade "+
				"(%s.schema%d-TIME beside it, where the upgrade was made here)", filepath.Base(path), want)}
	} else if n < want {
		return &fileError{path: path, kind: errOlder, is: fmt.Sprintf("has the older schema %d and this plugbeat knows %d", n, want),
			mend: "it is brought there when the daemon opens it, or when it is restored"}
	}
	meta := tx.Bucket([]byte(bucketMeta))
	if len(meta.Get(metaInstance)) != idLen || len(meta.Get(metaCreated)) != timeLen {
		return damaged(path, "it has no instance or creation time")
	}
	for _, name := range bucketNames {
		if name != bucketHistory && tx.Bucket([]byte(name)) == nil {
			return damaged(path, "bucket "+name+" is missing")
		}
	}
	return nil
}

// touch reads every row of the small buckets and the ends of the large ones, so
// that damage shows at start and not in the night.
func touch(tx *bolt.Tx) {
	var sum byte
	for _, name := range bucketNames {
		b := tx.Bucket([]byte(name))
		if b == nil {
			continue // the history of a file that nobody opened since it came
		}
		c := b.Cursor()
		large := name == bucketDeliveries || name == bucketAttempts || name == bucketPayloads || name == bucketFinished ||
			name == bucketHistory
		for k, v := c.First(); k != nil; k, v = c.Next() {
			sum ^= taste(k) ^ taste(v)
			if large {
				k, v = c.Last()
				sum ^= taste(k) ^ taste(v)
				break
			}
		}
	}
	runtime.KeepAlive(sum)
}

// taste reads the first and last byte.
func taste(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0] ^ b[len(b)-1]
}
