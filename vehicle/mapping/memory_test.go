package mapping

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"plugbeat/vehicle"
)

var t0 = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// mg4 is a map of the user's own, with a topic for each value.
var mg4 = Vehicle{
	ID:       "mg4",
	Alive:    &Alive{Topic: "v/available", Online: []string{"online"}, Offline: []string{"offline"}},
	Plug:     &Field{Topic: "v/plug"},
	Charging: &Field{Topic: "v/charging"},
	Battery:  &Field{Topic: "v/soc", Unit: Percent},
	Range:    &Field{Topic: "v/range", Unit: Km},
	Location: &Location{Topic: "v/place", Latitude: "/lat", Longitude: "/lon"},
	MaxAge:   time.Hour,
}

// world is one vehicle's memory with a clock of its own.
type world struct {
	t     *testing.T
	m     *Memory
	now   time.Time
	hints int
}

func newWorld(t *testing.T, v Vehicle, stored vehicle.Snapshot) *world {
	w := &world{t: t, m: NewMemory(v, 2*time.Second, stored, t0), now: t0}
	w.m.Connected(t0)
	return w
}

// wait lets time pass, and what settles settle.
func (w *world) wait(d time.Duration) {
	end := w.now.Add(d)
	for due := w.m.Due(); !due.IsZero() && !due.After(end); due = w.m.Due() {
		if due.After(w.now) {
			w.now = due
		}
		if w.m.Settle(w.now) {
			w.hints++
		}
	}
	w.now = end
}

func (w *world) say(topic, payload string) []Verdict {
	return w.m.Take(Message{Topic: topic, Payload: []byte(payload), At: w.now})
}

func (w *world) replay(topic, payload string) {
	w.m.Take(Message{Topic: topic, Payload: []byte(payload), Replayed: true, At: w.now})
}

func (w *world) read() vehicle.Snapshot { return w.m.Read(w.now, vehicle.AllPaths) }

// is holds the plug with its times, in minutes after t0; -1 is no time.
func (w *world) is(plug vehicle.Plug, age, fetched float64) {
	w.t.Helper()
	c := w.read().Charge
	if !c.OK || c.Value.Plug != plug || minutes(c.DataAge) != age || minutes(c.FetchedAt) != fetched {
		w.t.Errorf("at %v: plug %v (fault %v), age %g, fetched %g; want %v, %g, %g", w.now.Sub(t0), c.Value.Plug, c.Fault, minutes(c.DataAge), minutes(c.FetchedAt), plug, age, fetched)
	}
}

func (w *world) fails(what string, f *vehicle.Fault, code, text string) {
	w.t.Helper()
	if f == nil || f.Code != code || !strings.Contains(f.Description, text) {
		w.t.Errorf("at %v: %s: %v, want %s with %q", w.now.Sub(t0), what, f, code, text)
	}
}

func minutes(at time.Time) float64 {
	if at.IsZero() {
		return -1
	}
	return at.Sub(t0).Minutes()
}

