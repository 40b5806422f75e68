package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"plugbeat/webhook"
)

// The headers of answers are sent in lower case: on error answers Smartcar's Java
// SDK looks for them with that spelling and no other (docs/api.md).
const (
	HeaderRequestID  = "sc-request-id"
	HeaderRetryAfter = "retry-after"
)

// RequestID returns the id that [Replies.Guard] gave the request.
func RequestID(w http.ResponseWriter) string {
	var raw map[string][]string = w.Header() // not canonical, on purpose
	if ids := raw[HeaderRequestID]; len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// Write sends an answer, JSON unless the header says another type. Header keys are
// lower case and stay so on HTTP/1.1.
func Write(w http.ResponseWriter, status int, header map[string]string, body []byte) {
	h := w.Header()
	h["content-type"] = []string{"application/json"}
	for k, v := range header {
		h[k] = []string{v}
	}
	h["Content-Type"] = nil // or net/http would add a guess of its own
	h["cache-control"] = []string{"no-store"}
	h.Set("Content-Length", strconv.Itoa(len(body))) // under this spelling net/http looks for it
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone: nobody is left to tell
}

// WriteJSON sends v compactly, with nothing escaped for HTML.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := JSON(v)
	if err == nil {
		Write(w, status, nil, b)
	}
	return err
}

// JSON is v in JSON with a line break behind it, with nothing escaped for HTML.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// RetryAfter is the wait in whole seconds, rounded up. No wait is a minute: a source that
// limited its rate may not have said for how long.
func RetryAfter(d time.Duration) string {
	if d <= 0 {
		d = time.Minute
	}
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

// ReadBody returns the request's body. A body over the limit or not UTF-8 is a
// [*webhook.Invalid].
func ReadBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		most := strconv.FormatInt(tooLarge.Limit, 10) + " bytes"
		return nil, &webhook.Invalid{Field: "body", Value: "more than " + most, Allowed: "at most " + most}
	}
	if err != nil {
		return nil, &webhook.Invalid{Field: "body", Value: "cut off", Allowed: "a whole JSON object", Why: err.Error()}
	}
	if !utf8.Valid(b) {
		return nil, &webhook.Invalid{Field: "body", Value: "invalid bytes", Allowed: "JSON in UTF-8"}
	}
	return b, nil
}
