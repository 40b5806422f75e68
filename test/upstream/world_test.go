// Package upstream holds the whole way of a reading, from a vendor's HTTP server to the
// payload in the data file, in fake time: the scheduler over the real store and the real
// client of Smartcar v2.0, the simulator as the other side.
package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
	"plugbeat/webhook"
)

// world is a daemon's reading half and its vendor.
type world struct {
	t      *testing.T
	t0     time.Time
	fleet  *simulator.Fleet
	vendor *simulator.Server
	// wire may look at a request, and change the answer.
	wire func(*http.Request, *http.Response)

	store    *store.Store
	source   *smartcar.Source
	s        *scheduler.Scheduler
	log      bytes.Buffer
	mu       sync.Mutex // of log
	vehicles []vehicle.Vehicle
	hook     uuid.UUID
	stop     context.CancelFunc
	ended    chan struct{}
}

// Write takes the log.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

// RoundTrip is the way to the vendor.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := simulator.Transport(w.vendor).RoundTrip(r)
	if err == nil && w.wire != nil {
		w.wire(r, res)
	}
	return res, err
}

// tokens keeps the tokens in the data file.
type tokens struct{ s *store.Store }

func (t tokens) Load(ctx context.Context, account string) ([]byte, error) {
	b, err := t.s.Secrets.Secret(ctx, "source/vendor/"+account)
	if err != nil {
		return nil, nil //nolint:nilerr // there are none
	}
	return b, nil
}

func (t tokens) Save(ctx context.Context, account string, b []byte) error {
	if len(b) == 0 {
		_ = t.s.Secrets.DeleteSecret(ctx, "source/vendor/"+account)
		return nil
	}
	return t.s.Secrets.PutSecret(ctx, "source/vendor/"+account, b)
}

// inWorld runs a test in a bubble of fake time, with vehicles that stand unplugged and are
// subscribed to a webhook of the cadence; prepare comes before that.
func inWorld(t *testing.T, vehicles int, o simulator.ServerOptions, c scheduler.SourceConfig, k webhook.Cadence, test func(*world), prepare ...func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, t0: time.Now()}
		var script []simulator.Event
		for i := range vehicles {
			// Before its first event a vehicle is in the opposite state.
			script = append(script, simulator.Event{Vehicle: i, At: 10_000 * time.Hour, Do: simulator.Plug})
		}
		var err error
		w.fleet, err = simulator.NewFleet(simulator.Settings{Seed: 3, Vehicles: vehicles, Start: w.t0}, script...)
		w.must(err)
		w.vendor = simulator.NewServer(w.fleet, o)
		w.store, err = store.Open(store.Options{Path: filepath.Join(tempDir(t), "plugbeat.db"), Key: make([]byte, 32), Log: zerolog.Nop()})
		w.must(err)
		w.source, err = smartcar.New(smartcar.Options{
			APIOrigin: "https://api.example", AuthOrigin: "https://auth.example", ClientID: "simulator", ClientSecret: "simulator-secret",
			Tokens: tokens{w.store}, HTTPClient: &http.Client{Transport: w}, Log: zerolog.Nop(),
		})
		w.must(err)
		w.connect()
		c.Source = w.source
		w.s, err = scheduler.New(scheduler.Options{
			Store: struct {
				*store.Schedules
				*store.VehicleRecords
			}{w.store.Schedules, w.store.Vehicles},
			Settings: scheduler.Defaults(), Log: zerolog.New(w), Sources: map[string]scheduler.SourceConfig{"vendor": c},
		})
		w.must(err)
		w.hook = uuid.New()
		w.must(w.store.Webhooks.AddWebhook(t.Context(), webhook.Webhook{ID: w.hook, Name: "hook", Type: webhook.TypeDynamic, CallbackURI: "https://receiver.example/",
			Status: webhook.Active, Signing: webhook.SignBoth, Cadence: k, Key: bytes.Repeat([]byte{1}, 24), CreatedAt: w.t0}))
		_, err = w.store.Webhooks.UpdateWebhook(t.Context(), w.hook, func(h *webhook.Webhook) error { h.Status = webhook.Active; return nil })
		w.must(err)
		ctx, stop := context.WithCancel(t.Context())
		w.stop, w.ended = stop, make(chan struct{})
		go func() {
			defer close(w.ended)
			w.must(w.s.Run(ctx))
		}()
		synctest.Wait()
		for _, f := range prepare {
			f(w)
		}
		for _, v := range w.vehicles {
			_, _, err := w.s.Subscribe(t.Context(), w.hook, v.ID, time.Time{})
			w.must(err)
		}
		synctest.Wait()
		test(w)
		w.stop()
		<-w.ended
		w.source.Close()
		w.must(w.store.Close())
	})
}

