package store

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// The errors of Open and of a store that can no longer be used. Errors about
// single things wrap webhook.ErrNotFound, ErrConflict, ErrExists, ErrNoSpace
// or ErrReadOnly.
var (
	// ErrInUse means that another process holds the data file.
	ErrInUse = errors.New("in use by another process")
	// ErrDamaged means that the data file cannot be what a store wrote.
	ErrDamaged = errors.New("damaged")
	// ErrNewer means that a later version of plugbeat wrote the data file.
	ErrNewer = errors.New("written by a newer version")
	// ErrKey means that the data file was sealed with another key.
	ErrKey = errors.New("sealed with another key")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("the data file is closed")
)

// The kinds of a fileError that nobody outside asks for.
var (
	errForeign = errors.New("not plugbeat's")
	errOlder   = errors.New("of an older schema")
)

// fileError says what is wrong with a data file and what to do.
type fileError struct {
	path string
	kind error  // ErrDamaged, ErrNewer, ErrInUse, ErrKey, errForeign or errOlder
	is   string // "is damaged: ..."
	mend string
}

func (e *fileError) Error() string { return "data file " + e.path + " " + e.is + "; " + e.mend }
func (e *fileError) Unwrap() error { return e.kind }

// damaged is the error for a file that cannot be read as what a store wrote.
func damaged(path string, why any) error {
	if _, crash := why.(runtime.Error); crash {
		why = "a page in it leads outside the file or to no page"
	}
	return &fileError{path, ErrDamaged, fmt.Sprintf("is %v: %v", ErrDamaged, why), "restore it from a backup, stopped: plugbeat restore BACKUP"}
}

// unreadable is what is wrong with a record that no store wrote so.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

// recordError is the damage of a file together with the record it was found in.
type recordError struct {
	error
	record error
}

func (e *recordError) Unwrap() []error { return []error{e.error, e.record} }

// readable is err, or says that the file is damaged where that is what it comes to: an
// operator who is told of a record must hear which file, and what to do.
func readable(path string, err error) error {
	if _, ok := errors.AsType[*unreadable](err); ok && !errors.Is(err, ErrDamaged) {
		return &recordError{damaged(path, err), err}
	}
	return err
}

// guarded runs what follows a file's pages: a panic, or a fault of a page that leads
// outside the file, is damage.
func guarded(path string, run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, p)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return run()
}

// renamed gives a fileError the name that the file is to have.
func renamed(err error, name string) error {
	if e, ok := errors.AsType[*fileError](err); ok {
		c := *e
		c.path = name
		return &c
	}
	return err
}

// asBackup words a fileError for a file that is, or was to become, a backup; mend is
// what to do about a damaged one.
func asBackup(err error, name, mend string) error {
	e, ok := errors.AsType[*fileError](err)
	if !ok {
		return err
	}
	switch {
	case errors.Is(e, ErrKey):
		mend = "put the key that belongs to it into key_file first"
	case errors.Is(e, ErrNewer):
		mend = "use the newer plugbeat"
	case errors.Is(e, ErrInUse):
		mend = "it is a data file at work: take a backup of it"
	}
	return &backupError{"backup " + name + " " + e.is + "; " + mend, e.kind}
}

type backupError struct {
	text string
	kind error
}

func (e *backupError) Error() string { return e.text }
func (e *backupError) Unwrap() error { return e.kind }
