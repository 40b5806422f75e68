package vehicle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"plugbeat/vehicle"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// TestStateOf is total: every combination of value, fault, charging state and
// plug has exactly the state written here.
func TestStateOf(t *testing.T) {
	states := []vehicle.ChargeState{vehicle.Charging, vehicle.FullyCharged, vehicle.NotCharging, "", "TOMORROWS"}
	for _, ok := range []bool{true, false} {
		for _, state := range states {
			for plug := range vehicle.Unplugged + 2 {
				want := vehicle.StateUnknown
				if ok {
					switch {
					case plug == vehicle.PluggedIn || state == vehicle.Charging:
						want = vehicle.StatePluggedIn
					case plug == vehicle.Unplugged:
						want = vehicle.StateUnplugged
					}
				}
				r := vehicle.Reading[vehicle.Charge]{OK: ok, Value: vehicle.Charge{State: state, Plug: plug}}
				if got := vehicle.StateOf(r); got != want {
					t.Errorf("ok=%v %q plug=%d: %v, want %v", ok, state, plug, got, want)
				}
			}
		}
	}
	if got := vehicle.StateOf(vehicle.Reading[vehicle.Charge]{}); got != vehicle.StateUnknown {
		t.Errorf("the zero reading says %v", got)
	}
}

func TestStateText(t *testing.T) {
	for _, s := range []vehicle.State{vehicle.StateUnknown, vehicle.StateUnplugged, vehicle.StatePluggedIn} {
		b, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back vehicle.State
		if err := back.UnmarshalText(b); err != nil || back != s {
			t.Errorf("%s comes back as %v, %v", b, back, err)
		}
	}
	var s vehicle.State
	for _, bad := range []string{"", "Unplugged", "plugged", "3"} {
		if err := s.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for %v", bad, s)
		}
	}
	if got := vehicle.State(9).String(); got != "State(9)" {
		t.Errorf("%q", got)
	}
}

func TestPlugText(t *testing.T) {
	for p := range vehicle.Unplugged + 1 {
		b, err := p.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back vehicle.Plug
		if err := back.UnmarshalText(b); err != nil || back != p {
			t.Errorf("%s comes back as %v, %v", b, back, err)
		}
	}
	var p vehicle.Plug
	for _, bad := range []string{"", "true", "1"} {
		if err := p.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for %v", bad, p)
		}
	}
	if got := vehicle.Plug(9).String(); got != "Plug(9)" {
		t.Errorf("%q", got)
	}
}

