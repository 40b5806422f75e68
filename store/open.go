package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"plugbeat/webhook"
)

// schemaVersion is the version of the file's layout that this code reads and
// writes. A later layout gets a higher number and a migration.
const schemaVersion = 1

// The file's geometry.
const (
	// mapSize is mapped at open, because growing the map must wait for readers.
	// It costs address space only.
	mapSize = 1 << 30
	// allocSize is how much the file grows at a time.
	allocSize = 4 << 20
)

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

// Open opens the data file, creating it atomically when there is none. Its errors
// name the file and say what to do; they wrap ErrInUse, ErrDamaged, ErrNewer,
// ErrKey or webhook.ErrUnwritable where one of these is the reason. A removal that
// was interrupted is ended before Open returns.
func Open(o Options) (*Store, error) {
	sl, err := newSealer(o.Key)
	if err != nil {
		return nil, err
	}
	if o.MaxSize == 0 {
		o.MaxSize = defaultMaxSize
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Meter == nil {
		o.Meter = unmetered{}
	}
	if o.commit == nil {
		o.commit = (*bolt.Tx).Commit
	}
	info, err := os.Stat(o.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(o, sl); err != nil {
			return nil, fmt.Errorf("create data file %s: %w", o.Path, diskError(err))
		}
	case err != nil:
		return nil, fmt.Errorf("open data file: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("open data file: %s is a directory", o.Path)
	}
	s := &Store{
		path: o.Path, sealer: sl, log: o.Log, meter: o.Meter, now: o.Now, maxSize: o.MaxSize, minFree: o.MinFree, commitTx: o.commit,
		ops: make(chan *operation, maxGroup), stopped: make(chan struct{}), fatalC: make(chan error, 1),
	}
	s.refused.Store(webhook.DiskOK)
	s.db, s.file, err = openFile(o.Path, bolt.Options{Timeout: o.LockTimeout, MaxSize: o.fileMax})
	if err != nil {
		return nil, err
	}
	if err := s.adopt(); err != nil {
		_ = s.db.Close()
		return nil, err
	}
	go s.write()
	if err := s.endRemovals(context.Background()); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open data file %s: end an interrupted removal: %w", o.Path, err)
	}
	s.log.Info().Str("event", "store.opened").Str("path", s.path).Stringer("instance", s.instance).Int("schema", schemaVersion).Msg("data file opened")
	return s, nil
}

// openFile opens an existing bbolt file and turns bbolt's errors, panics and
// faults into errors that name the file.
func openFile(path string, o bolt.Options) (db *bolt.DB, file *os.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, p)
			if file != nil {
				unlock(file)
				_ = file.Close()
			}
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	o.FreelistType = bolt.FreelistMapType
	o.PreLoadFreelist = true
	if strconv.IntSize == 64 && runtime.GOOS != "windows" && !o.ReadOnly {
		o.InitialMmapSize = mapSize
	}
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		// bbolt would create or initialise a file that is missing or empty.
		f, err := os.OpenFile(name, flag&^os.O_CREATE, mode)
		if err != nil {
			return nil, err
		}
		if st, err := f.Stat(); err == nil && st.Size() == 0 {
			_ = f.Close()
			return nil, bolterrors.ErrInvalid
		}
		file = f
		return f, nil
	}
	db, err = bolt.Open(path, 0o600, &o)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, nil, fmt.Errorf("data file %s is %w (another plugbeat?); stop it, or choose another data directory", path, ErrInUse)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, nil, damaged(path, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, fmt.Errorf("open data file: %w; it must belong to the user plugbeat runs as", err)
	case refusal(err) != webhook.DiskOK:
		return nil, nil, fmt.Errorf("open data file %s: %w", path, diskError(err))
	case errors.As(err, new(syscall.Errno)):
		return nil, nil, fmt.Errorf("open data file %s: %w; it must be on a local disk, whose file system has locks and memory mapping", path, err)
	case err != nil:
		return nil, nil, damaged(path, err)
	}
	db.AllocSize = allocSize
	return db, file, nil
}

