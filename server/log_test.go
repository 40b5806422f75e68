package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/server/web"
	"plugbeat/vehicle"
)

// TestLog: an error that is ours stands in the log under the id that its caller was
// given, with its cause; no line shows a token.
func TestLog(t *testing.T) {
	upstream := "11111111-2222-4333-8444-555555555555"
	for _, tt := range []struct {
		name  string
		fail  error
		event string
		says  string
	}{
		{"ours", errors.New("the cause"), "http.error", "the cause"},
		{"the vendor's", &vehicle.Fault{Type: vehicle.TypeUpstream, Code: "NO_RESPONSE", Status: 502, RequestID: upstream, Description: "Nobody there."}, "http.error", "Nobody there."},
		{"panic", nil, "http.panic", "boom"},
		{"the caller's", &vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := servertest.NewWorld(t)
			w.Read = func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error) {
				if tt.fail == nil {
					panic("boom")
				}
				return vehicle.Snapshot{}, tt.fail
			}
			var log servertest.LogBuffer
			s := servertest.NewServer(t, w, func(o *server.Options) { o.Log = zerolog.New(&log).Level(zerolog.TraceLevel) })
			addr := servertest.Serve(t, s.Public())
			a := servertest.Exchange(t, addr, "GET", "/v2.0/vehicles/"+servertest.VehicleA.String()+"/battery?token="+servertest.AllToken, servertest.BearerOf(servertest.AllToken), "")
			servertest.Exchange(t, addr, "GET", "/v2.0/vehicles", servertest.BearerOf(servertest.Management), "")
			text := log.String()
			lines := strings.Split(strings.TrimSpace(text), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, `"event":"http.refused"`) || !strings.Contains(last, `"route":"GET /v2.0/vehicles"`) {
				t.Errorf("the refused token is not logged: %s", last)
			}
			if tt.event == "" && len(lines) > 1 {
				t.Errorf("what the caller did wrong is logged: %s", text)
			}
			id := strings.Join(a.Header[web.HeaderRequestID], "")
			if tt.event != "" && (!strings.Contains(text, `"event":"`+tt.event+`"`) || !strings.Contains(text, `"request":"`+id+`"`) || !strings.Contains(text, tt.says)) {
				t.Errorf("the log does not say %s with request %s and %q:\n%s", tt.event, id, tt.says, text)
			}
			if strings.Contains(text, servertest.AllToken) || strings.Contains(text, servertest.Management) {
				t.Errorf("a token is in the log:\n%s", text)
			}
		})
	}
}
