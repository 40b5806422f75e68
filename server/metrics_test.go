package server_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// narrow is a world in which a scrape may read webhooks, and nothing of which there
// may be many.
type narrow struct {
	server.Store // nil: every call of it panics
	w            *servertest.World
	hooks        []webhook.Webhook // in place of the world's
	err          error
}

func (n narrow) Webhooks(ctx context.Context) ([]webhook.Webhook, error) {
	if n.err != nil || n.hooks != nil {
		return n.hooks, n.err
	}
	return n.w.Webhooks(ctx)
}

func (n narrow) Census(limit int) (vehicle.Census, []uuid.UUID) { return n.w.Census(limit) }

// metered is a server over a narrow world.
func metered(t *testing.T, w *servertest.World, changes ...func(*server.Options)) *server.Server {
	t.Helper()
	return servertest.NewServer(t, w, append([]func(*server.Options){func(o *server.Options) {
		o.Store, o.Metrics = narrow{w: w}, server.NewMetrics(adminapi.Version{Version: "v1.2.3", Go: "go1.26"}, []string{"sim"})
	}}, changes...)...)
}

// scrapeOf returns the samples of a scrape by name and labels as they are printed.
func scrapeOf(t *testing.T, s *server.Server) map[string]float64 {
	t.Helper()
	rec := httptest.NewRecorder()
	s.ServeMetrics(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("%d: %s", rec.Code, rec.Body)
	}
	samples := map[string]float64{}
	for line := range strings.Lines(rec.Body.String()) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if _, twice := samples[line[:i]]; twice || err != nil {
			t.Fatalf("%s: twice %t, %v", line, twice, err)
		}
		samples[line[:i]] = v
	}
	return samples
}

func wantSamples(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[name]; !ok || v != want[name] {
			t.Errorf("%s is %v (there: %t), want %v", name, v, ok, want[name])
		}
	}
}