// damaged is the error for a file that cannot be read as what a store wrote.
func damaged(path string, why any) error {
	if _, crash := why.(runtime.Error); crash {
		why = "a page in it leads outside the file or to no page"
	}
	return fmt.Errorf("data file %s is %w: %v; restore it from a backup", path, ErrDamaged, why)
}

// adopt checks that the file is a store of this version, whole as far as its
// small buckets tell, and sealed with this key.
func (s *Store) adopt() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(s.path, p)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return s.db.View(func(tx *bolt.Tx) error {
		if err := checkFile(s.path, tx); err != nil {
			return err
		}
		meta := tx.Bucket([]byte(bucketMeta))
		canary, err := s.sealer.open(bucketMeta, metaCanary, meta.Get(metaCanary))
		if err != nil || !bytes.Equal(canary, canaryText) {
			return wrongKey(s.path)
		}
		s.instance = uuid.UUID(meta.Get(metaInstance))
		s.created = timeOf(binary.BigEndian.Uint64(meta.Get(metaCreated)))
		if err := touch(tx); err != nil {
			return err
		}
		if err := s.counts.begin(tx); err != nil {
			return damaged(s.path, err)
		}
		return nil
	})
}

// checkFile tells whether the file is a whole store of a version this code reads.
// It needs no key.
func checkFile(path string, tx *bolt.Tx) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("open data file: %w", err)
	}
	if st.Size() < tx.Size() {
		return damaged(path, fmt.Sprintf("it is %d bytes long and should be %d", st.Size(), tx.Size()))
	}
	meta := tx.Bucket([]byte(bucketMeta))
	if meta == nil {
		return fmt.Errorf("data file %s is not plugbeat's; choose another data directory", path)
	}
	v := meta.Get(metaSchema)
	if len(v) != 4 {
		return damaged(path, "it has no schema version")
	}
	if n := binary.BigEndian.Uint32(v); n > schemaVersion {
		return fmt.Errorf("data file %s was %w of plugbeat: its schema is %d and this one knows %d; run the newer plugbeat, or restore a backup made before the upgrade", path, ErrNewer, n, schemaVersion)
	} else if n < schemaVersion {
		return damaged(path, fmt.Sprintf("there is no schema version %d", n))
	}
	if len(meta.Get(metaInstance)) != idLen || len(meta.Get(metaCreated)) != timeLen {
		return damaged(path, "it has no instance or creation time")
	}
	for _, name := range bucketNames {
		if tx.Bucket([]byte(name)) == nil {
			return damaged(path, "bucket "+name+" is missing")
		}
	}
	return nil
}

// touch reads every row of the small buckets and the ends of the large ones, so
// that damage shows at start and not in the night.
func touch(tx *bolt.Tx) error {
	var sum byte
	for _, name := range bucketNames {
		c := tx.Bucket([]byte(name)).Cursor()
		large := name == bucketDeliveries || name == bucketAttempts || name == bucketPayloads || name == bucketFinished
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
	return nil
}

// taste reads the first and last byte.
func taste(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0] ^ b[len(b)-1]
}

// create makes a new data file under a temporary name and gives it its name only
// when it is whole on disk. A file that another process put there first stays.
func create(o Options, sl *sealer) (err error) {
	dir := filepath.Dir(o.Path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(o.Path)+".new-*")
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() { _ = os.Remove(temp) }()
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(temp, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, Timeout: o.LockTimeout})
	if err != nil {
		return err
	}
	db.AllocSize = allocSize
	err = db.Update(func(tx *bolt.Tx) error { return initialise(tx, sl, o.Now()) })
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := syncPath(temp); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces; some file systems have none.
	if err := os.Link(temp, o.Path); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := os.Rename(temp, o.Path); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func initialise(tx *bolt.Tx, sl *sealer, now time.Time) error {
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
		{metaSchema, binary.BigEndian.AppendUint32(nil, schemaVersion)},
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

// syncPath flushes a file to disk.
func syncPath(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir flushes a directory, so that a new name in it survives a power cut.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
