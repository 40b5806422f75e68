package simulator

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// answer writes one response. It writes header names in lower case, because one of the vendor's
// client libraries looks them up case-sensitively.
type answer struct {
	w         http.ResponseWriter
	now       time.Time
	requestID string
	grant     grant
}

func newAnswer(w http.ResponseWriter) *answer {
	a := &answer{w: w, now: time.Now().UTC(), requestID: uuid.NewString()}
	h := w.Header()
	h["Content-Type"] = nil // keeps net/http from adding a second one
	h["content-type"] = []string{"application/json; charset=utf-8"}
	h["sc-request-id"] = []string{a.requestID}
	return a
}

// stamp formats a time as the wire has it: UTC, milliseconds, Z.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (a *answer) ok(body any) { a.write(http.StatusOK, body) }

func (a *answer) write(status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte("{}")
	}
	a.w.WriteHeader(status)
	_, _ = a.w.Write(b)
}

// fault answers the whole request with an error object.
func (a *answer) fault(f *vehicle.Fault) {
	e := a.failed(entry{}, f)
	for name, value := range e.Headers {
		a.w.Header()[name] = []string{value}
	}
	a.write(e.Code, e.Body)
}

// failed puts a fault into an entry. As at the vendor, a failed entry has no header but
// retry-after, and that only for a rate limit.
func (a *answer) failed(e entry, f *vehicle.Fault) entry {
	e.Code, e.Body, e.Headers = f.Status, a.errorObject(f), nil
	if f.RetryAfter > 0 {
		seconds := int64((f.RetryAfter + time.Second - 1) / time.Second)
		e.Headers = map[string]string{"retry-after": strconv.FormatInt(seconds, 10)}
	}
	return e
}

// invalid answers 400 VALIDATION and names the field.
func (a *answer) invalid(field, message string) {
	f := Row(vehicle.TypeValidation, "")
	f.Description = field + " " + message + "."
	f.Detail, _ = json.Marshal([]any{struct {
		Field   []string `json:"field"`
		Message string   `json:"message"`
	}{[]string{field}, message}})
	a.fault(f)
}

type resolution struct {
	Type *string `json:"type"`
	URL  string  `json:"url,omitempty"`
}

type errorObject struct {
	Type        string          `json:"type"`
	Code        *string         `json:"code"`
	Description string          `json:"description"`
	DocURL      string          `json:"docURL"`
	StatusCode  int             `json:"statusCode"`
	RequestID   string          `json:"requestId"`
	Resolution  any             `json:"resolution"`
	UserMessage string          `json:"suggestedUserMessage,omitempty"`
	Detail      json.RawMessage `json:"detail,omitempty"`
}

// errorObject makes the wire's error object. Without a resolution the vendor writes null for some
// types and {"type":null} for others; errorObject does the same.
func (a *answer) errorObject(f *vehicle.Fault) errorObject {
	o := errorObject{
		Type: f.Type, Description: f.Description, DocURL: f.Doc(), StatusCode: f.Status,
		RequestID: a.requestID, UserMessage: f.UserMessage, Detail: f.Detail,
	}
	if f.Code != "" {
		o.Code = &f.Code
	}
	switch {
	case f.Resolution != "":
		o.Resolution = resolution{Type: &f.Resolution, URL: f.ResolutionURL}
	case f.Type == vehicle.TypeVehicleState || f.Type == vehicle.TypeCompatibility:
		o.Resolution = resolution{}
	}
	return o
}
