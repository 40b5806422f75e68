package httpjson

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
	"plugbeat/vehicle/sourcetest"
)

// far is the server of the owner's. It answers every path 2 ms later.
type far struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(http.ResponseWriter, *http.Request)
}

func newFar(t *testing.T) *far {
	f := &far{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * time.Millisecond) // latency
		f.mu.Lock()
		defer f.mu.Unlock()
		f.answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *far) set(answer func(http.ResponseWriter, *http.Request)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *far) say(body string) {
	f.set(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) })
}

func deps(t *testing.T, known ...vehicle.Known) vehicle.Deps {
	return vehicle.Deps{
		Name: "doc", Log: zerolog.New(zerolog.NewTestWriter(t)),
		Client: func(...vehicle.Endpoint) *http.Client { return &http.Client{} },
		Secret: func(setting string) (string, error) {
			return map[string]string{"password_file": "pw", "token_file": "tk", "header_file": "X-Key: abc"}[setting], nil
		},
		Known: func(context.Context) ([]vehicle.Known, error) { return known, nil },
	}
}

var wican = mapping.Vehicle{
	ID:       "i3",
	Plug:     &mapping.Field{At: "/plug"},
	Charging: &mapping.Field{At: "/charging"},
	Battery:  &mapping.Field{At: "/soc", Unit: mapping.Percent},
	Location: &mapping.Location{Latitude: "/lat", Longitude: "/lon"},
}

func document(plug bool) string {
	return fmt.Sprintf(`{"plug":%v,"charging":false,"soc":"61","lat":52.5,"lon":13.4}`, plug)
}

// TestSource runs the conformance suite over HTTP.
func TestSource(t *testing.T) {
	t.Parallel() // it waits more than it works
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		f := newFar(t)
		f.say(document(true))
		s := Settings{URL: f.URL, Every: 300 * time.Millisecond, Vehicles: []mapping.Vehicle{wican}}
		src, err := s.Open(t.Context(), deps(t))
		if err != nil {
			t.Fatal(err)
		}
		vs, _ := src.(*Source).List(t.Context())
		return sourcetest.Harness{
			Source: src, Ref: vehicle.Ref{ID: vs[0].ID}, Plug: vehicle.PluggedIn, Unknown: vehicle.Ref{},
			Change: func() { f.say(document(false)) },
		}
	})
}

// TestRestart: an answer that says what is stored confirms it, and it stays as old as it is.
func TestRestart(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFar(t)
	f.say(document(true))
	old := time.Now().UTC().Add(-72 * time.Hour)
	s := Settings{URL: f.URL, Every: 20 * time.Millisecond, Vehicles: []mapping.Vehicle{wican}}
	first := open(t, s)
	stored := vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{
		Value: vehicle.Charge{Plug: vehicle.PluggedIn, State: vehicle.NotCharging}, OK: true, DataAge: old, FetchedAt: old.Add(time.Hour)}}
	o := open(t, s, vehicle.Known{Vehicle: vehicle.Vehicle{ID: first.id}, Status: vehicle.Status{Last: stored}})
	eventually(t, "a confirmation", func() bool { return time.Since(o.read().Charge.FetchedAt) < time.Minute })
	if age := o.read().Charge.DataAge; !age.Equal(old) {
		t.Errorf("the plug is as of %v, want %v", age, old)
	}
}

// opened is a source that pushes.
type opened struct {
	*Source
	id uuid.UUID
}

func open(t *testing.T, s Settings, known ...vehicle.Known) opened {
	t.Helper()
	if s.Every == 0 {
		s.Every = 20 * time.Millisecond
	}
	if bad := s.Check(); len(bad) > 0 {
		t.Fatal(bad)
	}
	src, err := s.Open(t.Context(), deps(t, known...))
	if err != nil {
		t.Fatal(err)
	}
	o := opened{Source: src.(*Source)}
	vs, _ := o.List(t.Context())
	o.id = vs[0].ID
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = o.Push(ctx, func(uuid.UUID) {})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return o
}

func (o opened) read() vehicle.Snapshot {
	s, _ := o.Read(context.Background(), vehicle.Ref{ID: o.id}, vehicle.AllPaths)
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// TestEVCC plays recorded answers of two versions of evcc.
func TestEVCC(t *testing.T) {
	t.Parallel() // it waits more than it works
	for _, version := range []string{"0.306", "0.313"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile("testdata/evcc-" + version + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var steps []struct {
				Step       string
				Loadpoints json.RawMessage
			}
			if err := json.Unmarshal(b, &steps); err != nil || len(steps) < 8 {
				t.Fatal(err, len(steps))
			}
			f := newFar(t)
			f.say(`[]`)
			o := open(t, Settings{URL: f.URL, Preset: evcc, Vehicles: []mapping.Vehicle{{ID: "zoe", With: map[string]string{"vehicle": "zoe"}}}})
			for _, step := range steps {
				var points []struct {
					VehicleName         string
					Connected, Charging *bool
					VehicleSoc          float64
				}
				if err := json.Unmarshal(step.Loadpoints, &points); err != nil {
					t.Fatal(err)
				}
				p := points[0]
				f.set(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/api/state" || r.URL.Query().Get("jq") != evccQuery {
						w.WriteHeader(http.StatusBadRequest)
					}
					_, _ = w.Write(step.Loadpoints)
				})
				if p.VehicleName != "zoe" || p.Connected == nil {
					continue // another vehicle is there: nothing is said of ours
				}
				want := map[bool]vehicle.Plug{true: vehicle.PluggedIn, false: vehicle.Unplugged}[*p.Connected]
				eventually(t, step.Step, func() bool {
					s := o.read()
					level := !*p.Connected || p.VehicleSoc == 0 || s.Battery.OK && s.Battery.Value.PercentRemaining == p.VehicleSoc/100
					return s.Charge.OK && s.Charge.Value.Plug == want && (s.Charge.Value.State == vehicle.Charging) == *p.Charging && level
				})
				if b := o.read().Battery; b.OK && b.Value.PercentRemaining == 0 {
					t.Errorf("%s: a level of zero", step.Step)
				}
			}
		})
	}
	t.Run("before 0.207", func(t *testing.T) {
		f := newFar(t)
		f.say(`{"result":[{"vehicleName":"zoe","connected":true,"charging":true,"vehicleSoc":41}]}`)
		o := open(t, Settings{URL: f.URL + "/", Preset: evcc, Vehicles: []mapping.Vehicle{{ID: "zoe", With: map[string]string{"loadpoint": "1"}}}})
		eventually(t, "charging", func() bool { return o.read().Charge.Value.State == vehicle.Charging })
	})
}

