package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	hookID    = uuid.MustParse("0b1d6c1e-4a52-4a7e-9d2b-5f0f3f6f7a01")
	vehicleID = uuid.MustParse("c3a9d2f4-11f0-4c58-8f35-2a64e2b7d702")
	reqID     = "6f7a2c9b-5f0e-4b43-9b0f-8a51c1d4e903"
	at        = time.Date(2026, 3, 4, 10, 0, 5, 987654321, time.FixedZone("CET", 3600))
)

func event() Event {
	reach := 287.456789
	return Event{
		WebhookID: hookID, EventName: EventDynamic, Mode: vehicle.ModeLive, Vehicle: vehicleID, RequestID: reqID, Timestamp: at,
		Snapshot: vehicle.Snapshot{
			RequestID: "not used: the event has one",
			Battery: vehicle.Reading[vehicle.Battery]{OK: true, FetchedAt: at, DataAge: at.Add(-2 * time.Minute),
				Value: vehicle.Battery{PercentRemaining: 0.64, RangeKm: &reach}},
			Charge: vehicle.Reading[vehicle.Charge]{OK: true, FetchedAt: at, DataAge: at.Add(-2 * time.Minute),
				Value: vehicle.Charge{State: vehicle.Charging, Plug: vehicle.PluggedIn}},
			Location: vehicle.Reading[vehicle.Location]{OK: true, FetchedAt: at,
				Value: vehicle.Location{Latitude: 48.1371541, Longitude: 11.5761236}},
		},
	}
}

// faulty is an event whose every path failed, each in another way.
func faulty() Event {
	ev := event()
	ev.Mode = vehicle.ModeSimulated
	ev.Snapshot.Fail(vehicle.PathsOf(vehicle.PathBattery), &vehicle.Fault{
		Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: 400, Description: "The owner's account refused the login.",
		DocURL: "https://example.com/docs#auth", RequestID: "77777777-5f0e-4b43-9b0f-8a51c1d4e903",
		Resolution: vehicle.ResolveReauthenticate, ResolutionURL: "https://connect.example.com/?a=1&b=<2>",
		UserMessage: "Please log in again.",
	}, at)
	ev.Snapshot.Fail(vehicle.PathsOf(vehicle.PathCharge), &vehicle.Fault{
		Type: vehicle.TypeValidation, Status: 400, Description: "A parameter is wrong.",
		Detail: json.RawMessage(`[ {"field":["a","b"], "message":"\u003ctoo big\u003e", "limit": 1.50} ]`),
	}, at)
	ev.Snapshot.Fail(vehicle.PathsOf(vehicle.PathLocation), &vehicle.Fault{
		Type: vehicle.TypePermission, Status: 403, Description: "Not permitted to read location.", Resolution: vehicle.ResolveReauthenticate,
	}, at)
	return ev
}

func imperial() Event {
	ev := event()
	ev.UnitSystem = Imperial
	ev.Mode = ""
	ev.RequestID = ""
	ev.Snapshot.RequestID = reqID
	ev.Snapshot.Charge.Value = vehicle.Charge{State: vehicle.NotCharging, Plug: vehicle.Unplugged}
	return ev
}

// scheduled is an event of a webhook that chose two paths.
func scheduled() Event {
	ev := faulty()
	ev.EventName, ev.Paths = EventScheduled, vehicle.PathsOf(vehicle.PathLocation, vehicle.PathBattery)
	ev.Snapshot.Battery = event().Snapshot.Battery
	ev.UnitSystem = Imperial
	return ev
}

// eventful is an event that tells what happened.
func eventful() Event {
	ev := event()
	ev.EventName, ev.Happened = EventEventBased, webhook.NewEvent(vehicleID, webhook.ChargingStopped, at.Add(-2*time.Minute))
	return ev
}

// spelled is the same event under another name.
func spelled(ev Event, name string) Event {
	ev.EventName = name
	return ev
}

func TestGolden(t *testing.T) {
	compose := func(ev Event) []byte {
		body, err := Compose(ev)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	for name, body := range map[string][]byte{
		"dynamic.json":          compose(event()),
		"dynamic-faults.json":   compose(faulty()),
		"dynamic-imperial.json": compose(imperial()),
		"schedule.json":         compose(spelled(event(), EventSchedule)),
		"schedule-paths.json":   compose(scheduled()),
		"event-based.json":      compose(eventful()),
		"verify.json":           Verify(hookID, "00112233445566778899aabbccddeeff"),
		"test.json":             Test(&webhook.Webhook{ID: hookID}),
		"test-schedule.json": Test(&webhook.Webhook{ID: hookID, Type: webhook.TypeSchedule, Content: webhook.Content{
			Paths: []string{"/battery"}, UnitSystem: Imperial}}),
		"test-event-based.json": Test(&webhook.Webhook{ID: hookID, Type: webhook.TypeEventBased, Content: webhook.Content{
			EventTypes: []webhook.EventType{webhook.ChargingCompleted}}}),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, body, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(body, want) {
				t.Errorf("got\n%s\nwant\n%s", body, want)
			}
			newReprinter(t).check(t, body)
		})
	}
}

