package terminal

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"plugbeat/adminapi"
)

// UsageError is a wrong command line: exit code 2, and nothing was done.
type UsageError struct {
	Text string
	Hint string // what to do next; may be empty
}

func (e *UsageError) Error() string { return e.Text }

// Hinted is a failure with what to do next.
type Hinted struct {
	Err  error
	Hint string
}

func (e *Hinted) Error() string { return e.Err.Error() }
func (e *Hinted) Unwrap() error { return e.Err }

// Hint attaches what to do next to an error; nil stays nil.
func Hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Hinted{Err: err, Hint: fmt.Sprintf(format, args...)}
}

// Silent is a failure whose text is already on standard output as the command's
// result, a check that found problems.
type Silent struct{ Err error }

func (e *Silent) Error() string { return e.Err.Error() }
func (e *Silent) Unwrap() error { return e.Err }

// Futile is a serve that is of no use before somebody mends what it says; Code is its
// exit code.
type Futile struct {
	Err  error
	Code int
}

func (e *Futile) Error() string { return e.Err.Error() }
func (e *Futile) Unwrap() error { return e.Err }

// errorJSON is how --json shows an error: the admin API's error object, with the
// codes usage, no_daemon, no_answer and failure of the command line's own.
type errorJSON struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Field   string `json:"field,omitempty"`
		Value   string `json:"value,omitempty"`
		Allowed string `json:"allowed,omitempty"`
		Hint    string `json:"hint,omitempty"`
	} `json:"error"`
}

// Report writes an error once, for a person or as JSON.
func (s *Session) Report(err error, asJSON bool) {
	if _, ok := errors.AsType[*Silent](err); ok {
		return
	}
	var e errorJSON
	e.Error.Code, e.Error.Message = "failure", err.Error()
	var u *UsageError
	var a *adminapi.Error
	switch {
	case errors.As(err, &u):
		e.Error.Code, e.Error.Hint = "usage", u.Hint
	case errors.As(err, &a):
		// The answer's own hint goes on a line of its own.
		bare := *a
		bare.Hint = ""
		e.Error.Code, e.Error.Hint = string(a.Code), a.Hint
		e.Error.Message = strings.Replace(err.Error(), a.Error(), bare.Error(), 1)
		e.Error.Field, e.Error.Value, e.Error.Allowed = a.Field, a.Value, a.Allowed
		if a.Code == adminapi.CodeChanged { // the command line looks and acts in one step
			e.Error.Hint = "nothing was changed; look at it again, and repeat the command if you still want it"
		}
	case errors.Is(err, adminapi.ErrNoDaemon):
		e.Error.Code = "no_daemon"
	case errors.Is(err, adminapi.ErrNoAnswer):
		e.Error.Code = "no_answer"
	}
	if h, ok := errors.AsType[*Hinted](err); ok {
		e.Error.Hint = h.Hint
	}
	if asJSON {
		b, _ := json.Marshal(e) // strings only: cannot fail
		_, _ = fmt.Fprintf(s.Err, "%s\n", b)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "plugbeat: %s\n", CleanLines(e.Error.Message))
	for l := range strings.SplitSeq(e.Error.Hint, "\n") {
		if l != "" {
			fmt.Fprintf(&b, "  %s\n", CleanLines(l))
		}
	}
	_, _ = fmt.Fprint(s.Err, b.String())
}
