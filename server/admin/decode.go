package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/google/uuid"

	"plugbeat/server/web"
	"plugbeat/webhook"
)

// decode reads the request's body, one JSON object without unknown fields. What
// curl says of every -d is as good as no content type.
func decode(r *http.Request, into any) error {
	switch kind, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";"); strings.TrimSpace(kind) {
	case "", "application/json", "application/x-www-form-urlencoded":
	default:
		return &webhook.Invalid{Field: "content-type", Value: web.Clip(kind), Allowed: "application/json"}
	}
	b, err := web.ReadBody(r)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON object")
		}
	}
	switch wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); {
	case err == nil:
		return nil
	case ok:
		return &webhook.Invalid{Field: cmp.Or(wrong.Field, "body"), Value: "a JSON " + wrong.Value, Allowed: "a JSON " + jsonName(wrong.Type)}
	case errors.Is(err, io.EOF):
		return &webhook.Invalid{Field: "body", Allowed: "a JSON object", Why: "it is empty"}
	}
	if bad := badID(b, reflect.TypeOf(into).Elem()); bad != nil {
		return bad
	}
	return &webhook.Invalid{Field: "body", Value: "JSON",
		Allowed: "a JSON object with the fields of docs/api.md", Why: strings.TrimPrefix(err.Error(), "json: ")}
}

// badID finds the text of the body that should be an id and is none, where t is
// the struct that the body should be: encoding/json does not tell which field
// did not take its text. It returns nil when that is not what is wrong.
func badID(body []byte, t reflect.Type) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return nil
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		var text string
		if f.Type != reflect.TypeFor[*uuid.UUID]() || json.Unmarshal(members[name], &text) != nil {
			continue
		}
		if _, err := uuid.Parse(text); err != nil {
			return &webhook.Invalid{Field: name, Value: web.Clip(text), Allowed: "a UUID, such as 2b3a7c1e-8f0d-4f6e-9a55-3f1d2c4b5a69"}
		}
	}
	return nil
}

func jsonName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return jsonName(t.Elem())
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice:
		return "array"
	case t.Kind() == reflect.Struct:
		return "object"
	}
	return "string"
}
