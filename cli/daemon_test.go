package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// daemon is a stand-in for a running daemon: it answers on a real unix socket
// what a test gave it and remembers what it was asked.
type daemon struct {
	socket string
	mux    *http.ServeMux
	stop   func()

	mu    sync.Mutex
	asked []string // method, path with query, body, the ETag it depends on
	last  []byte   // the body of the last answer
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &daemon{socket: filepath.Join(dir, "s"), mux: http.NewServeMux()}
	d.start(t)
	return d
}

// start makes the daemon answer, again after a stop.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		line := fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body)
		if tag := r.Header.Get("If-Match"); tag != "" {
			line += " if " + tag
		}
		d.asked = append(d.asked, line)
		d.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		d.mux.ServeHTTP(w, r)
	}))
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	d.stop = srv.Close
	t.Cleanup(srv.Close)
}

// on answers a pattern of http.ServeMux, below /api/v1, with v as JSON, or with what
// v, a func([]byte) any, makes of the body.
func (d *daemon) on(method, path string, v any) *daemon {
	return d.fail(method, path, http.StatusOK, v)
}

// fail answers with a status of its own.
func (d *daemon) fail(method, path string, status int, v any) *daemon {
	d.mux.HandleFunc(method+" /api/v1"+path, func(w http.ResponseWriter, r *http.Request) {
		v := v
		if f, ok := v.(func([]byte) any); ok {
			body, _ := io.ReadAll(r.Body)
			v = f(body)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		b, _ := json.Marshal(v)
		d.mu.Lock()
		d.last = b
		d.mu.Unlock()
		_, _ = w.Write(b)
	})
	return d
}

// answered returns the body of the last answer.
func (d *daemon) answered() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

func (d *daemon) wasAsked(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.asked, want) {
		t.Errorf("asked:\n got %q\nwant %q", d.asked, want)
	}
	d.asked = nil
}

func refusal(code adminapi.Code, message, hint string) adminapi.Envelope {
	return adminapi.Envelope{Error: &adminapi.Error{Code: code, Message: message, Hint: hint}}
}

// The things a test's daemon knows.
var (
	hookID  = uuid.MustParse("7d5f1c1e-3c52-4c5e-9a55-3f1d2c4b5a69")
	deadID  = uuid.MustParse("9b1c7e2a-0f7d-4e6e-8a51-1f1d2c4b5a70")
	carID   = uuid.MustParse("36ab27d0-fd9d-4455-823a-ce30af709ffc")
	otherID = uuid.MustParse("cf6a1b70-2f65-4c0f-8d30-9f0e5a4c2b11")
	sentID  = uuid.MustParse("0198c2a4-7f3e-7c51-9d0e-5b6f1a2c3d4e")
	waitID  = uuid.MustParse("0198c2a4-8f3e-7c51-9d0e-5b6f1a2c3d4f")
)

func ago(d time.Duration) time.Time { return noon.Add(-d) }
func in(d time.Duration) time.Time  { return noon.Add(d) }

func healthyHook() webhook.Webhook {
	return webhook.Webhook{
		ID: hookID, Name: "fleet", Type: webhook.TypeDynamic, CallbackURI: "https://example.com/hook", Signing: webhook.SignBoth,
		Cadence: webhook.Cadence{PluggedIn: "15m"}, CreatedAt: ago(50 * time.Hour), Status: webhook.Active, StatusSince: ago(49 * time.Hour), VerifiedAt: ago(49 * time.Hour),
		Breaker: webhook.Breaker{LastAttempt: ago(4 * time.Minute), LastSuccess: ago(4 * time.Minute), LastAnswer: "an old failure"},
		Ledger:  webhook.Ledger{Produced: 121, Delivered: 118, Dead: 1, Expired: 1}, DueTimes: webhook.DueTimes{Produced: 121, Collapsed: 3},
	}
}

// view is a webhook as the daemon shows it.
func view(w webhook.Webhook) adminapi.WebhookView {
	v := adminapi.WebhookView{Webhook: w, Derived: adminapi.Derived{ETag: `"e1"`, Retries: 6, Effective: webhook.Cadence{Unplugged: "1h", PluggedIn: "30m"}, EffectiveRecover: "all"}}
	if w.Cadence.PluggedIn != "" {
		v.Effective.PluggedIn = w.Cadence.PluggedIn
	}
	return v
}

func failingHook() webhook.Webhook {
	return webhook.Webhook{
		ID: deadID, Name: "old app", Type: webhook.TypeDynamic, CallbackURI: "http://10.0.0.7:9000/cb", Signing: webhook.SignSmartcar, AllowPrivate: true,
		CreatedAt: ago(90 * 24 * time.Hour), Status: webhook.Active, StatusSince: ago(90 * 24 * time.Hour), VerifiedAt: ago(90 * 24 * time.Hour),
		Breaker: webhook.Breaker{OpenSince: ago(22 * time.Minute), Step: 3, NextProbe: in(4 * time.Minute), LastAttempt: ago(17 * time.Minute), LastSuccess: ago(time.Hour),
			LastAnswer: "connect: connection refused; is the receiver running?", NextChallenge: in(13 * time.Minute)},
		Ledger: webhook.Ledger{Produced: 40, Delivered: 31, Cancelled: 2}, DueTimes: webhook.DueTimes{Produced: 40},
	}
}

