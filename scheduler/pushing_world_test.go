package scheduler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/vehicle/sourcetest"
	"plugbeat/webhook"
)

// yard is a scheduler over the real store with sources that push, in a bubble of fake time.
type yard struct {
	t       *testing.T
	t0      time.Time
	store   *store.Store
	sources map[string]scheduler.SourceConfig
	s       *scheduler.Scheduler
	hook    uuid.UUID
	stop    func()

	mu  sync.Mutex
	log bytes.Buffer
}

func (y *yard) Write(b []byte) (int, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.log.Write(b)
}

func (y *yard) logged() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.log.String()
}

func (y *yard) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

// inYard runs a test with a data file and a webhook.
func inYard(t *testing.T, test func(y *yard)) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "plugbeat-yard-*")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	synctest.Test(t, func(t *testing.T) {
		y := &yard{t: t, t0: time.Now(), sources: map[string]scheduler.SourceConfig{}, hook: uuid.New()}
		var err error
		y.store, err = store.Open(store.Options{Path: filepath.Join(dir, "plugbeat.db"), Key: make([]byte, 32), Log: zerolog.Nop()})
		y.must(err)
		y.must(y.store.Webhooks.AddWebhook(t.Context(), webhook.Webhook{ID: y.hook, Name: "hook", Type: webhook.TypeDynamic, CallbackURI: "https://receiver.example/",
			Status: webhook.Active, Signing: webhook.SignBoth, Key: bytes.Repeat([]byte{1}, 24), CreatedAt: y.t0}))
		_, err = y.store.Webhooks.UpdateWebhook(t.Context(), y.hook, func(h *webhook.Webhook) error { h.Status = webhook.Active; return nil })
		y.must(err)
		test(y)
		y.halt()
		y.must(y.store.Close())
	})
}

// vehicle adds a vehicle of a source.
func (y *yard) vehicle(source string) uuid.UUID {
	y.t.Helper()
	id := uuid.New()
	y.must(y.store.Vehicles.PutVehicle(y.t.Context(), vehicle.Vehicle{ID: id, Source: source, Native: id.String(), Make: "KIA", Mode: vehicle.ModeLive, ConnectedAt: time.Now()}))
	return id
}

// start runs the scheduler with the sources.
func (y *yard) start() {
	y.t.Helper()
	var err error
	y.s, err = scheduler.New(scheduler.Options{Store: schedulerStore{y.store.Schedules, y.store.Vehicles}, Settings: scheduler.Defaults(), Log: zerolog.New(y), Sources: y.sources})
	y.must(err)
	ctx, cancel := context.WithCancel(y.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		y.must(y.s.Run(ctx))
	}()
	y.stop = func() { cancel(); <-ended }
	synctest.Wait()
}

func (y *yard) halt() {
	if y.stop != nil {
		y.stop()
		y.stop = nil
	}
}

func (y *yard) subscribe(ids ...uuid.UUID) {
	y.t.Helper()
	for _, id := range ids {
		_, _, err := y.s.Subscribe(y.t.Context(), y.hook, id, time.Time{})
		y.must(err)
	}
	synctest.Wait()
}

// until lets time pass up to t0 + d.
func (y *yard) until(d time.Duration) {
	time.Sleep(time.Until(y.t0.Add(d)))
	synctest.Wait()
}

// made is a delivery of a vehicle, oldest first.
type made struct {
	at    time.Duration // since t0
	cause webhook.Cause
	plug  string // as the payload has it: true, false, or the error's code
}

func (m made) String() string { return fmt.Sprintf("%s %s %s", m.at, m.cause, m.plug) }

func (y *yard) made(vid uuid.UUID) (all []made) {
	y.t.Helper()
	var ds []webhook.Delivery
	for before := uuid.Nil; ; {
		page, err := y.store.Deliveries.Deliveries(y.t.Context(), webhook.DeliveryFilter{Vehicle: vid}, before, 100)
		y.must(err)
		ds = append(ds, page...)
		if len(page) < 100 {
			break
		}
		before = page[len(page)-1].ID
	}
	slices.SortFunc(ds, func(a, b webhook.Delivery) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, d := range ds {
		body, err := y.store.Deliveries.Payload(y.t.Context(), d.ID)
		y.must(err)
		m := made{at: d.CreatedAt.Sub(y.t0).Round(time.Millisecond), cause: d.Cause}
		var env struct {
			Payload struct {
				Vehicles []struct {
					Data []struct {
						Path string
						Code int
						Body json.RawMessage
					}
				}
			}
		}
		y.must(json.Unmarshal(body, &env))
		for _, e := range env.Payload.Vehicles[0].Data {
			var b struct {
				IsPluggedIn *bool
				Code        *string
			}
			y.must(json.Unmarshal(e.Body, &b))
			switch {
			case e.Path != "/charge":
			case b.IsPluggedIn != nil:
				m.plug = fmt.Sprint(*b.IsPluggedIn)
			case b.Code != nil:
				m.plug = *b.Code
			}
		}
		all = append(all, m)
	}
	return all
}

func (y *yard) wantMade(vid uuid.UUID, want ...string) {
	y.t.Helper()
	var got []string
	for _, m := range y.made(vid) {
		got = append(got, m.String())
	}
	if !slices.Equal(got, want) {
		y.t.Errorf("delivered\n%q, want\n%q", got, want)
	}
}

// known is what a source is handed when it opens.
func (y *yard) known(ids ...uuid.UUID) (list []vehicle.Known) {
	y.t.Helper()
	for _, id := range ids {
		v, err := y.store.Vehicles.Vehicle(y.t.Context(), id)
		y.must(err)
		st, err := y.store.Vehicles.VehicleStatus(y.t.Context(), id)
		y.must(err)
		list = append(list, vehicle.Known{Vehicle: v, Status: st})
	}
	return list
}

// pushing starts a scheduler over one source that pushes, with one subscribed vehicle of it
// that is unplugged.
func (y *yard) pushing() (*sourcetest.Pushed, uuid.UUID) {
	p := sourcetest.NewPushed()
	y.sources["yard"] = scheduler.SourceConfig{Source: p}
	id := y.vehicle("yard")
	y.start()
	p.Tell(id, vehicle.Unplugged)
	y.subscribe(id)
	return p, id
}

// schedulerStore is what of a store the scheduler works with.
type schedulerStore struct {
	*store.Schedules
	*store.VehicleRecords
}
