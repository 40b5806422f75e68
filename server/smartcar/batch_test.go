package smartcar_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"plugbeat/server/servertest"
	"plugbeat/server/smartcar"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	chargeEntry   = `{"path":"/charge","code":200,"body":{"state":"CHARGING","isPluggedIn":true},"headers":{"sc-fetched-at":"2026-05-01T12:00:00.000Z"}}`
	batteryEntry  = `{"path":"/battery","code":200,"body":{"percentRemaining":0.64,"range":287.5},"headers":{"sc-fetched-at":"2026-05-01T12:00:00.000Z","sc-data-age":"2026-05-01T11:59:00.000Z","sc-unit-system":"metric"}}`
	locationEntry = `{"path":"/location","code":200,"body":{"latitude":52.3676,"longitude":4.9041},"headers":{"sc-fetched-at":"2026-05-01T12:00:00.000Z"}}`
)

func batchTarget() string { return "/v2.0/vehicles/" + servertest.VehicleA.String() + "/batch" }

func TestBatch(t *testing.T) {
	long := `{"requests":[` + strings.TrimSuffix(strings.Repeat(`{"path":"/charge"},`, smartcar.MaxBatch+1), ",") + `]}`
	tests := []struct {
		name, body string
		status     int
		want       string
		reads      int
	}{
		{"three", `{"requests":[{"path":"/battery"},{"path":"/charge"},{"path":"/location"}]}`, 200, `{"responses":[` + batteryEntry + `,` + chargeEntry + `,` + locationEntry + `]}`, 1},
		{"without slash", `{"requests":[{"path":"charge"}]}`, 200, `{"responses":[` + chargeEntry + `]}`, 1},
		{"slash behind", `{"requests":[{"path":"/charge/"}]}`, 200, chargeEntry, 1},
		{"twice", `{"requests":[{"path":"/charge"},{"path":"/charge"}]}`, 200, chargeEntry + `,` + chargeEntry, 1},
		{"more keys", `{"requests":[{"path":"/charge","method":"GET"}],"x":[]}`, 200, chargeEntry, 1},
		{"escaped", `{"requests":[{"path":"\/charge"}]}`, 200, chargeEntry, 1},
		{"info", `{"requests":[{"path":"/"},{"path":"/permissions"}]}`, 200, `{"path":"/","code":200,"body":{"id":"` + servertest.VehicleA.String() + `","make":"TESLA","model":"Model 3","year":2021},"headers":{}}`, 0},
		{"unsupported beside supported", `{"requests":[{"path":"/odometer"},{"path":"/charge"}]}`, 200, `"headers":{}},` + chargeEntry, 1},
		{"trouble codes beside a read", `{"requests":[{"path":"/diagnostics/dtcs"},{"path":"/service/history"},{"path":"/battery"}]}`, 200, `{"path":"/diagnostics/dtcs","code":501,"body":{"type":"COMPATIBILITY","code":"VEHICLE_NOT_CAPABLE"`, 1},
		{"only unsupported", `{"requests":[{"path":"/tires/pressure"}]}`, 200, `{"path":"/tires/pressure","code":501,"body":{"type":"COMPATIBILITY","code":"VEHICLE_NOT_CAPABLE"`, 0},
		{"unknown", `{"requests":[{"path":"/charge"},{"path":"/seats"}]}`, 400, `"detail":[{"field":["requests","1","path"],"message":`, 0},
		{"two slashes", `{"requests":[{"path":"//charge"}]}`, 400, `"VALIDATION"`, 0},
		{"absolute", `{"requests":[{"path":"/v2.0/vehicles/x/charge"}]}`, 400, `"VALIDATION"`, 0},
		{"empty path", `{"requests":[{"path":""}]}`, 400, `"detail":[{"field":["requests","0","path"]`, 0},
		{"no path", `{"requests":[{}]}`, 400, `"VALIDATION"`, 0},
		{"path a number", `{"requests":[{"path":7}]}`, 400, `"detail":[{"field":["requests","path"]`, 0},
		{"entry a text", `{"requests":["/charge"]}`, 400, `"VALIDATION"`, 0},
		{"requests an object", `{"requests":{"path":"/charge"}}`, 400, `"detail":[{"field":["requests"]`, 0},
		{"no requests", `{}`, 400, `"VALIDATION"`, 0},
		{"none", `{"requests":[]}`, 400, `"VALIDATION"`, 0},
		{"too many", long, 400, `A batch has 1 to 50 requests.`, 0},
		{"bare array, as Go v2 sends", `[{"path":"/charge"}]`, 400, `"detail":[{"field":["body"]`, 0},
		{"null", `null`, 400, `"VALIDATION"`, 0},
		{"nothing", ``, 400, `"VALIDATION"`, 0},
		{"cut", `{"requests":[{"path":`, 400, `"VALIDATION"`, 0},
		{"two objects", `{"requests":[{"path":"/charge"}]}{}`, 400, `"VALIDATION"`, 0},
		{"invalid UTF-8", `{"requests":[{"path":"/charge"}],"x":"` + "\xff" + `"}`, 400, `"VALIDATION"`, 0},
		{"too large", `{"requests":[{"path":"/charge"}],"x":"` + strings.Repeat("x", 64<<10) + `"}`, 400, `at most 65536 bytes`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := servertest.NewWorld(t)
			addr := servertest.Serve(t, servertest.NewServer(t, w).Public())
			a := servertest.Exchange(t, addr, "POST", batchTarget(), servertest.BearerOf(servertest.OneToken), tt.body)
			servertest.WellFormed(t, a)
			if a.Status != tt.status || !strings.Contains(a.Body, tt.want) {
				t.Errorf("%d %s\nwant %d %s", a.Status, a.Body, tt.status, tt.want)
			}
			if len(w.Reads) != tt.reads {
				t.Errorf("%d reads, want %d", len(w.Reads), tt.reads)
			}
		})
	}
}