// A scrape tells what stands: of the webhooks, their queues, the sources, the data
// file and what is wrong.
func TestScrapeTellsWhatStands(t *testing.T) {
	w := servertest.NewWorld(t)
	hooks := []webhook.Webhook{{
		ID: servertest.HookID, Name: `a "name"`, Type: webhook.TypeDynamic, Status: webhook.Active,
		Breaker:  webhook.Breaker{OpenSince: servertest.Noon.Add(-time.Hour), Step: 3, LastSuccess: servertest.Noon.Add(-2 * time.Hour)},
		Ledger:   webhook.Ledger{Produced: 21, Delivered: 10, Superseded: 1, Dead: 2, Expired: 3, Cancelled: 4},
		DueTimes: webhook.DueTimes{Produced: 20, Collapsed: 5, Skipped: 6},
	}, {ID: servertest.NoID, Name: "out", Status: webhook.Disabled, Reason: webhook.Gone}}
	w.SetStatus(servertest.VehicleA, vehicle.Status{State: vehicle.StatePluggedIn})
	w.SetStatus(servertest.VehicleB, vehicle.Status{Restricted: true})
	w.QueueList = map[uuid.UUID]webhook.Queue{servertest.HookID: {InFlight: 3, Waiting: 9, Oldest: servertest.Noon.Add(-90 * time.Second), DisabledAt: servertest.Noon.Add(time.Hour)}}
	w.SourceList = []adminapi.Source{
		{Name: "sim", Configured: true, Vehicles: 2, Due: servertest.Noon.Add(-30 * time.Second),
			Activity: vehicle.Activity{InFlight: 1, LastOK: servertest.Noon.Add(-time.Minute), LastAnswer: servertest.Noon, NotBefore: servertest.Noon.Add(time.Minute)},
			Cost:     &adminapi.Cost{Budget: 500, Spent: 137, BucketLeft: 7, BucketSize: 120}},
		{Name: "fresh", Configured: true, Due: servertest.Noon.Add(time.Hour)},
		{Name: "mute", Configured: true, Activity: vehicle.Activity{LastAnswer: servertest.Noon.Add(-time.Hour)}},
		{Name: "lost", Vehicles: 7},
	}
	w.File = adminapi.StoreInfo{FileBytes: 4 << 20, MaxBytes: 1 << 30, FreePages: 12, Subscriptions: 3, Disk: webhook.Disk{LiveBytes: 1 << 20, State: webhook.DiskOK, FreeBytes: 100, TotalBytes: 1000, MinFreeBytes: 200}}
	w.Backup = &adminapi.Backups{Last: servertest.Noon.Add(-time.Hour), Next: servertest.Noon.Add(23 * time.Hour), LastBytes: 42, Kept: 3}
	w.Conditions = []health.Condition{
		{Code: health.WebhookOpened, Severity: health.Warning, Subject: health.Subject{Kind: health.Webhook, ID: servertest.HookID.String(), Name: `a "name"`}},
		{Code: health.VehicleOwner, Severity: health.Error, Subject: health.Subject{Kind: health.Vehicle, ID: servertest.VehicleA.String(), Name: "KIA EV6"}},
		{Code: health.VehicleOwner, Severity: health.Error, Subject: health.Subject{Kind: health.Fleet}, Of: 7},
		{Code: health.ClockOff, Severity: health.Error, Subject: health.Subject{Kind: health.ClockKind}},
	}
	got := scrapeOf(t, metered(t, w, func(o *server.Options) { o.Store = narrow{w: w, hooks: hooks} }))
	one, two := `{webhook="`+servertest.HookID.String()+`"}`, `{webhook="`+servertest.NoID.String()+`"}`
	with := func(label, value string) string {
		return `{` + label + `="` + value + `",webhook="` + servertest.HookID.String() + `"}`
	}
	wantSamples(t, got, map[string]float64{
		`plugbeat_build_info{go_version="go1.26",version="v1.2.3"}`:                                              1,
		`plugbeat_webhook_info{name="a \"name\"",type="dynamic",webhook="` + servertest.HookID.String() + `"}`:   1,
		"plugbeat_webhook_status" + with("status", "active"):                                                     1,
		"plugbeat_webhook_status" + with("status", "disabled"):                                                   0,
		"plugbeat_webhook_probes_failed" + one:                                                                   3,
		`plugbeat_health_condition{code="webhook.opened",severity="warning",subject="webhook a \"name\""}`:       1,
		`plugbeat_health_condition{code="vehicle.needs_owner",severity="error",subject="vehicles"}`:              8,
		`plugbeat_health_condition{code="clock.off",severity="error",subject="the clock"}`:                       1,
		"plugbeat_webhook_last_success_timestamp_seconds" + one:                                                  float64(servertest.Noon.Add(-2 * time.Hour).Unix()),
		"plugbeat_webhook_last_success_timestamp_seconds" + two:                                                  0,
		"plugbeat_scheduler_due_times_total" + with("result", "produced"):                                        20,
		"plugbeat_scheduler_due_times_total" + with("result", "collapsed"):                                       5,
		"plugbeat_scheduler_due_times_total" + with("result", "skipped"):                                         6,
		"plugbeat_delivery_produced_total" + one:                                                                 21,
		"plugbeat_delivery_finished_total" + `{state="delivered",webhook="` + servertest.HookID.String() + `"}`:  10,
		"plugbeat_delivery_finished_total" + `{state="superseded",webhook="` + servertest.HookID.String() + `"}`: 1,
		"plugbeat_delivery_finished_total" + `{state="dead",webhook="` + servertest.HookID.String() + `"}`:       2,
		"plugbeat_delivery_finished_total" + `{state="expired",webhook="` + servertest.HookID.String() + `"}`:    3,
		"plugbeat_delivery_finished_total" + `{state="cancelled",webhook="` + servertest.HookID.String() + `"}`:  4,
		"plugbeat_queue_waiting_deliveries" + one:                                                                1,
		"plugbeat_queue_in_flight_requests" + one:                                                                3,
		"plugbeat_queue_in_flight_requests" + two:                                                                0,
		"plugbeat_queue_oldest_age_seconds" + one:                                                                90,
		"plugbeat_queue_oldest_age_seconds" + two:                                                                0,
		`plugbeat_source_budget_calls{source="sim"}`:                                                             500,
		`plugbeat_source_spent_calls{source="sim"}`:                                                              137,
		`plugbeat_source_last_value_timestamp_seconds{source="sim"}`:                                             float64(servertest.Noon.Add(-time.Minute).Unix()),
		`plugbeat_scheduler_oldest_due_seconds{source="sim"}`:                                                    30,
		`plugbeat_scheduler_oldest_due_seconds{source="fresh"}`:                                                  0,
		`plugbeat_fleet_vehicles{state="plugged_in"}`:                                                            1,
		`plugbeat_fleet_vehicles{state="unplugged"}`:                                                             0,
		`plugbeat_fleet_vehicles{state="unknown"}`:                                                               1,
		`plugbeat_fleet_troubled_vehicles{trouble="needs_owner"}`:                                                1,
		`plugbeat_fleet_troubled_vehicles{trouble="unread"}`:                                                     0,
		"plugbeat_backup_last_timestamp_seconds":                                                                 float64(servertest.Noon.Add(-time.Hour).Unix()),
		"plugbeat_store_file_bytes":                                                                              4 << 20,
		"plugbeat_store_live_bytes":                                                                              1 << 20,
		"plugbeat_store_max_bytes":                                                                               1 << 30,
		"plugbeat_store_free_pages":                                                                              12,
		"plugbeat_store_disk_free_bytes":                                                                         100,
		"plugbeat_store_disk_min_free_bytes":                                                                     200,
	})
	for _, absent := range []string{`plugbeat_source_last_value_timestamp_seconds{source="lost"}`} {
		if _, there := got[absent]; there {
			t.Errorf("%s is there", absent)
		}
	}
	for sample := range got {
		for _, subject := range []uuid.UUID{servertest.VehicleA, servertest.VehicleB} {
			if strings.Contains(sample, subject.String()) {
				t.Errorf("a vehicle has a series of its own: %s", sample)
			}
		}
	}
}

