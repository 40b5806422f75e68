package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

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
	if o.flushFolder == nil {
		o.flushFolder = flushFolder
	}
	if o.verify == nil {
		o.verify = verifyBackup
	}
	switch _, err := os.Stat(o.Path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(o, sl); err != nil {
			return nil, &refusedError{doing: "create data file " + o.Path, err: err}
		}
	case err != nil:
		return nil, &refusedError{doing: "open data file " + o.Path, err: err}
	}
	c := &core{options: o, sealer: sl, ops: make(chan *operation, maxGroup), stopped: make(chan struct{}), fatalC: make(chan error, 1)}
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
	o.Log.Info().Str("event", "store.opened").Str("path", o.Path).Stringer("instance", c.instance).Uint32("schema", o.layout.version).
		Msg("data file opened")
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
			err = addHistory(db, o)
		}
		if err == nil && !upgraded {
			return db, file, nil
		}
		if err = errors.Join(err, db.Close()); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("data file %s is %w that puts another file there again and again", o.Path, ErrInUse)
}

// addHistory adds bucket history to a file of this layout that has none yet.
func addHistory(db *bolt.DB, o Options) error {
	return guarded(o.Path, func() error {
		lacks := false
		err := db.View(func(tx *bolt.Tx) error {
			lacks = checkFile(o.Path, tx, o.layout.version) == nil && tx.Bucket([]byte(bucketHistory)) == nil
			return nil
		})
		if err != nil || !lacks {
			return err
		}
		err = db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket([]byte(bucketHistory))
			return err
		})
		return diskError(err)
	})
}

// adopt checks that the file is a store of this version, whole as far as its
// small buckets tell, and sealed with this key.
func (s *core) adopt() error {
	return guarded(s.options.Path, func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			if err := checkFile(s.options.Path, tx, s.options.layout.version); err != nil {
				return err
			}
			if err := checkKey(s.options.Path, tx, s.sealer); err != nil {
				return err
			}
			meta := tx.Bucket([]byte(bucketMeta))
			s.instance = uuid.UUID(meta.Get(metaInstance))
			s.created = timeOf(binary.BigEndian.Uint64(meta.Get(metaCreated)))
			touch(tx)
			if err := s.counts.begin(tx); err != nil {
				return damaged(s.options.Path, err)
			}
			return nil
		})
	})
}

// create makes a new data file under a temporary name and gives it its name only
// when it is whole on disk. A file that another process put there first stays.
func create(o Options, sl *sealer) error {
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o700); err != nil {
		return err
	}
	temp, err := tempBeside(o.Path, newPattern, func(*os.File) error { return nil })
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp) }()
	db, err := bolt.Open(temp, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, Timeout: o.LockTimeout})
	if err != nil {
		return err
	}
	db.AllocSize = allocSize
	err = db.Update(func(tx *bolt.Tx) error { return initialise(tx, sl, o.layout.version, o.Now()) })
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := flush(temp); err != nil {
		return err
	}
	if err := linkOrRename(temp, o.Path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return flushFolder(filepath.Dir(o.Path))
}
