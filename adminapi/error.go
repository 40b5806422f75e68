// Package adminapi holds what the daemon's admin API and its clients share: the
// request and response bodies of /api/v1, its error, and a [Client] over the
// daemon's unix socket.
//
// It is a leaf beside webhook and vehicle: bodies are those nouns as they are,
// so what the CLI prints with --json is what the API answers. Times are RFC 3339
// in UTC; a time that is not known is absent or 0001-01-01T00:00:00Z; durations
// in answers are integer nanoseconds, durations in requests are Go strings
// ("90s", "1h"). Lists are paged. Fields are only ever added.
package adminapi

import (
	"errors"
	"strings"

	"plugbeat/webhook"
)

// Code is the closed set of error codes of /api/v1.
type Code string

// The codes of an [Error], with the status each is answered with.
const (
	CodeInvalid         Code = "invalid"          // 400
	CodeUnauthorized    Code = "unauthorized"     // 401: no token, or none of an operator's
	CodeForbidden       Code = "forbidden"        // 403: the token's scope, or any token, is not enough
	CodeNotFound        Code = "not_found"        // 404
	CodeConflict        Code = "conflict"         // 409
	CodeExists          Code = "exists"           // 409
	CodeChanged         Code = "changed"          // 412: it is not what If-Match says any more
	CodeChallengeFailed Code = "challenge_failed" // 424
	CodeSource          Code = "source"           // 502: the vehicle's source answered with a fault
	CodeNoSpace         Code = "no_space"         // 507: the disk is full
	CodeReadOnly        Code = "read_only"        // 507: the disk takes no writes
	CodeUnavailable     Code = "unavailable"      // 503
	CodeInternal        Code = "internal"         // 500
)

// Error is every answer of /api/v1 that is not a success. Its Is method relates
// it to the errors of package webhook, so errors.Is(err, webhook.ErrNotFound)
// holds on both sides of the socket.
type Error struct {
	Code Code `json:"code"`
	// Message says what happened, in one line, without a trailing period.
	Message string `json:"message"`
	// Field, Value and Allowed tell which input was refused; empty where the
	// error is not about an input. Secrets are never in Value.
	Field   string `json:"field,omitempty"`
	Value   string `json:"value,omitempty"`
	Allowed string `json:"allowed,omitempty"`
	// Hint says what to do next; may be empty.
	Hint string `json:"hint,omitempty"`
	// Challenge is the receiver's answer when Code is challenge_failed.
	Challenge *Challenge `json:"challenge,omitempty"`
	// RequestID names the request in the daemon's log.
	RequestID string `json:"request_id,omitempty"`
	// Status is the HTTP status the error came with.
	Status int `json:"-"`
}

// Envelope is the body of an error answer.
type Envelope struct {
	Error *Error `json:"error"`
}

// Error returns the message, what is allowed, and the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Allowed != "" && !strings.Contains(e.Message, e.Allowed) {
		b.WriteString("; allowed: " + e.Allowed)
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Is makes an Error equal to the error of package webhook that its code stands
// for.
func (e *Error) Is(target error) bool {
	switch target {
	case webhook.ErrNotFound:
		return e.Code == CodeNotFound
	case webhook.ErrConflict:
		return e.Code == CodeConflict
	case webhook.ErrExists:
		return e.Code == CodeExists
	case webhook.ErrNoSpace:
		return e.Code == CodeNoSpace
	case webhook.ErrReadOnly:
		return e.Code == CodeReadOnly
	case webhook.ErrUnwritable:
		return e.Code == CodeNoSpace || e.Code == CodeReadOnly
	case webhook.ErrChallenge:
		return e.Code == CodeChallengeFailed
	}
	return false
}

// ErrorCode returns the code as text.
func (e *Error) ErrorCode() string { return string(e.Code) }

// ErrNoDaemon means that no daemon answers at the socket. A client returns it
// wrapped in an error that names the socket and says what to do.
var ErrNoDaemon = errors.New("no plugbeat daemon answers")

// ErrNoAnswer means that the daemon took the call and did not answer in time. What
// was asked for may have been done.
var ErrNoAnswer = errors.New("accepts connections but does not answer")

// unreachable is the error of a call that got no answer: what happened and what
// to do, with the cause still in its chain.
type unreachable struct {
	text   string
	causes []error
}

func (e *unreachable) Error() string   { return e.text }
func (e *unreachable) Unwrap() []error { return e.causes }