// What happens is counted, from nought, and under closed sets of labels.
func TestMetersCount(t *testing.T) {
	w := servertest.NewWorld(t)
	s := metered(t, w)
	m := s.Metrics
	hook := `webhook="` + servertest.HookID.String() + `"}`
	first := scrapeOf(t, s)
	for _, o := range webhook.Outcomes {
		wantSamples(t, first, map[string]float64{`plugbeat_delivery_attempts_total{outcome="` + string(o) + `",` + hook: 0})
	}
	for _, f := range append(vehicle.FaultTypes[:], "OTHER") {
		wantSamples(t, first, map[string]float64{`plugbeat_source_faults_total{source="sim",type="` + f + `"}`: 0})
	}
	m.ReadBegan("sim", 2*time.Second)
	m.ReadEnded("sim", 3, 40*time.Second)
	m.PathFault("sim", &vehicle.Fault{Type: vehicle.TypeUpstream})
	m.PathFault("sim", &vehicle.Fault{Type: "what a vendor may think up"})
	m.DeliveryProduced("sim", time.Minute)
	m.Committed(5, 3*time.Millisecond, nil)
	m.Committed(9, time.Hour, errors.New("full"))
	m.AttemptEnded(servertest.HookID, webhook.OutcomeFailed, 30*time.Millisecond)
	m.ChallengeEnded(servertest.HookID, true, false)
	m.ChallengeEnded(servertest.HookID, false, false)
	m.ChallengeEnded(servertest.HookID, false, true)
	m.ChallengeEnded(servertest.HookID, false, true)
	m.Delivered(servertest.HookID, time.Minute)
	m.Transitioned(servertest.HookID, webhook.TransitionOpened)
	wantSamples(t, scrapeOf(t, s), map[string]float64{
		`plugbeat_scheduler_read_lateness_seconds_sum{source="sim"}`:                              2,
		`plugbeat_source_read_duration_seconds_bucket{source="sim",le="30"}`:                      0,
		`plugbeat_source_read_duration_seconds_bucket{source="sim",le="60"}`:                      1,
		`plugbeat_source_paths_total{source="sim"}`:                                               3,
		`plugbeat_source_faults_total{source="sim",type="UPSTREAM"}`:                              1,
		`plugbeat_source_faults_total{source="sim",type="OTHER"}`:                                 1,
		`plugbeat_scheduler_produced_lateness_seconds_sum{source="sim"}`:                          60,
		"plugbeat_store_commit_duration_seconds_count":                                            1,
		"plugbeat_store_group_operations_sum":                                                     5,
		"plugbeat_store_commit_failures_total":                                                    1,
		`plugbeat_delivery_attempts_total{outcome="failed",` + hook:                               1,
		`plugbeat_delivery_attempts_total{outcome="delivered",` + hook:                            0,
		`plugbeat_delivery_attempt_duration_seconds_bucket{` + hook[:len(hook)-1] + `,le="0.05"}`: 1,
		`plugbeat_delivery_challenges_total{result="right",` + hook:                               1,
		`plugbeat_delivery_challenges_total{result="wrong",` + hook:                               1,
		`plugbeat_delivery_challenges_total{result="ours",` + hook:                                2,
		`plugbeat_delivery_lateness_seconds_sum{` + hook:                                          60,
		`plugbeat_webhook_transitions_total{transition="opened",` + hook:                          1,
	})
}