// TestFreshness is the table of what a value's times are.
func TestFreshness(t *testing.T) {
	in, out := vehicle.PluggedIn, vehicle.Unplugged
	known := vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{
		Value: vehicle.Charge{Plug: in, State: vehicle.Charging}, OK: true, DataAge: t0.Add(-72 * time.Hour), FetchedAt: t0.Add(-30 * time.Minute)}}
	for name, play := range map[string]func(*world){
		"live": func(w *world) {
			w.wait(time.Minute)
			w.say("v/plug", "true")
			w.wait(time.Minute)
			w.is(in, 1, 1)
		},
		"equal live again": func(w *world) {
			w.say("v/plug", "true")
			w.wait(10 * time.Minute)
			w.say("v/plug", "on")
			w.wait(time.Minute)
			w.is(in, 0, 10)
		},
		"replayed, nothing known": func(w *world) {
			w.wait(time.Second)
			w.replay("v/plug", "true")
			w.wait(time.Minute)
			w.is(in, -1, 0)
			w.wait(time.Hour)
			w.fails("/charge", w.read().Charge.Fault, "NO_RESPONSE", "last confirmed 1h")
		},
		"equal live after a replay": func(w *world) {
			w.replay("v/plug", "true")
			w.wait(5 * time.Minute)
			w.say("v/plug", "true")
			w.wait(time.Minute)
			w.is(in, -1, 5)
		},
		"a sign of life confirms": func(w *world) {
			w.say("v/plug", "true")
			w.wait(50 * time.Minute)
			w.say("v/available", "online")
			w.wait(50 * time.Minute)
			w.is(in, 0, 50)
		},
		"a replayed sign of life confirms nothing": func(w *world) {
			w.say("v/plug", "true")
			w.wait(50 * time.Minute)
			w.replay("v/available", "online")
			w.is(in, 0, 0)
		},
		"a sign of life confirms nothing that this connection has not said": func(w *world) {
			w.say("v/plug", "true")
			w.wait(10 * time.Minute)
			w.m.Disconnected()
			w.wait(10 * time.Minute)
			w.m.Connected(w.now)
			w.say("v/available", "online")
			w.is(in, 0, 0)
		},
		"rewound": func(w *world) {
			w.say("v/plug", "true")
			w.wait(10 * time.Minute)
			w.m.Disconnected()
			w.m.Connected(w.now)
			w.replay("v/plug", "false")
			w.wait(5 * time.Minute)
			w.is(in, 0, 0)
			if w.hints != 1 {
				w.t.Errorf("%d hints", w.hints)
			}
		},
		"changed while we were away": func(w *world) {
			w.say("v/plug", "true")
			w.m.Disconnected()
			w.wait(40 * time.Minute)
			w.m.Connected(w.now)
			w.replay("v/plug", "false")
			w.wait(2 * time.Minute)
			w.is(out, -1, 40)
		},
		"offline": func(w *world) {
			w.say("v/plug", "true")
			w.wait(time.Minute)
			w.say("v/available", "offline")
			w.wait(58 * time.Minute)
			w.is(in, 0, 0)
			w.wait(2 * time.Minute)
			w.fails("/charge", w.read().Charge.Fault, "NO_RESPONSE", "says that it is offline")
		},
		"no connection": func(w *world) {
			w.say("v/plug", "true")
			w.wait(time.Minute)
			w.m.Disconnected()
			w.wait(time.Hour)
			w.fails("/charge", w.read().Charge.Fault, "NO_RESPONSE", "not connected")
		},
		"no value": func(w *world) {
			w.say("v/plug", "true")
			w.say("v/soc", "61")
			w.wait(time.Minute)
			for _, nothing := range []string{"", "null", "unknown", "unavailable", "NaN", "None", `""`} {
				w.say("v/plug", nothing)
				w.say("v/soc", nothing)
				w.wait(time.Minute)
			}
			w.is(in, 0, 0)
			if b := w.read().Battery; !b.OK || b.Value.PercentRemaining != 0.61 {
				w.t.Errorf("%+v", b)
			}
			w.wait(time.Hour)
			w.fails("/charge", w.read().Charge.Fault, "NO_RESPONSE", "")
		},
		"no word of a list": func(w *world) {
			w.say("v/plug", "true")
			w.wait(time.Minute)
			w.say("v/plug", "half")
			w.wait(time.Minute)
			w.is(in, 0, 0)
			w.wait(time.Hour)
			w.fails("/charge", w.read().Charge.Fault, "INVALID_DATA", `"half"`)
		},
		"out of range": func(w *world) {
			w.say("v/soc", "130")
			w.wait(time.Minute)
			w.fails("/battery", w.read().Battery.Fault, "INVALID_DATA", "0 to 100")
			w.say("v/soc", "50")
			w.wait(time.Minute)
			if b := w.read().Battery; !b.OK || b.Value.PercentRemaining != 0.5 {
				w.t.Errorf("%+v", b)
			}
		},
		"a jump": func(w *world) {
			w.say("v/soc", "80")
			w.wait(time.Minute)
			w.say("v/soc", "16.5")
			w.wait(30 * time.Second)
			if b := w.read().Battery; b.Value.PercentRemaining != 0.8 {
				w.t.Errorf("one message: %+v", b.Value)
			}
			w.say("v/soc", "17")
			w.wait(time.Minute)
			if b := w.read().Battery; b.Value.PercentRemaining != 0.17 {
				w.t.Errorf("two messages: %+v", b.Value)
			}
		},
		"unplugged after a minute": func(w *world) {
			w.say("v/plug", "true")
			w.wait(10 * time.Minute)
			w.say("v/plug", "false")
			w.wait(59 * time.Second)
			w.is(in, 0, 0)
			w.wait(2 * time.Second)
			w.is(out, 10, 10)
		},
		"unplugged by a second word": func(w *world) {
			w.say("v/plug", "true")
			w.wait(10 * time.Minute)
			w.say("v/plug", "false")
			w.wait(10 * time.Second)
			w.say("v/plug", "false")
			w.wait(3 * time.Second)
			w.is(out, 10, 10)
			if w.hints != 2 {
				w.t.Errorf("%d hints", w.hints)
			}
		},
		"a flicker": func(w *world) {
			w.say("v/plug", "true")
			w.wait(10 * time.Minute)
			w.say("v/plug", "false")
			w.wait(10 * time.Second)
			w.say("v/plug", "true")
			w.wait(2 * time.Minute)
			w.is(in, 0, 10+10.0/60)
			if w.hints != 1 {
				w.t.Errorf("%d hints", w.hints)
			}
		},
		"charging is proof": func(w *world) {
			w.say("v/charging", "true")
			w.wait(time.Minute)
			w.is(in, 0, 0)
		},
	} {
		t.Run(name, func(t *testing.T) { play(newWorld(t, mg4, vehicle.Snapshot{})) })
	}
	t.Run("a replay of what is stored", func(t *testing.T) {
		w := newWorld(t, mg4, known)
		w.replay("v/plug", "true")
		w.wait(time.Minute)
		w.is(in, -72*60, -30)
		w.say("v/available", "online")
		w.is(in, -72*60, 1)
		if w.hints != 0 {
			t.Errorf("%d hints of nothing new", w.hints)
		}
	})
	t.Run("a change while plugbeat was down", func(t *testing.T) {
		w := newWorld(t, mg4, known)
		w.replay("v/plug", "false")
		w.wait(2 * time.Minute)
		w.is(out, -1, 0)
		if w.hints != 1 {
			t.Errorf("%d hints", w.hints)
		}
	})
}

