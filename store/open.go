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
const schemaVersion = 2

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
	if o.layout.version == 0 {
		o.layout = thisLayout()
	}
	info, err := os.Stat(o.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(o, sl); err != nil {
			return nil, fmt.Errorf("create data file %s: %w", o.Path, refusedBy(err))
		}
	case err != nil:
		return nil, fmt.Errorf("open data file: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("open data file: %s is a directory", o.Path)
	}
	c := &core{
		path: o.Path, sealer: sl, log: o.Log, meter: o.Meter, told: o.Committed, now: o.Now, maxSize: o.MaxSize, minFree: o.MinFree, commitTx: o.commit, around: o.Around, layout: o.layout,
		ops: make(chan *operation, maxGroup), stopped: make(chan struct{}), fatalC: make(chan error, 1),
	}
	c.refused.Store(webhook.DiskOK)
	if c.db, c.file, err = openNewest(o, sl); err != nil {
		return nil, err
	}
	if err := c.adopt(); err != nil {
		_ = c.db.Close()
		return nil, err
	}
	go c.write()
	s := newStore(c)
	if err := s.Maintenance.removals.end(context.Background()); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open data file %s: end an interrupted removal: %w", o.Path, err)
	}
	s.log.Info().Str("event", "store.opened").Str("path", s.path).Stringer("instance", s.instance).Uint32("schema", s.layout.version).Msg("data file opened")
	return s, nil
}

// openNewest opens the file that is at the path once its lock is had, in this
// version's layout: while the lock was waited for, a restore may have put another
// file there, and an older layout is upgraded.
func openNewest(o Options, sl *sealer) (*bolt.DB, *os.File, error) {
	for range 5 {
		db, file, err := openFile(o.Path, bolt.Options{Timeout: o.LockTimeout, MaxSize: o.fileMax})
		if err != nil {
			return nil, nil, err
		}
		there, err := os.Stat(o.Path)
		if err == nil {
			var opened fs.FileInfo
			if opened, err = file.Stat(); err == nil && !os.SameFile(there, opened) {
				if err = db.Close(); err == nil {
					continue
				}
			}
		}
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("open data file: %w", err), db.Close())
		}
		o.Path = resolved(o.Path)
		clearTemps(o.Path)
		upgraded, err := upgrade(o, db, sl)
		if err == nil && !upgraded {
			return db, file, nil
		}
		if err = errors.Join(err, db.Close()); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("data file %s is %w that puts another file there again and again", o.Path, ErrInUse)
}

// openFile opens an existing bbolt file and turns bbolt's errors, panics and
// faults into errors that name the file.
func openFile(path string, o bolt.Options) (db *bolt.DB, file *os.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = cutOff(path, damaged(path, p))
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
		return nil, nil, &fileError{path, ErrInUse, fmt.Sprintf("is %v (another plugbeat?)", ErrInUse), "stop it, or choose another data directory"}
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, nil, cutOff(path, damaged(path, err))
	case errors.As(err, new(syscall.Errno)):
		return nil, nil, fmt.Errorf("open data file %s: %w", path, refusedBy(err))
	case err != nil:
		return nil, nil, cutOff(path, damaged(path, err))
	}
	db.AllocSize = allocSize
	return db, file, nil
}

// refusedBy adds to an error of the system, which would not have a data file made or
// opened, what to do about it.
func refusedBy(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; folder and file must belong to the user plugbeat runs as", err)
	case refusal(err) == webhook.DiskFull:
		return fmt.Errorf("%w; make room, or choose another data_dir", diskError(err))
	case refusal(err) == webhook.DiskReadOnly:
		return fmt.Errorf("%w; mount it for writing, or choose another data_dir", diskError(err))
	case errors.As(err, new(syscall.Errno)):
		return fmt.Errorf("%w; data_dir must be on a local disk, whose file system has locks and memory mapping: network shares and some FUSE file systems have not", err)
	}
	return err
}

// cutOff is err, or says so where the file is shorter than its own newest meta page
// tells, which shows in many ways.
func cutOff(path string, err error) error {
	f, oerr := os.Open(path)
	if oerr != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, serr := f.Stat()
	if serr != nil {
		return err
	}
	// The second meta page lies one page in; the first tells the page's size.
	whole, newest := int64(0), uint64(0)
	for at, n := int64(0), 0; n < 2; n++ {
		var b [80]byte
		if _, rerr := f.ReadAt(b[:], at); rerr != nil || binary.NativeEndian.Uint32(b[16:]) != 0xED0CDAED {
			break
		}
		page, high, tx := int64(binary.NativeEndian.Uint32(b[24:])), binary.NativeEndian.Uint64(b[56:]), binary.NativeEndian.Uint64(b[64:])
		if tx >= newest && high < 1<<40 {
			newest, whole = tx, int64(high)*page
		}
		at = page
	}
	if whole <= info.Size() {
		return err
	}
	return damaged(path, fmt.Sprintf("it is %d bytes long and should be %d, so it was cut off", info.Size(), whole))
}

// adopt checks that the file is a store of this version, whole as far as its
// small buckets tell, and sealed with this key.
func (s *core) adopt() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(s.path, p)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return s.db.View(func(tx *bolt.Tx) error {
		if err := checkFile(s.path, tx, s.layout.version); err != nil {
			return err
		}
		if err := checkKey(s.path, tx, s.sealer); err != nil {
			return err
		}
		meta := tx.Bucket([]byte(bucketMeta))
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

// checkKey tells whether the key is the one that the file was created with.
func checkKey(path string, tx *bolt.Tx, sl *sealer) error {
	canary, err := sl.open(bucketMeta, metaCanary, tx.Bucket([]byte(bucketMeta)).Get(metaCanary))
	if err != nil || !bytes.Equal(canary, canaryText) {
		return &fileError{path, ErrKey, fmt.Sprintf("is %v than the one given", ErrKey), "give the key it was created with, or restore file and key from the same backup"}
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
		return 0, &fileError{path, errForeign, "is not plugbeat's", "choose another data directory"}
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

// checkFile tells whether the file is a whole store of the version want. It needs no
// key.
func checkFile(path string, tx *bolt.Tx, want uint32) error {
	n, err := identify(path, tx)
	if err != nil {
		return err
	}
	if n > want {
		return &fileError{path, ErrNewer, fmt.Sprintf("was %v of plugbeat: its schema is %d and this one knows %d", ErrNewer, n, want),
			fmt.Sprintf("run the newer plugbeat, or restore a backup made before the upgrade (%s.schema%d-TIME beside it, where the upgrade was made here)", filepath.Base(path), want)}
	} else if n < want {
		return &fileError{path, errOlder, fmt.Sprintf("has the older schema %d and this plugbeat knows %d", n, want), "it is brought there when the daemon opens it, or when it is restored"}
	}
	meta := tx.Bucket([]byte(bucketMeta))
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
	f, err := os.CreateTemp(dir, newPattern(o.Path))
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
	err = db.Update(func(tx *bolt.Tx) error { return initialise(tx, sl, o.layout.version, o.Now()) })
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
