package year

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
	"plugbeat/webhook"
)

// pushedWorld is the scheduler over the real store, with vehicles that a broker tells of.
type pushedWorld struct {
	t        *testing.T
	t0       time.Time
	path     string
	hook     uuid.UUID
	vehicles []*pushedVehicle
	maps     []mapping.Vehicle

	store *store.Store
	s     *scheduler.Scheduler
	stop  func()
	fleet *mapping.Fleet // nil while plugbeat is down

	brokerUp bool
	retained map[string]string
	before   []map[string]string // what was retained, a minute apart
	later    []later

	outages [outagesOf]int
	rewound int // vehicles of which the broker came back with an older plug
}

// later is what happens at a moment.
type later struct {
	at time.Time
	do func()
}

// pushingFleet is a source as vehicle/mqtt is one, without the network.
type pushingFleet struct{ *mapping.Fleet }

func (f pushingFleet) Push(ctx context.Context, hint func(uuid.UUID)) error {
	f.Settle(ctx, hint)
	return ctx.Err()
}

func newPushedWorld(t *testing.T, path string) *pushedWorld {
	w := &pushedWorld{t: t, t0: time.Now(), path: path, hook: uuid.New(), brokerUp: true, retained: map[string]string{}}
	for n := range 20 {
		m := mapping.Vehicle{ID: fmt.Sprint(n), MaxAge: 100 * 24 * time.Hour, Plug: &mapping.Field{Topic: topic(n, "plug")}}
		v := &pushedVehicle{n: n, silent: n >= 18}
		if !v.silent {
			m.Alive = &mapping.Alive{Topic: topic(n, "alive")}
		}
		w.maps = append(w.maps, m)
		w.vehicles = append(w.vehicles, v)
	}
	return w
}

func topic(n int, what string) string { return fmt.Sprintf("v/%d/%s", n, what) }

func (w *pushedWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("after %s: %v", time.Since(w.t0), err)
	}
}

// up opens the data file and starts the scheduler.
func (w *pushedWorld) up() {
	var err error
	w.store, err = store.Open(store.Options{Path: w.path, Key: make([]byte, 32), Log: zerolog.Nop()})
	w.must(err)
	var known []vehicle.Known
	for _, v := range w.vehicles {
		if v.id == uuid.Nil {
			continue
		}
		one, err := w.store.Vehicles.Vehicle(w.t.Context(), v.id)
		w.must(err)
		st, err := w.store.Vehicles.VehicleStatus(w.t.Context(), v.id)
		w.must(err)
		known = append(known, vehicle.Known{Vehicle: one, Status: st})
	}
	w.fleet = mapping.NewFleet("broker", w.maps, settling, known)
	type part struct {
		*store.Schedules
		*store.VehicleRecords
	}
	w.s, err = scheduler.New(scheduler.Options{Store: part{w.store.Schedules, w.store.Vehicles}, Settings: scheduler.Defaults(),
		Log: zerolog.Nop(), Sources: map[string]scheduler.SourceConfig{"broker": {Source: pushingFleet{w.fleet}}}})
	w.must(err)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error)
	go func() { ended <- w.s.Run(ctx) }()
	w.stop = func() { cancel(); w.must(<-ended) }
}

// connect is a connection's coming up: the broker repeats what it keeps.
func (w *pushedWorld) connect() {
	w.fleet.Connected()
	for _, v := range w.vehicles {
		v.said = ""
		word, ok := w.retained[topic(v.n, "plug")]
		if !ok {
			continue
		}
		w.fleet.Take(topic(v.n, "plug"), []byte(word), true)
		v.said = word
	}
	w.fleet.Arrived()
	synctest.Wait()
}

// in has something happen later.
func (w *pushedWorld) in(d time.Duration, do func()) {
	w.later = append(w.later, later{time.Now().Add(d), do})
}

// until lets time pass up to t0 + d, with all that happens until then.
func (w *pushedWorld) until(d time.Duration) {
	end := w.t0.Add(d)
	for len(w.later) > 0 {
		slices.SortStableFunc(w.later, func(a, b later) int { return a.at.Compare(b.at) })
		next := w.later[0]
		if next.at.After(end) {
			break
		}
		w.later = w.later[1:]
		time.Sleep(time.Until(next.at))
		synctest.Wait()
		next.do()
	}
	time.Sleep(time.Until(end))
	synctest.Wait()
}

// start connects and subscribes every vehicle, each of them unplugged.
func (w *pushedWorld) start() {
	w.up()
	w.must(w.store.Webhooks.AddWebhook(w.t.Context(), webhook.Webhook{ID: w.hook, Name: "hook", Type: webhook.TypeDynamic,
		CallbackURI: "https://receiver.example/", Status: webhook.Active, Signing: webhook.SignBoth,
		Key: bytes.Repeat([]byte{1}, 24), CreatedAt: w.t0}))
	_, err := w.store.Webhooks.UpdateWebhook(w.t.Context(), w.hook, func(h *webhook.Webhook) error { h.Status = webhook.Active; return nil })
	w.must(err)
	listed, _ := w.fleet.List(w.t.Context())
	w.connect()
	for i, v := range w.vehicles {
		one := listed[i]
		v.id = one.ID
		one.Source, one.ConnectedAt = "broker", w.t0
		w.must(w.store.Vehicles.PutVehicle(w.t.Context(), one))
		w.fleet.Take(topic(v.n, "plug"), []byte("false"), false)
		v.said, v.age, v.confirmed = "false", w.t0, w.t0
		w.retained[topic(v.n, "plug")] = "false"
	}
	w.until(time.Minute)
	for _, v := range w.vehicles {
		_, _, err := w.s.Subscribe(w.t.Context(), w.hook, v.id, time.Time{})
		w.must(err)
	}
	w.in(beat, w.beats)
}

// made are the deliveries of a vehicle, oldest first.
func (w *pushedWorld) made(v *pushedVehicle) (all []webhook.Delivery) {
	for before := uuid.Nil; ; {
		page, err := w.store.Deliveries.Deliveries(w.t.Context(), webhook.DeliveryFilter{Vehicle: v.id}, before, 1000)
		w.must(err)
		if len(page) == 0 {
			slices.SortFunc(all, func(a, b webhook.Delivery) int { return a.CreatedAt.Compare(b.CreatedAt) })
			return all
		}
		all = append(all, page...)
		before = page[len(page)-1].ID
	}
}

// end stops everything.
func (w *pushedWorld) end() {
	w.fleet.Disconnected()
	w.stop()
	w.must(w.store.Close())
}
