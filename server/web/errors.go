package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// row is one line of the error table: an error that a handler may return, and
// what it is in both APIs.
type row struct {
	is     func(error) bool
	code   adminapi.Code
	status int // of the admin API
	hint   string
	fault  vehicle.Fault // of /v2.0; an empty description takes the error's text
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// table maps every error to its answer, first match first. Its last row matches
// all: what we did not foresee is ours, and its text stays in the log.
var table = [...]row{
	{as[*webhook.Invalid], adminapi.CodeInvalid, http.StatusBadRequest, "",
		vehicle.Fault{Type: vehicle.TypeValidation, Status: 400}},
	{is(webhook.ErrNotFound), adminapi.CodeNotFound, http.StatusNotFound, "",
		vehicle.Fault{Type: vehicle.TypeNotFound, Code: "PATH", Status: 404}},
	{is(webhook.ErrExists), adminapi.CodeExists, http.StatusConflict, "choose another name or id",
		vehicle.Fault{Type: vehicle.TypeValidation, Status: 400}},
	{is(webhook.ErrNoSpace), adminapi.CodeNoSpace, http.StatusInsufficientStorage, "free space on the data file's disk; nothing was changed",
		vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500, Resolution: vehicle.ResolveRetryLater,
			Description: "The server's disk is full. Nothing was changed."}},
	{is(webhook.ErrReadOnly), adminapi.CodeReadOnly, http.StatusInsufficientStorage,
		"mount the data file's file system for writing; nothing was changed",
		vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500, Resolution: vehicle.ResolveRetryLater,
			Description: "The server's disk is read-only. Nothing was changed."}},
	{is(webhook.ErrChallenge), adminapi.CodeChallengeFailed, http.StatusFailedDependency, "",
		vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500, Resolution: vehicle.ResolveRetryLater}},
	{is(webhook.ErrConflict), adminapi.CodeConflict, http.StatusConflict, "",
		vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500, Resolution: vehicle.ResolveRetryLater}},
	{is(context.DeadlineExceeded), adminapi.CodeUnavailable, http.StatusServiceUnavailable, "try again",
		vehicle.Fault{Type: vehicle.TypeUpstream, Code: "NO_RESPONSE", Status: 502, Resolution: vehicle.ResolveRetryLater,
			Description: "The vehicle did not answer in time."}},
	{is(context.Canceled), adminapi.CodeUnavailable, http.StatusServiceUnavailable, "the daemon is stopping; try again",
		vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500, Resolution: vehicle.ResolveRetryLater,
			Description: "The server is stopping."}},
	{is(webhook.ErrStopping), adminapi.CodeUnavailable, http.StatusServiceUnavailable, "try again once it runs again",
		vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500, Resolution: vehicle.ResolveRetryLater,
			Description: "The server is stopping."}},
	{func(error) bool { return true }, adminapi.CodeInternal, http.StatusInternalServerError, "",
		vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500, Resolution: vehicle.ResolveRetryLater,
			Description: "An unexpected error occurred."}},
}

// resolutions says what an operator does about a source's fault.
var resolutions = map[string]string{
	vehicle.ResolveRetryLater:     "try again; if it stays so, look at the source's section in the config and at the way to the vendor",
	vehicle.ResolveReauthenticate: "the owner of the account signs in again, then: plugbeat vehicle connect --source NAME",
	vehicle.ResolveContactSupport: "ask the vendor's support",
}

func rowOf(err error) row {
	for _, r := range table {
		if r.is(err) {
			return r
		}
	}
	return table[len(table)-1]
}

// FaultOf is the error as Smartcar v2.0's error object. It copies: an answer
// never changes a fault that others hold.
func FaultOf(err error) *vehicle.Fault {
	if f, ok := errors.AsType[*vehicle.Fault](err); ok {
		c := *f
		return &c
	}
	f := rowOf(err).fault
	if f.Description == "" {
		f.Description = plain(err)
	}
	if inv, ok := errors.AsType[*webhook.Invalid](err); ok {
		f.Detail = detail(inv.Error(), inv.Field)
	}
	return &f
}

