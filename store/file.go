package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The file's geometry.
const (
	// mapSize is mapped at open, because growing the map must wait for readers.
	// It costs address space only.
	mapSize = 1 << 30
	// allocSize is how much the file grows at a time.
	allocSize = 4 << 20
)

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
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, notRegular(path) // opening a pipe would wait for whoever writes into it
	}
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
		return nil, nil, inUse(path, "stop it, or choose another data directory")
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, nil, cutOff(path, damaged(path, err))
	case errors.As(err, new(syscall.Errno)):
		return nil, nil, &refusedError{doing: "open data file " + path, err: err, reading: o.ReadOnly}
	case err != nil:
		return nil, nil, cutOff(path, damaged(path, err))
	}
	db.AllocSize = allocSize
	return db, file, nil
}

// readFile opens a data file that no process has open for reading, sees that it is of
// the schema want ([anySchema] takes each), and runs read. It waits so long for a process
// that has the file. Damage is an error wrapping ErrDamaged.
func readFile(path string, want uint32, wait time.Duration, read func(*bolt.Tx) error) (err error) {
	db, _, err := openFile(path, bolt.Options{ReadOnly: true, Timeout: wait})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := db.Close(); err == nil {
			err = cerr
		}
	}()
	return guarded(path, func() error {
		return db.View(func(tx *bolt.Tx) error {
			if err := checkFile(path, tx, want); err != nil {
				return err
			}
			return read(tx)
		})
	})
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