// A batch is a success whatever became of its entries; each failed one carries the
// error object and empty headers.
func TestBatchFaults(t *testing.T) {
	asleep := &vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409, Description: "Asleep."}
	whole := func(err error) func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error) {
		return func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error) {
			return vehicle.Snapshot{}, err
		}
	}
	tests := []struct {
		name  string
		read  func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error)
		codes []float64
	}{
		{"one", func(_ context.Context, _ uuid.UUID, p vehicle.Paths) (vehicle.Snapshot, error) {
			s := servertest.Reading(p)
			s.Fail(vehicle.PathsOf(vehicle.PathLocation), asleep, servertest.Noon)
			return s, nil
		}, []float64{200, 409}},
		{"all", whole(asleep), []float64{409, 409}},
		// A 401 would make SDKs refresh a token that is good.
		{"vendor's token", whole(&vehicle.Fault{Type: vehicle.TypeAuthentication, Status: 401, Description: "Expired."}), []float64{400, 400}},
		{"time", whole(context.DeadlineExceeded), []float64{502, 502}},
		{"nothing read", whole(nil), []float64{500, 500}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := servertest.NewWorld(t)
			w.Read = tt.read
			addr := servertest.Serve(t, servertest.NewServer(t, w).Public())
			a := servertest.Exchange(t, addr, "POST", batchTarget(), servertest.BearerOf(servertest.OneToken), `{"requests":[{"path":"/charge"},{"path":"/location"}]}`)
			if a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			entries := servertest.WellFormed(t, a)["responses"].([]any)
			if len(entries) != len(tt.codes) {
				t.Fatalf("%d entries", len(entries))
			}
			for i, e := range entries {
				e := e.(map[string]any)
				if e["code"] != tt.codes[i] {
					t.Errorf("entry %d: code %v, want %v", i, e["code"], tt.codes[i])
				}
				if _, ok := e["headers"].(map[string]any); !ok {
					t.Errorf("entry %d: headers %v", i, e["headers"])
				}
				if tt.codes[i] >= 400 {
					servertest.ErrorObject(t, e["body"].(map[string]any), int(tt.codes[i]), "")
				}
			}
		})
	}
	w := servertest.NewWorld(t)
	w.Read = whole(webhook.ErrNotFound) // disconnected between the look and the read
	addr := servertest.Serve(t, servertest.NewServer(t, w).Public())
	if a := servertest.Exchange(t, addr, "POST", batchTarget(), servertest.BearerOf(servertest.OneToken), `{"requests":[{"path":"/charge"}]}`); a.Status != 404 {
		t.Errorf("a vehicle that is gone: %d", a.Status)
	}
}

// Whatever the body, the answer is a batch or a whole error object.
func FuzzBatch(f *testing.F) {
	for _, s := range []string{`{"requests":[{"path":"/charge"}]}`, `[]`, `{"requests":[{"path":"/odometer"},{"path":"permissions"},{"path":"/"}]}`, `{"requests":null}`, "\xff", `{"requests":[{"path":"\u0000"}]}`, `{"requests":[{"PATH":"/charge/"}]}`, `{"requests":[{"path":["a"]}]}`} {
		f.Add([]byte(s))
	}
	h := servertest.NewServer(f, servertest.NewWorld(f)).Public()
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", batchTarget(), strings.NewReader(string(body)))
		r.Header.Set("Authorization", "Bearer "+servertest.OneToken)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		var got map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatalf("%q answered %q: %v", body, rec.Body, err)
		}
		switch rec.Code {
		case http.StatusOK:
			if list, ok := got["responses"].([]any); !ok || len(list) == 0 || len(list) > smartcar.MaxBatch {
				t.Fatalf("%q answered %s", body, rec.Body)
			}
		case http.StatusBadRequest:
			servertest.ErrorObject(t, got, 400, web.RequestID(rec))
			if got["type"] != "VALIDATION" || got["detail"] == nil {
				t.Fatalf("%q answered %s", body, rec.Body)
			}
		default:
			t.Fatalf("%q answered %d", body, rec.Code)
		}
	})
}