// plain is an error's text without the word that only classes it.
func plain(err error) string {
	return strings.Replace(err.Error(), webhook.ErrConflict.Error()+": ", "", 1)
}

// Hinted is an error with a hint that is truer than its row's, and with words of its own
// where Text is not empty.
type Hinted struct {
	Err        error
	Text, Hint string
}

func (h *Hinted) Error() string { return cmp.Or(h.Text, h.Err.Error()) }
func (h *Hinted) Unwrap() error { return h.Err }

// APIErrorOf is the error as the admin API's. It copies.
func APIErrorOf(err error) *adminapi.Error {
	if h, ok := errors.AsType[*Hinted](err); ok {
		e := APIErrorOf(h.Err)
		if h.Text != "" && e.Code != adminapi.CodeInternal {
			e.Message = plain(h)
		}
		e.Hint = cmp.Or(h.Hint, e.Hint)
		return e
	}
	if e, ok := errors.AsType[*adminapi.Error](err); ok {
		c := *e
		if c.Status == 0 {
			c.Status = StatusOf(c.Code)
		}
		return &c
	}
	// A source that could not save its tokens has a fault and our disk's trouble in it.
	if f, ok := errors.AsType[*vehicle.Fault](err); ok && !errors.Is(err, webhook.ErrUnwritable) {
		return &adminapi.Error{Code: adminapi.CodeSource, Status: StatusOf(adminapi.CodeSource), Message: err.Error(),
			Hint: cmp.Or(f.ResolutionURL, resolutions[f.Resolution])}
	}
	r := rowOf(err)
	e := &adminapi.Error{Code: r.code, Status: r.status, Message: plain(err), Hint: r.hint}
	if inv, ok := errors.AsType[*webhook.Invalid](err); ok {
		e.Field, e.Value, e.Allowed = inv.Field, inv.Value, inv.Allowed
	}
	if r.code == adminapi.CodeInternal {
		e.Message, e.Hint = "internal error", "the daemon's log says what happened"
	}
	return e
}

// StatusOf is the status of an error that a handler made itself.
func StatusOf(c adminapi.Code) int {
	switch c {
	case adminapi.CodeSource:
		return http.StatusBadGateway
	case adminapi.CodeUnauthorized:
		return http.StatusUnauthorized
	case adminapi.CodeForbidden:
		return http.StatusForbidden
	case adminapi.CodeChanged:
		return http.StatusPreconditionFailed
	}
	for _, r := range table {
		if r.code == c {
			return r.status
		}
	}
	return http.StatusInternalServerError
}

// detail is Smartcar's array of details with one entry.
func detail(message string, field ...string) json.RawMessage {
	type entry struct {
		Field   []string `json:"field"`
		Message string   `json:"message"`
	}
	b, _ := json.Marshal([]entry{{field, message}}) // strings only: cannot fail
	return b
}

// The faults that /v2.0 makes itself.

// Validation refuses what the request says; field is the way to it.
func Validation(description string, field ...string) *vehicle.Fault {
	return &vehicle.Fault{Type: vehicle.TypeValidation, Status: 400, Description: description, Detail: detail(description, field...)}
}

// Unauthorized refuses a token or credentials.
func Unauthorized(description string) *vehicle.Fault {
	return &vehicle.Fault{Type: vehicle.TypeAuthentication, Status: 401, Description: description}
}

// NotPermitted refuses what the token does not reach, or the owner did not allow.
func NotPermitted(description string) *vehicle.Fault {
	return &vehicle.Fault{Type: vehicle.TypePermission, Status: 403, Resolution: vehicle.ResolveReauthenticate, Description: description}
}

// NoPath says that there is no such endpoint or thing.
func NoPath(description string) *vehicle.Fault {
	return &vehicle.Fault{Type: vehicle.TypeNotFound, Code: "PATH", Status: 404, Description: description}
}