// tempDir is in memory where the machine has such a place: a month is thousands of commits.
func tempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "plugbeat-upstream-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("after %s: %v", time.Since(w.t0), err)
	}
}

// connect brings the vehicles in, or gives access anew.
func (w *world) connect() {
	w.t.Helper()
	vehicles, err := w.source.Connect(w.t.Context(), w.vendor.RefreshToken())
	w.must(err)
	for i := range vehicles {
		vehicles[i].Source, vehicles[i].ConnectedAt = "vendor", w.t0
		w.must(w.store.Vehicles.PutVehicle(w.t.Context(), vehicles[i]))
	}
	w.vehicles = vehicles
}

// until lets time pass up to t0 + d.
func (w *world) until(d time.Duration) {
	time.Sleep(time.Until(w.t0.Add(d)))
	synctest.Wait()
}

// delivery is one that was made, with the entries of its payload.
type delivery struct {
	at    time.Duration
	cause webhook.Cause
	codes map[string]int
	types map[string]string // TYPE:CODE of those that failed
	body  string
}

// made returns a vehicle's deliveries, oldest first.
func (w *world) made(one vehicle.Vehicle) []delivery {
	w.t.Helper()
	var out []delivery
	before := uuid.Nil
	for {
		ds, err := w.store.Deliveries.Deliveries(w.t.Context(), webhook.DeliveryFilter{Vehicle: one.ID}, before, 500)
		w.must(err)
		for _, d := range ds {
			before = d.ID
			body, err := w.store.Deliveries.Payload(w.t.Context(), d.ID)
			w.must(err)
			x := delivery{at: d.CreatedAt.Sub(w.t0), cause: d.Cause, codes: map[string]int{}, types: map[string]string{}, body: string(body)}
			var p struct {
				Payload struct {
					Vehicles []struct {
						Data []struct {
							Path string `json:"path"`
							Code int    `json:"code"`
							Body struct {
								Type string `json:"type"`
								Code string `json:"code"`
							} `json:"body"`
						} `json:"data"`
					} `json:"vehicles"`
				} `json:"payload"`
			}
			w.must(json.Unmarshal(body, &p))
			for _, e := range p.Payload.Vehicles[0].Data {
				x.codes[e.Path] = e.Code
				if e.Code != 200 {
					x.types[e.Path] = strings.TrimSuffix(e.Body.Type+":"+e.Body.Code, ":")
				}
			}
			out = append(out, x)
		}
		if len(ds) < 500 {
			break
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// batches is how many reads the vendor was asked for.
func (w *world) batches() uint64 { return w.vendor.Requests()["POST /v2.0/vehicles/{id}/batch"] }

// plan is a budget of so many calls a month.
func plan(calls uint64) cadence.Plan { return cadence.Plan{Metered: true, Calls: calls} }

// stamps are the times in a batch's answer.
var stamps = regexp.MustCompile(`"(sc-fetched-at|sc-data-age)":"([^"]+)"`)

// shift makes an answer's times those of a clock that is off.
func shift(w *world, r *http.Request, res *http.Response, off time.Duration) {
	if !strings.HasSuffix(r.URL.Path, "/batch") {
		return
	}
	b, err := io.ReadAll(res.Body)
	w.must(err)
	b = stamps.ReplaceAllFunc(b, func(m []byte) []byte {
		parts := stamps.FindSubmatch(m)
		at, err := time.Parse(time.RFC3339, string(parts[2]))
		w.must(err)
		return []byte(`"` + string(parts[1]) + `":"` + at.Add(off).UTC().Format("2006-01-02T15:04:05.000Z") + `"`)
	})
	res.Body = io.NopCloser(bytes.NewReader(b))
}