// A webhook that was removed leaves no series, not even by what of it ends later.
func TestRemovedWebhookLeavesNoSeries(t *testing.T) {
	w := servertest.NewWorld(t)
	s := metered(t, w)
	s.Metrics.AttemptEnded(servertest.HookID, webhook.OutcomeDelivered, time.Second)
	scrapeOf(t, s)
	if _, err := w.Deliveries.Remove(t.Context(), servertest.HookID); err != nil {
		t.Fatal(err)
	}
	s.Metrics.AttemptEnded(servertest.HookID, webhook.OutcomeInterrupted, time.Second)
	for range 2 {
		for sample := range scrapeOf(t, s) {
			if strings.Contains(sample, servertest.HookID.String()) {
				t.Errorf("still there: %s", sample)
			}
		}
		if n := s.Metrics.Known(); n != 0 {
			t.Errorf("%d webhooks are still counted", n)
		}
		s.Metrics.Late(servertest.HookID) // an answer that came after the scrape
	}
}

// While the data file cannot be read a scrape tells the rest, and the log why.
func TestScrapeWithoutTheStore(t *testing.T) {
	w := servertest.NewWorld(t)
	var log servertest.LogBuffer
	s := metered(t, w, func(o *server.Options) {
		o.Store, o.Log = narrow{w: w, err: errors.New("the data file is closed")}, zerolog.New(&log)
	})
	got := scrapeOf(t, s)
	wantSamples(t, got, map[string]float64{"plugbeat_store_commit_failures_total": 0})
	if _, ok := got["go_goroutines"]; !ok {
		t.Error("nothing of the process")
	}
	if text := log.String(); !strings.Contains(text, `"event":"metrics.failed"`) || !strings.Contains(text, "the data file is closed") {
		t.Errorf("the log does not say it: %s", text)
	}
}

// Who asks for OpenMetrics gets it.
func TestOpenMetrics(t *testing.T) {
	s := metered(t, servertest.NewWorld(t))
	for accept, want := range map[string]string{"": "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0": "application/openmetrics-text; version=1.0.0"} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", accept)
		rec := httptest.NewRecorder()
		s.ServeMetrics(rec, r)
		if got := rec.Header().Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("%q is answered with %q", accept, got)
		}
		if strings.HasSuffix(rec.Body.String(), "# EOF\n") != (accept != "") {
			t.Errorf("%q ends in %q", accept, rec.Body.String()[rec.Body.Len()-20:])
		}
	}
}

// Every answer is counted where it was given, also that of a handler that panicked
// and that of a caller who has gone.
func TestAnswersAreCounted(t *testing.T) {
	w := servertest.NewWorld(t)
	s := servertest.NewServer(t, w)
	for _, l := range []struct {
		h    http.Handler
		path string
	}{{s.Public(), "/healthz"}, {s.Public(), "/v2.0/no/such"}, {s.Admin(), "/api/v1/version"}, {s.AdminHTTP(), "/api/v1/version"}, {s.AdminHTTP(), "/readyz"}} {
		l.h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", l.path, nil))
	}
	for _, p := range []any{"boom", http.ErrAbortHandler} {
		func() {
			defer func() { _ = recover() }()
			s.GuardPublic(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(p) })).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
	}
	want := map[string]float64{}
	for _, c := range []struct {
		listener, status string
		n                float64
	}{{"api", "2xx", 1}, {"api", "4xx", 1}, {"api", "5xx", 1}, {"api", "none", 1}, {"socket", "2xx", 1}, {"admin", "4xx", 1}, {"admin", "2xx", 1}, {"socket", "5xx", 0}} {
		want[`plugbeat_http_requests_total{listener="`+c.listener+`",status="`+c.status+`"}`] = c.n
	}
	wantSamples(t, scrapeOf(t, s), want)
}
