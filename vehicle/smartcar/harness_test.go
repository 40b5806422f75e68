package smartcar_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
	"plugbeat/vehicle/sourcetest"
)

// memory is a TokenStore that can be told to fail.
type memory struct {
	mu     sync.Mutex
	kept   map[string]string
	failed error
	saves  int
	onSave func(account string, b []byte)
}

func (m *memory) Load(_ context.Context, account string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return []byte(m.kept[account]), nil
}

func (m *memory) Save(_ context.Context, account string, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saves++
	if m.onSave != nil {
		m.onSave(account, b)
	}
	if m.failed != nil {
		return m.failed
	}
	if m.kept == nil {
		m.kept = map[string]string{}
	}
	if len(b) == 0 {
		delete(m.kept, account)
		return nil
	}
	m.kept[account] = string(b)
	return nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = err
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves
}

func (m *memory) accounts() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for n := range m.kept {
		names = append(names, n)
	}
	return names
}

// world is a source connected to a simulated fleet.
type world struct {
	server   *simulator.Server
	fleet    *simulator.Fleet
	tokens   *memory
	source   *smartcar.Source
	vehicles []vehicle.Vehicle
	seen     *tap
}

// tap passes requests on and lets a test look at each.
type tap struct {
	next http.RoundTripper
	mu   sync.Mutex
	look func(*http.Request) (*http.Response, error) // nil, nil passes it on
}

// latency is what each answer of the vendor takes.
const latency = time.Millisecond

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	look := t.look
	t.mu.Unlock()
	time.Sleep(latency)
	if look != nil {
		if res, err := look(r); res != nil || err != nil {
			return res, err
		}
	}
	return t.next.RoundTrip(r)
}

func (t *tap) set(look func(*http.Request) (*http.Response, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.look = look
}

// newWorld connects a source to a fleet in this process, without sockets, so
// that it works in fake time as well.
func newWorld(t *testing.T, vehicles int, o simulator.ServerOptions) *world {
	t.Helper()
	fleet, err := simulator.NewFleet(simulator.Settings{Seed: 11, Vehicles: vehicles, Start: time.Now().Add(-time.Hour)},
		simulator.Event{Vehicle: 0, Do: simulator.Plug})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{server: simulator.NewServer(fleet, o), fleet: fleet, tokens: &memory{}}
	w.seen = &tap{next: simulator.Transport(w.server)}
	w.source = open(t, smartcar.Options{
		APIOrigin: "https://api.example", AuthOrigin: "https://auth.example",
		Tokens: w.tokens, HTTPClient: &http.Client{Transport: w.seen},
	})
	w.connect(t)
	return w
}

func open(t *testing.T, o smartcar.Options) *smartcar.Source {
	t.Helper()
	o.ClientID, o.ClientSecret, o.Log = "simulator", "simulator-secret", zerolog.Nop()
	s, err := smartcar.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (w *world) connect(t *testing.T) {
	t.Helper()
	vehicles, err := w.source.Connect(t.Context(), w.server.RefreshToken())
	if err != nil {
		t.Fatal(err)
	}
	if name := vehicles[0].Connection; name != w.server.User().String() {
		t.Fatalf("connection %q, want the user's id %s", name, w.server.User())
	}
	w.vehicles = vehicles
}

// read reads the first vehicle and returns the first fault, nil for values alone.
func (w *world) read(t *testing.T, paths vehicle.Paths) (vehicle.Snapshot, *vehicle.Fault) {
	t.Helper()
	s, err := w.source.Read(t.Context(), w.vehicles[0].Ref(), paths)
	if err != nil {
		var f *vehicle.Fault
		if !errors.As(err, &f) {
			t.Fatalf("error %v is no fault", err)
		}
		return s, f
	}
	for p := range paths.All() {
		if f := s.Fault(p); f != nil {
			return s, f
		}
	}
	return s, nil
}

func (w *world) reads() uint64 { return w.server.Reads()[w.vehicles[0].ID] }

const (
	all    = vehicle.AllPaths
	charge = vehicle.Paths(1 << vehicle.PathCharge)
)

// TestConformance runs the suite over a real socket.
func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		w := newWorld(t, 2, simulator.ServerOptions{})
		web := httptest.NewServer(w.server)
		t.Cleanup(web.Close)
		source := open(t, smartcar.Options{APIOrigin: web.URL, AuthOrigin: web.URL + "/oauth/token", Tokens: w.tokens})
		one := w.vehicles[0]
		stranger := one.Ref()
		stranger.ID = uuid.New()
		stranger.Native = stranger.ID.String()
		var remove func()
		inject := func(in simulator.Injection) {
			if remove != nil {
				remove()
			}
			remove = w.server.Inject(one.ID, in)
		}
		garble := func(in simulator.Injection) func() { return func() { inject(in) } }
		batch := func(charge string) []byte {
			return []byte(`{"responses":[{"path":"/charge","code":200,"body":` + charge + `,"headers":{}}]}`)
		}
		return sourcetest.Harness{
			Source:  source,
			Ref:     one.Ref(),
			Plug:    vehicle.PluggedIn,
			Unknown: stranger,
			Fail: func(f *vehicle.Fault, paths vehicle.Paths) {
				inject(simulator.Injection{Fault: f, Paths: paths})
			},
			Garble: []func(){
				garble(simulator.Injection{HTML: 200}),
				garble(simulator.Injection{HTML: 502}),
				garble(simulator.Injection{Cut: true}),
				garble(simulator.Injection{Body: []byte{}}),
				garble(simulator.Injection{Body: batch(`{"state":"NOT_CHARGING"}`)}),
				garble(simulator.Injection{Body: batch(`{"state":"NOT_CHARGING","isPluggedIn":null}`)}),
				garble(simulator.Injection{Body: batch(`{"state":"NOT_CHARGING","isPluggedIn":"false"}`)}),
				garble(simulator.Injection{Body: batch(`null`)}),
			},
			Block: func() { inject(simulator.Injection{Delay: time.Minute}) },
			Asked: func() uint64 { return w.server.Reads()[one.ID] },
		}
	})
}
