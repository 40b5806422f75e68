package vehicle

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The types of a fault, from Smartcar v2.0's error table (docs/wire.md).
const (
	TypeValidation     = "VALIDATION"
	TypeAccount        = "CONNECTED_SERVICES_ACCOUNT"
	TypeAuthentication = "AUTHENTICATION"
	TypePermission     = "PERMISSION"
	TypeNotFound       = "RESOURCE_NOT_FOUND"
	TypeVehicleState   = "VEHICLE_STATE"
	TypeRateLimit      = "RATE_LIMIT"
	TypeBilling        = "BILLING"
	TypeServer         = "SERVER"
	TypeCompatibility  = "COMPATIBILITY"
	TypeUpstream       = "UPSTREAM"
)

// FaultTypes lists every type of a fault.
var FaultTypes = [...]string{
	TypeValidation, TypeAccount, TypeAuthentication, TypePermission, TypeNotFound, TypeVehicleState, TypeRateLimit, TypeBilling,
	TypeServer, TypeCompatibility, TypeUpstream,
}

// The resolutions of a fault.
const (
	ResolveRetryLater     = "RETRY_LATER"
	ResolveReauthenticate = "REAUTHENTICATE"
	ResolveContactSupport = "CONTACT_SUPPORT"
	ResolveActionRequired = "ACTION_REQUIRED"
	ResolveFinance        = "FINANCE"
)

// MaxRetryAfter is the longest wait that a source is believed to ask for. An hour's slip in
// a vendor's answer must not leave a vehicle unread for weeks.
const MaxRetryAfter = 24 * time.Hour

// Fault is why a path has no value. It is also the error object of Smartcar
// v2.0, in payloads and in API replies alike.
type Fault struct {
	Type        string `json:"type"`
	Code        string `json:"code"` // empty is JSON null on the wire
	Description string `json:"description"`
	DocURL      string `json:"doc_url"` // empty: made from type and code
	Status      int    `json:"status"`  // HTTP status, 400 to 599
	RequestID   string `json:"request_id,omitempty"`
	// Resolution is one of the Resolve constants or empty for none;
	// ResolutionURL may accompany REAUTHENTICATE and ACTION_REQUIRED.
	Resolution    string `json:"resolution,omitempty"`
	ResolutionURL string `json:"resolution_url,omitempty"`
	// UserMessage is text for the vehicle's owner; empty for none.
	UserMessage string `json:"user_message,omitempty"`
	// Detail is Smartcar's array of details, verbatim; nil for none.
	Detail json.RawMessage `json:"detail,omitempty"`
	// RetryAfter is how long the source asks to wait; 0 means it said nothing.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	// Network is true when no answer arrived at all.
	Network bool `json:"network,omitempty"`
	// Final is true when a whole answer arrived and plugbeat takes no value from it, so
	// that asking again soon brings the same. It is not stored.
	Final bool `json:"-"`
}

// Error implements error: "UPSTREAM:NO_RESPONSE: the vehicle did not answer".
func (f *Fault) Error() string {
	code := f.Type
	if f.Code != "" {
		code += ":" + f.Code
	}
	if f.Description == "" {
		return code
	}
	return code + ": " + f.Description
}

// Temporary reports whether asking again soon may help: upstream, server,
// network and rate limit, unless plugbeat itself refuses a whole answer. Within a due time
// other faults are not tried again.
func (f *Fault) Temporary() bool {
	switch f.Type {
	case TypeUpstream, TypeServer, TypeRateLimit:
		return !f.Final && f.Code != "RECORD_NOT_FOUND" && f.Code != "MULTIPLE_RECORDS_FOUND"
	}
	return f.Network
}

// Restricts reports whether the fault is one of account, permission or billing,
// for which the unplugged cadence is used.
func (f *Fault) Restricts() bool {
	switch f.Type {
	case TypeAccount, TypeAuthentication, TypePermission, TypeBilling:
		return true
	}
	return false
}

// NeedsPerson reports whether the fault stays until somebody does something: the
// owner, the operator, or the vendor's support.
func (f *Fault) NeedsPerson() bool {
	switch f.Resolution {
	case ResolveReauthenticate, ResolveActionRequired, ResolveContactSupport, ResolveFinance:
		return true
	}
	return f.Restricts()
}

// PausesSource reports whether the source refuses every vehicle and not only the
// one that was asked for: a rate limit whose code Smartcar v2.0 keeps for the whole
// application. The next vehicle would be refused as well, and asking anyway may
// prolong the limit, so the whole source rests. Any other rate limit is the
// vehicle's own.
func (f *Fault) PausesSource() bool {
	return f.Type == TypeRateLimit && f.Code == "SMARTCAR_API"
}

// TooManyReads is the fault of a vehicle for which too many reads are asked at a
// time; retryAfter is when one may be asked again.
func TooManyReads(description string, retryAfter time.Duration) *Fault {
	return &Fault{Type: TypeRateLimit, Code: "VEHICLE", Status: 429, Resolution: ResolveRetryLater, Description: description,
		RetryAfter: retryAfter}
}

// BucketEmpty is the fault of a call that plugbeat does not make because the source
// would refuse the whole application; retryAfter is when it may be made.
func BucketEmpty(retryAfter time.Duration) *Fault {
	return &Fault{Type: TypeRateLimit, Code: "SMARTCAR_API", Status: 429, Resolution: ResolveRetryLater, RetryAfter: retryAfter,
		Description: "plugbeat has used up what the source allows the application for now"}
}

// Doc returns the fault's documentation URL, made from type and code where the
// source gave none.
func (f *Fault) Doc() string {
	if f.DocURL != "" {
		return f.DocURL
	}
	kebab := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
	code := "null"
	if f.Code != "" {
		code = kebab(f.Code)
	}
	family := kebab(f.Type)
	if f.Type == TypeAccount {
		family = "connected-services-account"
	}
	return fmt.Sprintf("https://smartcar.com/docs/errors/api-errors/%s-errors#%s", family, code)
}

// AsFault returns the fault in err's chain, or an UPSTREAM:NO_RESPONSE fault
// that carries err's text, marked Network.
func AsFault(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	n := NoResponse(err.Error())
	n.Network = true
	return n
}

// NoResponse is the fault of an upstream that did not answer.
func NoResponse(description string) *Fault {
	return &Fault{Type: TypeUpstream, Code: "NO_RESPONSE", Status: 502, Resolution: ResolveRetryLater, Description: description}
}

// InvalidData is the fault of a whole answer that is no value: a wrong type, null, out
// of range. It is not temporary: the source would answer the same again.
func InvalidData(description string) *Fault {
	f := Garbled(description)
	f.Final = true
	return f
}

// Garbled is the fault of an answer that did not arrive whole, or from somebody else: cut
// off, or a proxy's page instead of JSON. It is temporary.
func Garbled(description string) *Fault {
	return &Fault{Type: TypeUpstream, Code: "INVALID_DATA", Status: 502, Resolution: ResolveRetryLater, Description: description}
}

// NotCapable is the fault of a path that the source cannot have.
func NotCapable(description string) *Fault {
	return &Fault{Type: TypeCompatibility, Code: "VEHICLE_NOT_CAPABLE", Status: 501, Description: description}
}

// NotInMap is the fault of a vehicle that the source's section of the config has no map for.
func NotInMap(source string) *Fault {
	return &Fault{Type: TypeNotFound, Code: "", Status: 404, Resolution: ResolveContactSupport,
		Description: "the vehicle is not in the config any more: put it back under sources." + source + ".vehicles, or disconnect it"}
}