// TestFaultClasses: which faults are tried again within a due time and which slow
// the cadence; no fault does both.
func TestFaultClasses(t *testing.T) {
	for _, c := range []struct {
		fault               vehicle.Fault
		temporary, restrict bool
	}{
		{vehicle.Fault{Type: vehicle.TypeValidation}, false, false},
		{vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED"}, false, true},
		{vehicle.Fault{Type: vehicle.TypeAuthentication}, false, true},
		{vehicle.Fault{Type: vehicle.TypePermission}, false, true},
		{vehicle.Fault{Type: vehicle.TypeNotFound, Code: "PATH"}, false, false},
		{vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP"}, false, false},
		{vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE"}, true, false},
		{vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "SMARTCAR_API"}, true, false},
		{vehicle.Fault{Type: vehicle.TypeBilling, Code: "VEHICLE_LIMIT"}, false, true},
		{vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL"}, true, false},
		{vehicle.Fault{Type: vehicle.TypeServer, Code: "RECORD_NOT_FOUND"}, false, false},
		{vehicle.Fault{Type: vehicle.TypeServer, Code: "MULTIPLE_RECORDS_FOUND"}, false, false},
		{vehicle.Fault{Type: vehicle.TypeCompatibility, Code: "VEHICLE_NOT_CAPABLE"}, false, false},
		{vehicle.Fault{Type: vehicle.TypeUpstream, Code: "INVALID_DATA"}, true, false},
		{vehicle.Fault{Type: "TOMORROWS"}, false, false},
		{vehicle.Fault{Type: "TOMORROWS", Network: true}, true, false},
	} {
		if got := c.fault.Temporary(); got != c.temporary {
			t.Errorf("%s: temporary %v", c.fault.Error(), got)
		}
		if got := c.fault.Restricts(); got != c.restrict {
			t.Errorf("%s: restricts %v", c.fault.Error(), got)
		}
	}
}

func TestFaultPausesSource(t *testing.T) {
	for _, c := range []struct {
		fault vehicle.Fault
		want  bool
	}{
		{vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "SMARTCAR_API"}, true},
		{vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", RetryAfter: time.Hour}, false},
		{vehicle.Fault{Type: vehicle.TypeRateLimit}, false},
		{vehicle.Fault{Type: vehicle.TypeUpstream, Code: "SMARTCAR_API"}, false},
		{*vehicle.TooManyReads("", time.Second), false},
	} {
		if got := c.fault.PausesSource(); got != c.want {
			t.Errorf("%s: pauses the source %v", c.fault.Error(), got)
		}
	}
}

func TestFaultTexts(t *testing.T) {
	for _, c := range []struct {
		fault      *vehicle.Fault
		text, docs string
	}{
		{vehicle.NotCapable("no location"), "COMPATIBILITY:VEHICLE_NOT_CAPABLE: no location", "compatibility-errors#vehicle-not-capable"},
		{&vehicle.Fault{Type: vehicle.TypePermission}, "PERMISSION", "permission-errors#null"},
		{&vehicle.Fault{Type: vehicle.TypeAccount, Code: "NO_VEHICLES"}, "CONNECTED_SERVICES_ACCOUNT:NO_VEHICLES", "connected-services-account-errors#no-vehicles"},
	} {
		if got := c.fault.Error(); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
		if got := c.fault.Doc(); got != "https://smartcar.com/docs/errors/api-errors/"+c.docs {
			t.Errorf("%s", got)
		}
	}
	given := &vehicle.Fault{Type: vehicle.TypeBilling, DocURL: "https://a.example/b"}
	if got := given.Doc(); got != given.DocURL {
		t.Errorf("%s, want the source's own", got)
	}
}

func TestAsFault(t *testing.T) {
	f := vehicle.InvalidData("html")
	if got := vehicle.AsFault(fmt.Errorf("read: %w", f)); got != f {
		t.Errorf("%v, want the one that is wrapped", got)
	}
	got := vehicle.AsFault(errors.New("connection refused"))
	if !got.Network || !got.Temporary() || got.Type != vehicle.TypeUpstream || got.Code != "NO_RESPONSE" || got.Description != "connection refused" || got.Status != 502 {
		t.Errorf("%+v", got)
	}
}

func TestPaths(t *testing.T) {
	names := map[vehicle.Path]string{vehicle.PathCharge: "/charge", vehicle.PathBattery: "/battery", vehicle.PathLocation: "/location"}
	for p, name := range names {
		if p.String() != name || p.Permission() != "read_"+name[1:] {
			t.Errorf("%s, %s", p, p.Permission())
		}
		for _, s := range []string{name, name[1:]} {
			if got, ok := vehicle.ParsePath(s); !ok || got != p {
				t.Errorf("%q is %v, %v", s, got, ok)
			}
		}
	}
	for _, bad := range []string{"", "/", "//charge", "/Charge", "/charge/", "charge/limit", "/odometer"} {
		if got, ok := vehicle.ParsePath(bad); ok {
			t.Errorf("%q is taken for %v", bad, got)
		}
	}
	for set := range vehicle.AllPaths + 1 {
		var back vehicle.Paths
		n := 0
		for p := range set.All() {
			back |= vehicle.PathsOf(p)
			n++
		}
		if back != set || set.Len() != n {
			t.Errorf("%v comes back as %v with %d of %d", set, back, set.Len(), n)
		}
	}
	if got := vehicle.AllPaths.String(); got != "/charge /battery /location" {
		t.Errorf("%q", got)
	}
	for p := range vehicle.AllPaths.All() {
		if p != vehicle.PathCharge {
			t.Error("a loop does not end where it is left")
		}
		break
	}
}

func full() vehicle.Snapshot {
	km := 287.5
	age := noon.Add(-time.Minute)
	return vehicle.Snapshot{
		RequestID: "36ab27d0-fd9d-4455-823a-ce30af709ffc",
		Charge:    vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{State: vehicle.Charging, Plug: vehicle.PluggedIn}, DataAge: age, FetchedAt: noon},
		Battery:   vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: 0.64, RangeKm: &km}, FetchedAt: noon},
		Location:  vehicle.Reading[vehicle.Location]{Fault: vehicle.NotCapable("none"), FetchedAt: noon},
	}
}

