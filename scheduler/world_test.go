package scheduler

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// world is a scheduler over memory with two sources, in a bubble of fake time.
type world struct {
	t      *testing.T
	store  *memory
	sim    *fleet
	other  *fleet
	o      Options
	mu     sync.Mutex // of s, where a test restarts while others use it
	s      *Scheduler
	log    *syncBuffer
	t0     time.Time
	cancel context.CancelFunc
	ended  chan struct{}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// events counts the log lines of an event.
func (w *world) events(name string) int {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	return strings.Count(w.log.b.String(), `"event":"`+name+`"`)
}

func newFleet() *fleet {
	return &fleet{plug: map[uuid.UUID]vehicle.Plug{}, charge: map[uuid.UUID]vehicle.ChargeState{}, took: map[uuid.UUID]time.Duration{}, busy: map[uuid.UUID]int{}}
}

// inWorld runs a test in a bubble; the bubble itself fails when a goroutine is
// left behind.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, store: newMemory(), sim: newFleet(), other: newFleet(), log: &syncBuffer{}, t0: time.Now()}
		w.o = Options{
			Store: w.store, Settings: Defaults(), Log: zerolog.New(w.log),
			Sources: map[string]SourceConfig{"sim": {Source: w.sim}, "other": {Source: w.other, MaxReads: 2}},
		}
		test(w)
		w.stop()
		for _, f := range []*fleet{w.sim, w.other} {
			if f.twice {
				t.Error("two reads of one vehicle in flight")
			}
		}
		w.checkPayloads()
	})
}

func (w *world) start() {
	w.t.Helper()
	s, err := New(w.o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.s = s
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(w.t.Context())
	w.cancel, w.ended = cancel, make(chan struct{})
	go func() {
		defer close(w.ended)
		if err := s.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	synctest.Wait()
}

func (w *world) current() *Scheduler {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.s
}

func (w *world) stop() {
	if w.cancel != nil {
		w.cancel()
		<-w.ended
		w.cancel = nil
	}
}

func (w *world) restart() { w.stop(); w.start() }

var vehicleNumber uint32

func (w *world) vehicle(source string, p vehicle.Plug) uuid.UUID {
	vehicleNumber++
	var id uuid.UUID
	binary.BigEndian.PutUint32(id[:], vehicleNumber)
	w.store.mu.Lock()
	w.store.vehicles[id] = vehicle.Vehicle{ID: id, Source: source, Make: "TESLA", Mode: vehicle.ModeSimulated}
	w.store.mu.Unlock()
	if source == "sim" {
		w.sim.set(id, p)
	} else {
		w.other.set(id, p)
	}
	return id
}

func (w *world) hook(c webhook.Cadence) uuid.UUID {
	h := &webhook.Webhook{ID: uuid.New(), Type: webhook.TypeDynamic, Status: webhook.Active, Cadence: c}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.hooks[h.ID] = h
	return h.ID
}

func (w *world) subscribe(hook, vid uuid.UUID) {
	w.t.Helper()
	if _, created, err := w.s.Subscribe(w.t.Context(), hook, vid, time.Time{}); err != nil || !created {
		w.t.Fatalf("subscribe: %t %v", created, err)
	}
	synctest.Wait()
}

// until lets time pass up to t0 + d and everything settle.
func (w *world) until(d time.Duration) {
	time.Sleep(time.Until(w.t0.Add(d)))
	synctest.Wait()
}

func (w *world) made(vid uuid.UUID) []string {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var list []string
	for _, d := range w.store.deliveries {
		if d.Vehicle == vid {
			list = append(list, fmt.Sprintf("%s %s", d.CreatedAt.Sub(w.t0).Round(time.Millisecond), d.Cause))
		}
	}
	return list
}

func (w *world) wantMade(vid uuid.UUID, want ...string) {
	w.t.Helper()
	if got := w.made(vid); !slices.Equal(got, want) {
		w.t.Errorf("delivered %q, want %q", got, want)
	}
}

func (w *world) wantCalls(f *fleet, vid uuid.UUID, want ...string) {
	w.t.Helper()
	f.mu.Lock()
	var got []string
	for _, c := range f.calls {
		if c.vid == vid {
			got = append(got, fmt.Sprintf("%s %s", c.at.Sub(w.t0).Round(time.Millisecond), c.paths))
		}
	}
	f.mu.Unlock()
	if !slices.Equal(got, want) {
		w.t.Errorf("asked %q, want %q", got, want)
	}
}

func (w *world) statusOf(vid uuid.UUID) vehicle.Status {
	view, _ := w.store.VehicleView(w.t.Context(), vid)
	return view.Status
}

// wantCounted compares the statuses' counters with the calls the source saw.
func (w *world) wantCounted(f *fleet) {
	w.t.Helper()
	calls, paths := f.count()
	var reads, pathReads uint64
	w.store.mu.Lock()
	for id, st := range w.store.status {
		if _, ok := f.plug[id]; ok {
			reads, pathReads = reads+st.Reads, pathReads+st.PathReads
		}
	}
	w.store.mu.Unlock()
	if reads != calls || pathReads != paths {
		w.t.Errorf("counted %d reads of %d paths, the source saw %d of %d", reads, pathReads, calls, paths)
	}
}

// data returns code by path of a vehicle's n-th payload.
func (w *world) data(vid uuid.UUID, n int) map[string]int {
	w.t.Helper()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, d := range w.store.deliveries {
		if d.Vehicle != vid {
			continue
		}
		if n--; n < 0 {
			return codes(w.t, w.store.payloads[d.ID])
		}
	}
	w.t.Fatalf("no such delivery")
	return nil
}

func codes(t *testing.T, body []byte) map[string]int {
	var env struct {
		Payload struct {
			Vehicles []struct {
				Data []struct {
					Path string `json:"path"`
					Code int    `json:"code"`
				} `json:"data"`
			} `json:"vehicles"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(body, &env); err != nil || len(env.Payload.Vehicles) != 1 {
		t.Fatalf("payload %s: %v", body, err)
	}
	m := map[string]int{}
	for _, d := range env.Payload.Vehicles[0].Data {
		m[d.Path] = d.Code
	}
	return m
}

// checkPayloads makes sure that each delivery carries all paths of its webhook and no
// other.
func (w *world) checkPayloads() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, d := range w.store.deliveries {
		if w.store.hooks[d.Webhook].Type.Kind().Events {
			continue
		}
		c, want := codes(w.t, w.store.payloads[d.ID]), w.store.hooks[d.Webhook].Reads()
		for p := range want.All() {
			if c[p.String()] == 0 {
				w.t.Errorf("delivery %s lacks %s", d.ID, p)
			}
		}
		if len(c) != want.Len() {
			w.t.Errorf("delivery %s: %v, want %s", d.ID, c, want)
		}
	}
}
