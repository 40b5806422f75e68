package web

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func TestParseTags(t *testing.T) {
	for s, want := range map[string][]string{`"a"`: {`"a"`}, ` "a" , W/"b,c" `: {`"a"`, `"b,c"`}, `"a",,"b"`: {`"a"`, `"b"`}, `*`: nil, ` * `: nil} {
		if got, ok := parseTags(s); !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", s, got, ok)
		}
	}
}

// Each setting that a change can change is in the ETag, nothing else is.
func TestETagIsOfTheSettings(t *testing.T) {
	var base webhook.Webhook
	for f := range reflect.TypeFor[adminapi.WebhookChange]().Fields() {
		other := base
		setting := reflect.ValueOf(&other).Elem().FieldByName(f.Name)
		switch setting.Kind() {
		case reflect.String:
			setting.SetString("x")
		case reflect.Bool:
			setting.SetBool(true)
		case reflect.Struct:
			setting.Field(0).SetString("x")
		default:
			t.Fatalf("teach this test to change %s", f.Name)
		}
		if ETagOf(&other) == ETagOf(&base) {
			t.Errorf("%s is not in the ETag: add it to ETagOf", f.Name)
		}
	}
	other := base
	other.Breaker.LastSuccess, other.Status, other.StatusSince, other.DueTimes.Produced, other.Key = time.Now(), webhook.Active, time.Now(), 7, webhook.Secret("k")
	if ETagOf(&other) != ETagOf(&base) {
		t.Error("what deliveries change is in the ETag")
	}
	if other.ID = uuid.New(); ETagOf(&other) == ETagOf(&base) {
		t.Error("another webhook with the same settings has the same ETag")
	}
}