// TestSnapshot: what was asked for, failing some paths, merging a newer one.
func TestSnapshot(t *testing.T) {
	if got := (vehicle.Snapshot{}).Asked(); got != 0 {
		t.Errorf("nothing was asked for, not %v", got)
	}
	for set := range vehicle.AllPaths + 1 {
		var s vehicle.Snapshot
		f := vehicle.NoResponse("gone")
		s.Fail(set, f, noon)
		if s.Asked() != set {
			t.Errorf("failed %v, asked %v", set, s.Asked())
		}
		merged := full().Merge(s)
		for p := range vehicle.AllPaths.All() {
			want, at := full().Fault(p), noon
			if set.Has(p) {
				want = f
			}
			if got := merged.Fault(p); !reflect.DeepEqual(got, want) || merged.FetchedAt(p) != at {
				t.Errorf("merged %v: %v at %v: %v", set, p, merged.FetchedAt(p), got)
			}
			if (s.Fault(p) == f) != set.Has(p) || s.FetchedAt(p).IsZero() == set.Has(p) {
				t.Errorf("failed %v: %v: %v", set, p, s.Fault(p))
			}
		}
		if merged.RequestID != full().RequestID {
			t.Error("a snapshot without a request id replaced one")
		}
	}
	newer := vehicle.Snapshot{RequestID: "b"}
	if got := full().Merge(newer).RequestID; got != "b" {
		t.Errorf("request id %q", got)
	}
	if (vehicle.Snapshot{}).Fault(vehicle.Path(9)) != nil || !full().FetchedAt(vehicle.Path(9)).IsZero() {
		t.Error("a path that is none has something")
	}
}

// TestFailReplaces: a fault takes the place of a value whole; no old value is
// left beside it.
func TestFailReplaces(t *testing.T) {
	s := full()
	s.Fail(vehicle.AllPaths, vehicle.NoResponse("gone"), noon.Add(time.Hour))
	if s.Charge.OK || s.Charge.Value != (vehicle.Charge{}) || !s.Charge.DataAge.IsZero() || s.Battery.Value.RangeKm != nil {
		t.Errorf("%+v", s)
	}
}

func TestObservedAt(t *testing.T) {
	s := full()
	if got := s.Charge.ObservedAt(); !got.Equal(noon.Add(-time.Minute)) {
		t.Errorf("%v, want the data age", got)
	}
	if got := s.Battery.ObservedAt(); !got.Equal(noon) {
		t.Errorf("%v, want the fetched-at", got)
	}
}

// TestStored: what the store keeps comes back as it was.
func TestStored(t *testing.T) {
	f := &vehicle.Fault{
		Type: vehicle.TypeRateLimit, Code: "VEHICLE", Description: "d", DocURL: "https://d", Status: 429, RequestID: "r",
		Resolution: vehicle.ResolveRetryLater, ResolutionURL: "https://r", UserMessage: "u", Detail: json.RawMessage(`[1]`), RetryAfter: time.Minute, Network: true,
	}
	s := vehicle.Status{
		State: vehicle.StatePluggedIn, ObservedAt: noon, Since: noon, SeenAt: noon, Restricted: true, ReadAt: noon,
		NotBefore: noon.Add(time.Hour), NotBeforeFault: f, Last: full(), Reads: 3, PathReads: 9,
	}
	v := vehicle.Vehicle{
		ID: uuid.New(), Source: "home", Native: "n", Connection: "c", Make: "TESLA", Model: "Model 3", Year: 2024, VIN: "X",
		Mode: vehicle.ModeLive, Permissions: []string{"read_charge"}, ConnectedAt: noon,
	}
	for _, value := range []any{&s, &v, &vehicle.Status{}, &vehicle.Vehicle{}} {
		b, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		back := reflect.New(reflect.TypeOf(value).Elem()).Interface()
		if err := json.Unmarshal(b, back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(value, back); d != "" {
			t.Errorf("%T (-kept +read):\n%s", value, d)
		}
	}
}

func TestRef(t *testing.T) {
	v := vehicle.Vehicle{ID: uuid.New(), Native: "n", Connection: "c", Make: "KIA"}
	if got := v.Ref(); !reflect.DeepEqual(got, vehicle.Ref{ID: v.ID, Native: "n", Connection: "c", Make: "KIA"}) {
		t.Errorf("%+v", got)
	}
}