// TestDocuments: a map may name several documents, and one that fails leaves the others.
func TestDocuments(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFar(t)
	f.set(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/state/car.plug":
			_, _ = fmt.Fprint(w, `{"val":true,"ts":1796089049000}`)
		case "/v1/state/car.soc":
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	o := open(t, Settings{URL: f.URL, Vehicles: []mapping.Vehicle{{
		ID: "leaf", Plug: &mapping.Field{Topic: "/v1/state/car.plug", At: "/val", Time: "/ts"},
		Battery: &mapping.Field{Topic: "/v1/state/car.soc", At: "/val", Unit: mapping.Percent},
	}}})
	// The first read waits 10 s for a far side that says nothing; this one has said what it can.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if s, err := o.Read(ctx, vehicle.Ref{ID: o.id}, vehicle.AllPaths); err != nil || !s.Charge.OK {
		t.Errorf("%+v, %v", s, err)
	}
	if ps := o.Problems(time.Now()); len(ps) != 1 || !strings.Contains(ps[0].Text, "/v1/state/car.soc") {
		t.Errorf("%+v", ps)
	}
}

// TestCredentials: what is set is sent.
func TestCredentials(t *testing.T) {
	t.Parallel() // it waits more than it works
	for name, c := range map[string]struct {
		s            Settings
		header, want string
	}{
		"basic":  {Settings{Username: "u", PasswordFile: "f"}, "Authorization", "Basic dTpwdw=="},
		"bearer": {Settings{TokenFile: "f"}, "Authorization", "Bearer tk"},
		"header": {Settings{HeaderFile: "f"}, "X-Key", "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFar(t)
			f.set(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get(c.header) != c.want {
					w.WriteHeader(http.StatusUnauthorized)
				}
				_, _ = fmt.Fprint(w, document(true))
			})
			c.s.URL, c.s.Vehicles = f.URL, []mapping.Vehicle{wican}
			o := open(t, c.s)
			eventually(t, "a reading", func() bool { return o.read().Charge.OK })
		})
	}
}

// TestSentences: each way in which a server does not serve us has a sentence.
func TestSentences(t *testing.T) {
	t.Parallel() // it waits more than it works
	for name, c := range map[string]struct {
		answer     func(http.ResponseWriter, *http.Request)
		code, text string
	}{
		"401": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "login_refused", "401 Unauthorized"},
		"404": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "no_document", "404"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example/", http.StatusFound)
		}, "no_document", "302"},
		"HTML": {func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>sign in</html>") }, "no_document", "<html>"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, strings.Repeat(" ", maxDocument)+"{}")
		}, "no_document", "longer"},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unreachable", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFar(t)
			f.Config.ErrorLog = nil
			f.set(c.answer)
			o := open(t, Settings{URL: f.URL, Vehicles: []mapping.Vehicle{wican}})
			eventually(t, c.code, func() bool {
				ps := o.Problems(time.Now())
				return len(ps) == 1 && ps[0].Code == c.code && strings.Contains(ps[0].Text, c.text) && ps[0].Remedy != ""
			})
			f.say(document(true))
			eventually(t, "well again", func() bool { return len(o.Problems(time.Now())) == 0 && o.read().Charge.OK })
		})
	}
}

// TestCheck holds what is said of wrong settings.
func TestCheck(t *testing.T) {
	vs := []mapping.Vehicle{wican}
	for name, c := range map[string]struct {
		s    Settings
		want string
	}{
		"no url":           {Settings{Vehicles: vs}, "absolute"},
		"a password in it": {Settings{URL: "http://u:p@h", Vehicles: vs}, "user name or password"},
		"two ways":         {Settings{URL: "http://h", Username: "u", PasswordFile: "p", TokenFile: "t", Vehicles: vs}, "there is a user"},
		"half of basic":    {Settings{URL: "http://h", Username: "u", Vehicles: vs}, "basic authentication is both"},
		"no vehicles":      {Settings{URL: "http://h"}, "at least one vehicle"},
		"a broker's topic": {Settings{URL: "http://h", Vehicles: []mapping.Vehicle{{ID: "a", Plug: &mapping.Field{Topic: "a/b"}}}}, "begins with /"},
		"a broker's preset": {Settings{URL: "http://h", Vehicles: []mapping.Vehicle{{ID: "a", Preset: "teslamate", With: map[string]string{"car": "1"}}}},
			"those of a broker"},
		"evcc without a vehicle": {Settings{URL: "http://h", Preset: evcc, Vehicles: []mapping.Vehicle{{ID: "a"}}}, "exactly one"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.s.Check(); len(got) != 1 || !strings.Contains(fmt.Sprint(got), c.want) {
				t.Errorf("%+v, want %q", got, c.want)
			}
		})
	}
}
