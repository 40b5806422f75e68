package webhook

import (
	"errors"
	"fmt"
)

// Invalid is an input that cannot be taken. It names the field, the value and
// what is allowed.
type Invalid struct {
	Field   string // dotted path, as the API, the CLI or the config spells it
	Value   string
	Allowed string
	Why     string // may be empty
}

// Error implements error.
func (e *Invalid) Error() string {
	s := fmt.Sprintf("%s %q", e.Field, e.Value)
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s + "; allowed: " + e.Allowed
}

// The closed set of errors that cross packages; the server maps each to a status
// in one table. Wrap them to name the thing: fmt.Errorf("webhook %s: %w", id, ErrNotFound).
var (
	// ErrNotFound means that no record has this id.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that the record's state does not allow the change.
	ErrConflict = errors.New("conflict")
	// ErrExists means that the id or name is taken.
	ErrExists = errors.New("already exists")
	// ErrUnwritable is what ErrNoSpace and ErrReadOnly are: the disk took nothing,
	// so nothing was written, and the caller waits and tries again.
	ErrUnwritable = errors.New("the data file cannot be written now")
	// ErrNoSpace means that the disk is full.
	ErrNoSpace error = unwritable("no space left for the data file")
	// ErrReadOnly means that the data file's file system is read-only.
	ErrReadOnly error = unwritable("the data file's file system is read-only")
	// ErrStopping means that the daemon is stopping and takes no more work.
	ErrStopping = errors.New("the daemon is stopping")
	// ErrChallenge means that the receiver did not answer the challenge rightly.
	ErrChallenge = errors.New("challenge not answered")
)
