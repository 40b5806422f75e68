package smartcar

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/vehicle/sourcetest"
)

// FuzzBatch: whatever a batch answers, each path asked for gets either a value
// that can be one or a fault, and nothing else is touched.
func FuzzBatch(f *testing.F) {
	for _, s := range []string{
		`{"responses":[{"path":"/battery","code":200,"body":{"percentRemaining":0.64,"range":287.5},"headers":{"sc-fetched-at":"2024-05-01T10:00:05.000Z","sc-data-age":"2024-05-01T09:58:00.000Z","sc-unit-system":"metric"}}]}`,
		`{"responses":[{"path":"/battery","code":200,"body":{"percentRemaining":0.64},"headers":{"sc-fetched-at":"2024-05-01T10:00:05Z","sc-data-age":"2024-08-01T09:58:00Z"}}]}`,
		`{"responses":[{"path":"/location","code":409,"body":{"type":"VEHICLE_STATE","code":"ASLEEP","description":"d","statusCode":409,"resolution":{"type":null},"detail":[1]},"headers":{"retry-after":3}}]}`,
		`{"responses":[{"path":"charge","code":200,"body":{"state":"CHARGING","isPluggedIn":null}}]}`,
		`{"type":"BILLING","code":null,"statusCode":430}`, `<html>`, `null`, ``, `{"responses":[null,[],{"path":"/charge","code":1e3}]}`,
	} {
		f.Add([]byte(s), uint8(vehicle.AllPaths), 200, "30")
	}
	f.Fuzz(func(t *testing.T, body []byte, set uint8, status int, header string) {
		paths := vehicle.Paths(set) & vehicle.AllPaths
		if paths == 0 {
			return
		}
		at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		a := &answer{status: status, header: http.Header{"Retry-After": {header}, "Sc-Request-Id": {header}, "Sc-Data-Age": {header}}, body: body, at: at}
		check := func(snap vehicle.Snapshot, paths vehicle.Paths, err error) {
			if err != nil {
				fault := vehicle.AsFault(err)
				if fault.Network {
					t.Fatalf("error %v is no fault", err)
				}
				snap.Fail(paths, fault, at)
			}
			// Cached values may be older than the read.
			if err := sourcetest.Check(snap, paths, earliest, at); err != nil {
				t.Fatal(err)
			}
			for p := range paths.All() {
				if fault := snap.Fault(p); fault != nil && (fault.RetryAfter < 0 || fault.RetryAfter > vehicle.MaxRetryAfter) {
					t.Fatalf("retry after %v", fault.RetryAfter)
				}
			}
		}
		snap := vehicle.Snapshot{RequestID: a.requestID()}
		check(snap, paths, a.fault())
		err := decodeBatch(&snap, paths, a)
		check(snap, paths, err)
		for p := range vehicle.AllPaths.All() {
			one := vehicle.Snapshot{RequestID: a.requestID()}
			decodeOne(&one, p, a)
			check(one, vehicle.PathsOf(p), nil)
		}
	})
}

func TestIDOf(t *testing.T) {
	const id = "36ab27d0-fd9d-4455-823a-ce30af709ffc"
	if got := idOf(id); got.String() != id {
		t.Errorf("a UUID is kept: %s", got)
	}
	a, b := idOf("veh-0001"), idOf("veh-0002")
	if a == b || a != idOf("veh-0001") || a.Version() != 5 {
		t.Errorf("%s and %s", a, b)
	}
	if got := idOf("36ab27d0fd9d4455823ace30af709ffc"); got == uuid.MustParse(id) {
		t.Error("a text that is not written as a UUID names another vehicle")
	}
}

// TestCleanBounds: texts for faults are one line, valid and short.
func TestCleanBounds(t *testing.T) {
	long := make([]byte, 5000)
	for i := range long {
		long[i] = "é"[i%2]
	}
	for _, s := range []string{string(long), "a\nb\x00\xff", ""} {
		got := clean(s)
		if len(got) > 1003 {
			t.Errorf("%d bytes", len(got))
		}
	}
	if got := clean(" a\n\tb\xff "); got != "a b\uFFFD" {
		t.Errorf("%q", got)
	}
}
