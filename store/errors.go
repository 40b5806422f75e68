package store

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/google/uuid"
	bolterrors "go.etcd.io/bbolt/errors"

	"plugbeat/webhook"
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

// The errors of [Restore] that a flag gets past.
var (
	// ErrOther means that the backup is of another instance than the data file.
	ErrOther = errors.New("of another instance")
	// ErrOlder means that the data file has entries that the backup does not.
	ErrOlder = errors.New("older than the data file")
)

// The kinds of an error that nobody outside asks for.
var (
	// errSeal means that a sealed value does not open: another key, or changed bytes.
	errSeal    = errors.New("sealed value does not open with this key")
	errForeign = errors.New("not plugbeat's")
	errOlder   = errors.New("of an older schema")
)

// named wraps one of webhook's errors with the kind and id of the thing.
func named(kind string, id any, err error) error { return fmt.Errorf("%s %v: %w", kind, id, err) }

func noWebhook(id uuid.UUID) error  { return named("webhook", id, webhook.ErrNotFound) }
func noVehicle(id uuid.UUID) error  { return named("vehicle", id, webhook.ErrNotFound) }
func noDelivery(id uuid.UUID) error { return named("delivery", id, webhook.ErrNotFound) }

// fileError says what is wrong with a data file, or a backup of one, and what to do.
type fileError struct {
	path   string
	kind   error  // ErrDamaged, ErrNewer, ErrInUse, ErrKey, errForeign, errOlder or the system's
	is     string // "is damaged: ..."
	mend   string
	backup bool
	cause  error // of damage, where it is an error; else nil
}

func (e *fileError) Error() string {
	if e.backup {
		return "backup " + e.path + " " + e.is + "; " + e.mend
	}
	return "data file " + e.path + " " + e.is + "; " + e.mend
}

func (e *fileError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

// damaged is the error for a file that cannot be read as what a store wrote.
func damaged(path string, why any) error {
	if _, crash := why.(runtime.Error); crash {
		why = "a page in it leads outside the file or to no page"
	}
	cause, _ := why.(error)
	return &fileError{path: path, kind: ErrDamaged, is: fmt.Sprintf("is %v: %v", ErrDamaged, why),
		mend: "restore it from a backup, stopped: plugbeat restore BACKUP", cause: cause}
}

// inUse is the error for a file that another process holds.
func inUse(path, mend string) error {
	return &fileError{path: path, kind: ErrInUse, is: fmt.Sprintf("is %v (another plugbeat?)", ErrInUse), mend: mend}
}

// notRegular is the error for a folder, a pipe or a device where a data file should be.
func notRegular(path string) error {
	return &fileError{path: path, kind: errForeign, is: "is not a regular file", mend: "name another"}
}

// unreadable is what is wrong with a record that no store wrote so.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

// readable is err, or says that the file is damaged where that is what it comes to: an
// operator who is told of a record must hear which file, and what to do.
func readable(path string, err error) error {
	if _, ok := errors.AsType[*unreadable](err); ok && !errors.Is(err, ErrDamaged) {
		return damaged(path, err)
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
	b := *e
	b.backup, b.path, b.mend = true, name, mend
	switch {
	case errors.Is(e, ErrKey):
		b.mend = "put the key that belongs to it into key_file first"
	case errors.Is(e, ErrNewer):
		b.mend = "use the newer plugbeat"
	case errors.Is(e, ErrInUse):
		b.mend = "it is a data file at work: take a backup of it"
	}
	return &b
}

// uncheckable names the folder of a backup that the system would not have opened there;
// other errors pass as they are.
func uncheckable(err error, name string) error {
	if !refused(err) {
		return err
	}
	r, _ := errors.AsType[*refusedError](err)
	return &fileError{path: name, backup: true, kind: r.err,
		is:   fmt.Sprintf("is not kept, because it cannot be checked, in its folder or elsewhere: %v", r.err),
		mend: "name a folder on a disk whose file system has locks and memory mapping, or give the data file's disk room for one more copy"}
}

// refused reports whether the system would not open a data file where it lies.
func refused(err error) bool {
	r, ok := errors.AsType[*refusedError](err)
	return ok && errors.As(r.err, new(syscall.Errno))
}

// refusedError is what the system has against making or opening a data file.
type refusedError struct {
	doing string // "open data file PATH"
	err   error
	// reading is true for a file that is only looked at, which need not be the daemon's own.
	reading bool
}

func (e *refusedError) Error() string {
	text := e.doing + ": " + diskError(e.err).Error()
	switch {
	case errors.Is(e.err, fs.ErrPermission):
		return text + "; folder and file must belong to the user plugbeat runs as"
	case refusal(e.err) == webhook.DiskFull:
		return text + "; make room, or choose another data_dir"
	case refusal(e.err) == webhook.DiskReadOnly:
		return text + "; mount it for writing, or choose another data_dir"
	case errors.Is(e.err, syscall.ELOOP):
		return text + "; the links lead in a circle: name the file itself"
	case errors.Is(e.err, syscall.ENOTDIR):
		return text + "; a part of the path is a file and no folder"
	case e.reading && errors.As(e.err, new(syscall.Errno)):
		return text + "; copy it to a local disk, whose file system has locks and memory mapping, and name the copy: " +
			"network shares and some FUSE file systems have not"
	case errors.As(e.err, new(syscall.Errno)):
		return text + "; data_dir must be on a local disk, whose file system has locks and memory mapping: " +
			"network shares and some FUSE file systems have not"
	}
	return text
}

func (e *refusedError) Unwrap() error { return diskError(e.err) }

// refusal tells which state of the disk made a write fail; webhook.DiskOK for
// errors that are not the disk's. The texts are looked at because bbolt keeps
// only those of some of its causes.
func refusal(err error) webhook.DiskState {
	of := func(ns ...syscall.Errno) bool {
		for _, n := range ns {
			if errors.Is(err, n) || strings.HasSuffix(err.Error(), n.Error()) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return webhook.DiskOK
	case errors.Is(err, webhook.ErrNoSpace), errors.Is(err, bolterrors.ErrMaxSizeReached), of(syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG):
		return webhook.DiskFull
	case errors.Is(err, webhook.ErrReadOnly), of(syscall.EROFS):
		return webhook.DiskReadOnly
	}
	return webhook.DiskOK
}

// diskError wraps webhook.ErrNoSpace or webhook.ErrReadOnly around an error of that
// kind; others pass as they are.
func diskError(err error) error {
	if errors.Is(err, webhook.ErrUnwritable) {
		return err
	}
	switch refusal(err) {
	case webhook.DiskFull:
		return fmt.Errorf("%w (%w)", webhook.ErrNoSpace, err)
	case webhook.DiskReadOnly:
		return fmt.Errorf("%w (%w)", webhook.ErrReadOnly, err)
	}
	return err
}
