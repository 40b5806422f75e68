package intake

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
	"plugbeat/vehicle/sourcetest"
)

var leaf = mapping.Vehicle{
	ID: "leaf", Plug: &mapping.Field{At: "/plug", Time: "/at"}, Charging: &mapping.Field{At: "/charging"},
	Battery:  &mapping.Field{At: "/soc", Unit: mapping.Percent},
	Location: &mapping.Location{Latitude: "/lat", Longitude: "/lon"},
}

func open(t *testing.T, known ...vehicle.Known) *Source {
	t.Helper()
	s := &Settings{Settle: 50 * time.Millisecond, Vehicles: []mapping.Vehicle{leaf}}
	if bad := s.Check(); len(bad) > 0 {
		t.Fatal(bad)
	}
	src, err := s.Open(t.Context(), vehicle.Deps{Name: "scripts", Log: zerolog.Nop(),
		Known: func(context.Context) ([]vehicle.Known, error) { return known, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return src.(*Source)
}

func idOf(t *testing.T, s *Source) uuid.UUID {
	t.Helper()
	vs, err := s.List(t.Context())
	if err != nil || len(vs) != 1 {
		t.Fatal(vs, err)
	}
	return vs[0].ID
}

func document(plug bool) []byte {
	return fmt.Appendf(nil, `{"plug":%v,"charging":"off","soc":61,"lat":52.5,"lon":13.4}`, plug)
}

// TestSource runs the conformance suite.
func TestSource(t *testing.T) {
	t.Parallel() // it waits more than it works
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		src := open(t)
		src.Take(document(true))
		return sourcetest.Harness{
			Source: src, Ref: vehicle.Ref{ID: idOf(t, src)}, Plug: vehicle.PluggedIn, Unknown: vehicle.Ref{},
			Change: func() { // a script that says it every second
				src.Take(document(false))
				timer := time.AfterFunc(time.Second+100*time.Millisecond, func() { src.Take(document(false)) })
				t.Cleanup(func() { timer.Stop() })
			},
			Reopen: func(known vehicle.Known) vehicle.Source { return open(t, known) }, // nobody sends anything again
		}
	})
}

// TestTake: every input of every map is answered for: what it became, or why not.
func TestTake(t *testing.T) {
	src := open(t)
	got := map[string]string{}
	for _, taken := range src.Take([]byte(`{"plug":"on","at":"2026-12-01T10:00:00Z","charging":"maybe","soc":null,"lat":200}`)) {
		if taken.Vehicle != "leaf" {
			t.Errorf("%+v", taken)
		}
		got[taken.Input] = taken.Became + "|" + taken.Refused + taken.Nothing
	}
	for input, want := range map[string]string{
		"plug": "plugged_in|", "charging": "|the word \"maybe\" is in no list", "battery": "|nothing is known",
		"latitude": "|out of range", "longitude": "|nothing is at /lon",
	} {
		if !strings.HasPrefix(got[input], want) {
			t.Errorf("%s: %q, want %q", input, got[input], want)
		}
	}
}

// TestAges: a value is as old as the document says, and a document that says nothing new makes
// nothing younger, over a restart either.
func TestAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC))) // a time before 2015 is refused
		src := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		var hints atomic.Int32
		go func() { _ = src.Push(ctx, func(uuid.UUID) { hints.Add(1) }) }()
		read := func(src *Source) vehicle.Snapshot {
			s, err := src.Read(t.Context(), vehicle.Ref{ID: idOf(t, src)}, vehicle.AllPaths)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		began := time.Now().UTC()
		src.Take(fmt.Appendf(nil, `{"plug":true,"soc":61,"at":%d}`, began.Add(-time.Hour).Unix()))
		synctest.Wait()
		if s := read(src); s.Charge.OK || hints.Load() != 0 {
			t.Errorf("before it settled: %+v, %d hints", s.Charge, hints.Load())
		}
		time.Sleep(time.Hour)
		src.Take([]byte(`{"soc":61}`))
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		s := read(src)
		if hints.Load() != 1 || !s.Charge.DataAge.Equal(began.Add(-time.Hour)) || !s.Battery.DataAge.Equal(began) ||
			!s.Battery.FetchedAt.Equal(began.Add(time.Hour)) || !s.Charge.FetchedAt.Equal(began) {
			t.Errorf("%d hints, %+v, %+v", hints.Load(), s.Charge, s.Battery)
		}
		again := open(t, vehicle.Known{Vehicle: vehicle.Vehicle{ID: idOf(t, src)}, Status: vehicle.Status{Last: s}})
		if r := read(again); r.Charge != s.Charge || r.Battery.DataAge != s.Battery.DataAge {
			t.Errorf("%+v, %+v", r.Charge, r.Battery)
		}
	})
}

// TestCheck holds what is said of wrong settings.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		v    []mapping.Vehicle
		want string
	}{
		"no vehicles": {nil, "at least one vehicle"},
		"a topic":     {[]mapping.Vehicle{{ID: "a", Plug: &mapping.Field{Topic: "a/b"}}}, "which have no topics"},
		"a preset":    {[]mapping.Vehicle{{ID: "a", Preset: "teslamate", With: map[string]string{"car": "1"}}}, "those of a broker"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&Settings{Vehicles: c.v}).Check(); len(got) != 1 || !strings.Contains(fmt.Sprint(got), c.want) {
				t.Errorf("%+v, want %q", got, c.want)
			}
		})
	}
}
