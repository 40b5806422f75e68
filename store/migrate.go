package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	bolt "go.etcd.io/bbolt"
)

// layout is the version of the file's buckets and records that the code reads and
// writes, and the steps that bring an older file to it.
type layout struct {
	version uint32
	// steps leads from schema 1 to version, one number at a time.
	steps []step
	// fileMax is a hard limit of a file being brought here, in bytes, for tests.
	fileMax int
}

// step is a migration: it makes a file of schema to-1 one of schema to. It may use
// as many transactions as it likes, since it works on a copy that nobody sees until
// it is whole and checked.
type step struct {
	to   uint32
	what string // "webhooks have a budget"
	// run returns what an operator should know of it.
	run func(*bolt.DB) ([]note, error)
}

// note tells of a webhook that a migration could not keep all of as it was.
type note struct {
	webhook uuid.UUID
	name    string
	text    string
}

// thisLayout is the layout of this version of plugbeat. A change of the schema that
// is more than a new field raises schemaVersion and adds a step here; the file of
// the schema before is kept in testdata and opened by a test.
func thisLayout() layout {
	return layout{version: schemaVersion, steps: []step{
		{2, "webhooks have a circuit breaker", toSchema2},
	}}
}

// bring runs the steps on a file that nobody else has, and leaves it on disk. A file
// of the layout's version stays as it is.
func (l layout) bring(path string) (from uint32, notes []note, err error) {
	db, _, err := openFile(path, bolt.Options{Timeout: defaultLockTimeout, MaxSize: l.fileMax})
	if err != nil {
		return 0, nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("bring it to schema %d: panic: %v", l.version, p)
		}
		err = errors.Join(err, db.Close())
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	err = guarded(path, func() error {
		return db.View(func(tx *bolt.Tx) error {
			from, err = identify(path, tx)
			return err
		})
	})
	if err != nil || from >= l.version {
		return from, nil, err
	}
	for _, s := range l.steps {
		if s.to <= from {
			continue
		}
		told, err := s.run(db)
		if err == nil {
			err = db.Update(func(tx *bolt.Tx) error {
				return tx.Bucket([]byte(bucketMeta)).Put(metaSchema, binary.BigEndian.AppendUint32(nil, s.to))
			})
		}
		if err != nil {
			return from, nil, readable(path, fmt.Errorf("bring it to schema %d (%s): %w", s.to, s.what, diskError(err)))
		}
		notes = append(notes, told...)
	}
	return from, notes, nil
}

// read runs read on a data file that no process has open, in the layout: a file of an
// older schema is read in a copy that is brought up to date.
func (l layout) read(ctx context.Context, path string, read func(*bolt.Tx) error) error {
	err := readFile(path, l.version, defaultLockTimeout, read)
	if errors.Is(err, errOlder) {
		return l.readCopy(ctx, path, read)
	}
	return err
}

// readCopy runs read on a copy of the file at path, brought to the layout. Nobody writes
// the file meanwhile.
func (l layout) readCopy(ctx context.Context, path string, read func(*bolt.Tx) error) error {
	temp, err := tempBeside(path, nextPattern, func(f *os.File) error { return copyInto(whileContext{ctx, f}, path) })
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp) }()
	if _, _, err = l.bring(temp); err == nil {
		err = readFile(temp, l.version, defaultLockTimeout, read)
	}
	return renamed(err, path)
}

// upgrade brings the data file to this layout if it is older: a copy is brought
// there, checked and put in its place, and the older file stays beside it under a
// name that tells its schema. So whatever happens there is the older file or the
// newer one. The file is db, open and locked; when it was upgraded, db is the older one.
func upgrade(o Options, db *bolt.DB, sl *sealer) (upgraded bool, err error) {
	failed := func(err error) (bool, error) {
		return false, fmt.Errorf("data file %s: %w; the file is as it was: run the plugbeat that it worked with until this is mended",
			o.Path, err)
	}
	var from uint32
	temp := ""
	err = guarded(o.Path, func() error {
		return db.View(func(tx *bolt.Tx) (err error) {
			if from, err = identify(o.Path, tx); err != nil || from >= o.layout.version {
				return err
			}
			if err := checkKey(o.Path, tx, sl); err != nil {
				return err
			}
			if err := roomFor(filepath.Dir(o.Path), tx.Size(), 0); err != nil {
				return fmt.Errorf("copy it for schema %d: %w", o.layout.version, err)
			}
			temp, err = tempBeside(o.Path, nextPattern, func(f *os.File) error { _, err := tx.WriteTo(f); return err })
			return err
		})
	})
	if err != nil || temp == "" {
		return false, err
	}
	defer func() { _ = os.Remove(temp) }()
	_, notes, err := o.layout.bring(temp)
	if err != nil {
		return failed(renamed(err, o.Path))
	}
	if _, err := verify(context.Background(), temp, o.Path, o.layout, sl); err != nil {
		return failed(err)
	}
	info, err := os.Stat(o.Path)
	if err != nil {
		return failed(err)
	}
	kept, warning, err := replacement{
		temp: temp, path: o.Path, info: info, keep: fmt.Sprintf("schema%d", from), now: o.Now(), flushFolder: o.flushFolder,
	}.do()
	if err != nil {
		return failed(err)
	}
	o.Log.Info().Str("event", "store.migrated").Str("path", o.Path).Uint32("from", from).Uint32("to", o.layout.version).Str("kept", kept).
		Func(func(e *zerolog.Event) {
			for _, s := range o.layout.steps {
				if s.to > from {
					e.Str(fmt.Sprintf("schema%d", s.to), s.what)
				}
			}
			if warning != "" {
				e.Str("warning", warning)
			}
		}).Msg("the data file has a newer schema now; the older file is kept")
	for _, n := range notes {
		o.Log.Warn().Str("event", "store.not_migrated").Stringer("webhook", n.webhook).Str("name", n.name).Str("text", n.text).
			Msg("the newer schema has no place for something")
	}
	return true, nil
}