func cars() []adminapi.VehicleView {
	rangeKm := 210.4
	return []adminapi.VehicleView{
		{
			Vehicle: vehicle.Vehicle{ID: carID, Source: "simulator", Native: "car-1", Make: "TESLA", Model: "Model 3", Year: 2022, Mode: vehicle.ModeSimulated, ConnectedAt: ago(60 * time.Hour)},
			Status: vehicle.Status{State: vehicle.StatePluggedIn, ObservedAt: ago(40 * time.Minute), Since: ago(40 * time.Minute), SeenAt: ago(4 * time.Minute), ReadAt: ago(4 * time.Minute), Reads: 122, PathReads: 366,
				Last: vehicle.Snapshot{
					Charge:   vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{State: vehicle.Charging, Plug: vehicle.PluggedIn}, DataAge: ago(5 * time.Minute), FetchedAt: ago(4 * time.Minute)},
					Battery:  vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: 0.62, RangeKm: &rangeKm}, FetchedAt: ago(4 * time.Minute)},
					Location: vehicle.Reading[vehicle.Location]{OK: true, Value: vehicle.Location{Latitude: 52.52, Longitude: 13.405}, FetchedAt: ago(4 * time.Minute)},
				}},
		},
		{
			Vehicle: vehicle.Vehicle{ID: otherID, Source: "simulator", Native: "car-2", Make: "KIA", Model: "EV6", Mode: vehicle.ModeSimulated, ConnectedAt: ago(60 * time.Hour), Permissions: []string{"read_charge"}},
			Status: vehicle.Status{State: vehicle.StateUnknown, Restricted: true, ReadAt: ago(31 * time.Minute), Reads: 2, PathReads: 6, NotBefore: in(10 * time.Minute),
				NotBeforeFault: &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Description: "slow down"},
				Last: vehicle.Snapshot{
					Charge:  vehicle.Reading[vehicle.Charge]{Fault: &vehicle.Fault{Type: vehicle.TypePermission, Description: "the owner granted no access"}, FetchedAt: ago(31 * time.Minute)},
					Battery: vehicle.Reading[vehicle.Battery]{Fault: &vehicle.Fault{Type: vehicle.TypeUpstream, Code: "NO_RESPONSE"}, FetchedAt: ago(31 * time.Minute)},
				}},
		},
	}
}

func subscriptions() []adminapi.SubscriptionView {
	slot := func(v uuid.UUID, st vehicle.State) webhook.Schedule {
		return webhook.Schedule{SubscriptionKey: webhook.SubscriptionKey{Webhook: hookID, Vehicle: v}, Source: "simulator", Due: in(11 * time.Minute), Anchor: ago(time.Hour), State: st, ProducedAt: ago(4 * time.Minute)}
	}
	parked := slot(otherID, vehicle.StateUnknown)
	parked.Due, parked.ProducedAt = time.Time{}, time.Time{}
	return []adminapi.SubscriptionView{
		{Schedule: slot(carID, vehicle.StatePluggedIn), WebhookName: "fleet", WebhookStatus: webhook.Active, WebhookSummary: "failing, 3 of 6 probes spent", Cadence: "15m"},
		{Schedule: parked, WebhookName: "fleet", WebhookStatus: webhook.Unverified, WebhookSummary: "unverified", Cadence: "1h", Parked: true},
	}
}

func deliveries() []webhook.Delivery {
	base := webhook.Delivery{Webhook: hookID, Vehicle: carID, EventName: "dynamic", Bytes: 1204}
	sent, wait, dead := base, base, base
	sent.ID, sent.MessageID, sent.State, sent.Cause, sent.Due, sent.CreatedAt, sent.FinishedAt, sent.Attempts =
		sentID, sentID, webhook.Delivered, webhook.CauseFirst, ago(time.Hour), ago(time.Hour-2*time.Second), ago(time.Hour-3*time.Second), 1
	wait.ID, wait.MessageID, wait.State, wait.Cause, wait.Due, wait.CreatedAt, wait.Attempts, wait.RetryAt, wait.LastAnswer =
		waitID, waitID, webhook.Waiting, webhook.CauseChange, ago(6*time.Minute), ago(6*time.Minute), 2, in(4*time.Minute), "500 Internal Server Error"
	dead.ID, dead.MessageID, dead.State, dead.CreatedAt, dead.FinishedAt, dead.Attempts, dead.FinalText =
		uuid.MustParse("0198c2a4-6f3e-7c51-9d0e-5b6f1a2c3d4d"), waitID, webhook.Dead, ago(3*time.Hour), ago(3*time.Hour), 1, "413: our payload was 1 204 bytes; raise the receiver's limit"
	return []webhook.Delivery{wait, sent, dead}
}