// TestEveryTypeHasAFormat holds the two registries together.
func TestEveryTypeHasAFormat(t *testing.T) {
	for _, typ := range webhook.Types {
		for _, name := range typ.Kind().EventNames {
			if _, ok := formatOf(name); !ok {
				t.Errorf("deliveries of type %s go out as %s, which has no format", typ, name)
			}
		}
		if body := Test(&webhook.Webhook{ID: hookID, Type: typ}); len(body) == 0 {
			t.Errorf("type %s has no test payload", typ)
		}
	}
}

func TestComposeRefuses(t *testing.T) {
	for field, spoil := range map[string]func(*Event){
		"event_name":  func(ev *Event) { ev.EventName = "diagnostic" },
		"mode":        func(ev *Event) { ev.Mode = "LIVE" },
		"happened":    func(ev *Event) { ev.EventName = EventEventBased },
		"unit_system": func(ev *Event) { ev.UnitSystem = "nautical" },
	} {
		ev := event()
		spoil(&ev)
		body, err := Compose(ev)
		var bad *webhook.Invalid
		if !errors.As(err, &bad) || bad.Field != field || body != nil {
			t.Errorf("%s: got %s, %v", field, body, err)
		}
	}
}

// TestEntryIsTotal holds that whatever a source returns, there is an entry that
// prints, and that nothing unknown becomes a value.
func TestEntryIsTotal(t *testing.T) {
	km := math.Inf(1)
	for _, c := range []struct {
		name string
		path vehicle.Path
		snap vehicle.Snapshot
		want string
	}{
		{"not asked for", vehicle.PathCharge, vehicle.Snapshot{}, `"type":"SERVER","code":"INTERNAL"`},
		{"unknown plug", vehicle.PathCharge, vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{State: vehicle.NotCharging}}}, `"code":"INVALID_DATA"`},
		{"charging proves the plug", vehicle.PathCharge, vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{State: vehicle.Charging, Plug: vehicle.Unplugged}}}, `"body":{"state":"CHARGING","isPluggedIn":true}`},
		{"unknown charge state", vehicle.PathCharge, vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{Plug: vehicle.Unplugged}}}, `"body":{"state":null,"isPluggedIn":false}`},
		{"no range", vehicle.PathBattery, vehicle.Snapshot{Battery: vehicle.Reading[vehicle.Battery]{OK: true}}, `"body":{"percentRemaining":0,"range":null}`},
		{"infinite range", vehicle.PathBattery, vehicle.Snapshot{Battery: vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{RangeKm: &km}}}, `"body":{"percentRemaining":0,"range":null}`},
		{"no number", vehicle.PathBattery, vehicle.Snapshot{Battery: vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: math.NaN()}}}, `"code":"INVALID_DATA"`},
		{"no position", vehicle.PathLocation, vehicle.Snapshot{Location: vehicle.Reading[vehicle.Location]{OK: true, Value: vehicle.Location{Longitude: math.NaN()}}}, `"code":"INVALID_DATA"`},
		{"status missing", vehicle.PathLocation, vehicle.Snapshot{Location: vehicle.Reading[vehicle.Location]{Fault: &vehicle.Fault{Type: "SERVER"}}}, `"code":500,"body":{"type":"SERVER","code":null`},
		{"status absurd", vehicle.PathLocation, vehicle.Snapshot{Location: vehicle.Reading[vehicle.Location]{Fault: &vehicle.Fault{Type: "SERVER", Status: 200}}}, `"statusCode":500`},
		{"unknown path", vehicle.Path(9), vehicle.Snapshot{}, `"code":500`},
	} {
		got, err := Append(nil, Entry(c.path, c.snap, Metric, reqID))
		if err != nil || !strings.Contains(string(got), c.want) {
			t.Errorf("%s: got %s, %v; want %s in it", c.name, got, err, c.want)
		}
	}
}

// TestErrorObjectDecodes holds the rules of the strictest SDKs: each key there,
// resolution an object with a type, no null url, detail an array.
func TestErrorObjectDecodes(t *testing.T) {
	for _, detail := range []string{``, `{}`, `null`, `[`, `[{"1":2}]`, `[{"a":1,"a":2}]`, `[1e300]`, `<html>`} {
		text, err := Append(nil, ErrorObject(&vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409, Detail: json.RawMessage(detail)}, reqID))
		if err != nil {
			t.Fatalf("detail %s: %v", detail, err)
		}
		const want = `{"type":"VEHICLE_STATE","code":"ASLEEP","description":"","docURL":"https://smartcar.com/docs/errors/api-errors/vehicle-state-errors#asleep","statusCode":409,"requestId":"6f7a2c9b-5f0e-4b43-9b0f-8a51c1d4e903","resolution":{"type":null}}`
		if string(text) != want {
			t.Errorf("detail %s: got %s", detail, text)
		}
	}
}

func TestTimestamp(t *testing.T) {
	for in, want := range map[time.Time]string{
		at: "2026-03-04T09:00:05.987Z",
		time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC):           "2026-12-31T23:59:59.000Z",
		time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC): "2026-12-31T23:59:59.999Z",
	} {
		if got := Timestamp(in); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