// TestOwnTime holds what a payload's own time does.
func TestOwnTime(t *testing.T) {
	v := Vehicle{ID: "i3", MaxAge: time.Hour, Plug: &Field{Topic: "bmw", At: "/plug/value", Time: "/plug/at", Plugged: []string{"CONNECTED"}, Unplugged: []string{"DISCONNECTED"}}}
	say := func(w *world, word string, at any) []Verdict {
		return w.say("bmw", fmt.Sprintf(`{"plug":{"value":%q,"at":%v}}`, word, at))
	}
	seconds := func(ago time.Duration) int64 { return t0.Add(-ago).Unix() }
	for name, c := range map[string]struct {
		at      any
		age     float64
		refused string
	}{
		"RFC 3339":                {`"2026-11-30T11:50:00Z"`, -10, ""},
		"with an offset":          {`"2026-11-30T12:50:00+01:00"`, -10, ""},
		"seconds":                 {seconds(10 * time.Minute), -10, ""},
		"seconds as text":         {fmt.Sprintf("%q", fmt.Sprint(seconds(10*time.Minute))), -10, ""},
		"milliseconds":            {seconds(10*time.Minute) * 1000, -10, ""},
		"ahead of us":             {seconds(-48 * time.Hour), 0, ""},
		"1970":                    {12, -1, "before 2015"},
		"before 2015":             {`"2011-01-01T00:00:00Z"`, -1, "before 2015"},
		"no time":                 {`"yesterday"`, -1, "no time"},
		"nothing":                 {`null`, 0, ""},
		"milliseconds in seconds": {seconds(0) * 1000000, -1, "beyond"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, v, vehicle.Snapshot{})
			got := say(w, "CONNECTED", c.at)
			w.wait(time.Minute)
			if c.refused != "" {
				if len(got) != 1 || !strings.Contains(got[0].Refused, c.refused) {
					t.Errorf("%+v, want %q", got, c.refused)
				}
				return
			}
			w.is(vehicle.PluggedIn, c.age, 0)
		})
	}
	t.Run("an older one is ignored", func(t *testing.T) {
		w := newWorld(t, v, vehicle.Snapshot{})
		say(w, "CONNECTED", seconds(10*time.Minute))
		w.wait(time.Minute)
		say(w, "DISCONNECTED", seconds(20*time.Minute))
		w.wait(2 * time.Minute)
		w.is(vehicle.PluggedIn, -10, 0)
	})
}

// TestUnmapped: a path of which the map says nothing is none that may come.
func TestUnmapped(t *testing.T) {
	w := newWorld(t, Vehicle{ID: "box", Plug: &Field{Topic: "p"}}, vehicle.Snapshot{})
	w.say("p", "on")
	w.wait(time.Minute)
	s := w.read()
	if !s.Charge.OK || s.Battery.Fault.Type != vehicle.TypeCompatibility || s.Location.Fault.Temporary() {
		t.Errorf("%+v", s)
	}
}
