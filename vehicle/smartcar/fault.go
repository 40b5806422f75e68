package smartcar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"plugbeat/vehicle"
)

// kinds is the vendor's error table by status: the type that an answer without
// one has. Its codes and resolutions come from the error objects themselves.
var kinds = map[int]string{
	400: vehicle.TypeValidation,
	401: vehicle.TypeAuthentication,
	403: vehicle.TypePermission,
	404: vehicle.TypeNotFound,
	409: vehicle.TypeVehicleState,
	429: vehicle.TypeRateLimit,
	430: vehicle.TypeBilling,
	500: vehicle.TypeServer,
	501: vehicle.TypeCompatibility,
	502: vehicle.TypeUpstream,
}

// statuses is the same by type, for an error object that came with status 200.
var statuses = map[string]int{
	vehicle.TypeValidation:     400,
	vehicle.TypeAccount:        400,
	vehicle.TypeAuthentication: 401,
	vehicle.TypePermission:     403,
	vehicle.TypeNotFound:       404,
	vehicle.TypeVehicleState:   409,
	vehicle.TypeRateLimit:      429,
	vehicle.TypeBilling:        430,
	vehicle.TypeServer:         500,
	vehicle.TypeCompatibility:  501,
	vehicle.TypeUpstream:       502,
}

// resolutions is the resolution of types that have the same one for all codes,
// for an error object that says nothing of it.
var resolutions = map[string]string{
	vehicle.TypePermission: vehicle.ResolveReauthenticate,
	vehicle.TypeRateLimit:  vehicle.ResolveRetryLater,
	vehicle.TypeUpstream:   vehicle.ResolveRetryLater,
}

// constant is the form of types, codes and resolutions.
var constant = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

// maxDetail is the largest detail kept, in bytes.
const maxDetail = 16 << 10

// faultOf makes a fault of an entry whose status is no success.
func faultOf(e entry) *vehicle.Fault {
	o, err := parseObject(e.body)
	if err != nil {
		return plain(e, err.Error())
	}
	if f := errorObject(o, e); f != nil {
		return f
	}
	return plain(e, "an error without a type")
}

// disguised makes a fault of an error object that came as a success, nil when it
// is none.
func disguised(o object, e entry) *vehicle.Fault {
	kind, err := o.text("type")
	if err != nil || statuses[kind] == 0 {
		return nil
	}
	e.code = statuses[kind]
	return errorObject(o, e)
}

// errorObject reads the vendor's error object; nil when it has no type.
func errorObject(o object, e entry) *vehicle.Fault {
	kind, err := o.text("type")
	if err != nil || !constant.MatchString(kind) {
		return nil
	}
	f := &vehicle.Fault{Type: kind, Status: e.code, RequestID: e.id, RetryAfter: retryAfter(e)}
	if code, err := o.text("code"); err == nil && constant.MatchString(code) {
		f.Code = code
	}
	if s, err := o.number("statusCode", 400, 599); err == nil && s == float64(int(s)) {
		f.Status = int(s)
	}
	if f.Status < 400 || f.Status > 599 {
		f.Status = http.StatusBadGateway
	}
	if text, err := o.text("description"); err == nil {
		f.Description = clean(text)
	}
	if f.Description == "" {
		f.Description = fmt.Sprintf("Smartcar answered %s without a description.", kind)
	}
	if text, err := o.text("docURL"); err == nil && isURL(text) {
		f.DocURL = text
	}
	if text, err := o.text("requestId"); err == nil && text != "" && len(text) <= 100 {
		f.RequestID = clean(text)
	}
	if text, err := o.text("suggestedUserMessage"); err == nil {
		f.UserMessage = clean(text)
	}
	f.Resolution, f.ResolutionURL = resolutionOf(o, kind)
	f.Detail = detailOf(o)
	return f
}

// resolutionOf reads the resolution: null, a string, or an object whose type may
// be null.
func resolutionOf(o object, kind string) (name, link string) {
	raw, ok := o["resolution"]
	if !ok {
		return resolutions[kind], ""
	}
	if text, err := o.text("resolution"); err == nil {
		name = text
	} else if r, err := parseObject(raw); err == nil {
		name, _ = r.text("type")
		if link, _ = r.text("url"); !isURL(link) {
			link = ""
		}
	}
	if !constant.MatchString(name) {
		name = ""
	}
	return name, link
}

// detailOf returns the array of details, compact, nil when there is none.
func detailOf(o object) json.RawMessage {
	raw := o["detail"]
	if len(raw) == 0 || raw[0] != '[' || len(raw) > maxDetail {
		return nil
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return nil
	}
	return bytes.ToValidUTF8(b.Bytes(), []byte("\uFFFD"))
}

// plain is the fault of an answer that is not the vendor's own: a proxy's page,
// an empty body. Only what the status itself says is believed.
func plain(e entry, what string) *vehicle.Fault {
	text := fmt.Sprintf("Smartcar answered status %d with %s", e.code, what)
	var f *vehicle.Fault
	switch kind := kinds[e.code]; kind {
	case vehicle.TypeAuthentication:
		f = &vehicle.Fault{Type: kind, Status: e.code}
	case vehicle.TypeRateLimit:
		// Whose limit it is is not said; the application's is the careful guess.
		f = &vehicle.Fault{Type: kind, Code: "SMARTCAR_API", Status: e.code, Resolution: vehicle.ResolveRetryLater}
	case vehicle.TypeServer:
		f = &vehicle.Fault{Type: kind, Code: "INTERNAL", Status: e.code, Resolution: vehicle.ResolveRetryLater}
	default:
		f = &vehicle.Fault{Type: vehicle.TypeUpstream, Code: "UNKNOWN_ISSUE", Status: http.StatusBadGateway,
			Resolution: vehicle.ResolveRetryLater}
	}
	f.Description, f.RequestID, f.RetryAfter = text, e.id, retryAfter(e)
	return f
}

// retryAfter reads the header of the same name: seconds, or an HTTP date.
func retryAfter(e entry) time.Duration {
	text := strings.TrimSpace(e.header("retry-after"))
	if text == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		switch {
		case !(s > 0):
			return 0
		case s > vehicle.MaxRetryAfter.Seconds():
			return vehicle.MaxRetryAfter
		}
		return time.Duration(s * float64(time.Second))
	}
	if t, err := http.ParseTime(text); err == nil {
		return min(max(0, t.Sub(e.at)), vehicle.MaxRetryAfter)
	}
	return 0
}

// isURL reports whether a text is fit to be shown as a link.
func isURL(s string) bool {
	return len(s) <= 2000 && (strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")) && strings.ToValidUTF8(s, "") == s &&
		!strings.ContainsAny(s, " \t\r\n")
}
