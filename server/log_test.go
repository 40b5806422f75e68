package server

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
)

type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

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
			w := newWorld()
			w.read = func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error) {
				if tt.fail == nil {
					panic("boom")
				}
				return vehicle.Snapshot{}, tt.fail
			}
			s := newServer(t, w)
			var log logBuffer
			s.Log = zerolog.New(&log).Level(zerolog.TraceLevel)
			addr := serve(t, s.Public())
			a := exchange(t, addr, "GET", "/v2.0/vehicles/"+carA.String()+"/battery?token="+allToken, bearerOf(allToken), "")
			exchange(t, addr, "GET", "/v2.0/vehicles", bearerOf(management), "")
			log.mu.Lock()
			text := log.String()
			log.mu.Unlock()
			lines := strings.Split(strings.TrimSpace(text), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, `"event":"http.refused"`) || !strings.Contains(last, `"route":"GET /v2.0/vehicles"`) {
				t.Errorf("the refused token is not logged: %s", last)
			}
			if tt.event == "" && len(lines) > 1 {
				t.Errorf("what the caller did wrong is logged: %s", text)
			}
			id := strings.Join(a.header[headerRequestID], "")
			if tt.event != "" && (!strings.Contains(text, `"event":"`+tt.event+`"`) || !strings.Contains(text, `"request":"`+id+`"`) || !strings.Contains(text, tt.says)) {
				t.Errorf("the log does not say %s with request %s and %q:\n%s", tt.event, id, tt.says, text)
			}
			if strings.Contains(text, allToken) || strings.Contains(text, management) {
				t.Errorf("a token is in the log:\n%s", text)
			}
		})
	}
}
