package mqtt

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// watched keeps what a source heard.
type watched struct {
	mu    sync.Mutex
	heard []vehicle.Heard
}

func (w *watched) add(h vehicle.Heard) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, h)
}

// find returns the first that the function wants.
func (w *watched) find(wants func(vehicle.Heard) bool) (vehicle.Heard, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.heard {
		if wants(h) {
			return h, true
		}
	}
	return vehicle.Heard{}, false
}

// TestInspect: a source on a real broker shows what it is connected to, what each input became, and
// why a word was refused; a watcher hears each message and the change that followed.
func TestInspect(t *testing.T) {
	t.Parallel() // it waits more than it works
	b := startBroker(t, "allow_anonymous true", "sys_interval 1")
	b.publish("leaf/plug", "true", "-r")
	o := open(t, Settings{Broker: "mqtt://127.0.0.1:" + b.port})
	var w watched
	stop := o.Watch(w.add)
	eventually(t, "the version", func() bool { return strings.Contains(o.Inspect(time.Now()).Version, "mosquitto version 2") })
	eventually(t, "the change", func() bool {
		h, ok := w.find(func(h vehicle.Heard) bool { return h.Reading != nil })
		return ok && h.Vehicle == "leaf" && h.Reading.Charge.Value.Plug == vehicle.PluggedIn
	})
	b.publish("leaf/plug", "Frei\x1b[31m")
	b.publish("leaf/soc", "610")
	eventually(t, "the refusals", func() bool {
		_, ok := w.find(func(h vehicle.Heard) bool { return h.Topic == "leaf/soc" })
		return ok
	})
	stop()
	if h, _ := w.find(func(h vehicle.Heard) bool { return h.Topic == "leaf/plug" && !h.Replayed }); len(h.Verdicts) != 1 ||
		h.Verdicts[0].Refused != `the word "Frei\x1b[31m" is in no list: there are plugged ["true", "on", "yes", 1], unplugged ["false", "off", "no", 0]` ||
		h.Verdicts[0].Remedy != `put "Frei\x1b[31m" into the list that it belongs to, in the map of vehicle leaf: plug: {topic: leaf/plug, plugged: ["true", "on", "yes", 1], unplugged: ["false", "off", "no", 0]}` {
		t.Errorf("%+v", h)
	}
	i := o.Inspect(time.Now())
	if i.Server != "127.0.0.1:"+b.port || i.ConnectedSince.IsZero() || i.LastMessage.IsZero() || i.Messages != 3 || len(i.Vehicles) != 1 {
		t.Fatalf("%+v", i)
	}
	v := i.Vehicles[0]
	plug, soc := v.Inputs[0], v.Inputs[2]
	if plug.Topic != "leaf/plug" || plug.Became != "" || plug.Refusal == nil || plug.Refusal.Over || plug.Refusal.Payload != `"Frei\x1b[31m"` {
		t.Errorf("plug %+v, refused %+v", plug, plug.Refusal)
	}
	if soc.Input != "battery" || soc.Refusal == nil || !strings.Contains(soc.Refusal.Why, "out of range") || !strings.Contains(soc.Refusal.Remedy, "unit") {
		t.Errorf("level %+v, refused %+v", soc, soc.Refusal)
	}
	if is := v.Values[0]; is.Path != "/charge" || is.Name != "plug" || is.Is != "plugged_in" || is.ChangedAt.IsZero() || is.ConfirmedAt.IsZero() || !is.ObservedAt.IsZero() {
		t.Errorf("%+v", is)
	}
	ps := o.Problems(time.Now())
	if len(ps) != 1 || ps[0].Code != vehicle.ProblemWord || ps[0].Vehicle != "leaf" || !strings.Contains(ps[0].Text, "vehicle leaf: plug at leaf/plug: the word") {
		t.Errorf("%+v", ps)
	}
	b.publish("leaf/plug", "false")
	b.publish("leaf/soc", "61")
	eventually(t, "all is taken again", func() bool { return len(o.Problems(time.Now())) == 0 })
	if r := o.Inspect(time.Now()).Vehicles[0].Inputs[0].Refusal; r == nil || !r.Over {
		t.Errorf("what was refused is not shown any more: %+v", r)
	}
}

// TestDiscover asks a real broker what it offers, with and without the right to know.
func TestDiscover(t *testing.T) {
	t.Parallel() // it waits more than it works
	const listen = 300 * time.Millisecond
	b := startBroker(t)
	s := &Settings{Broker: "mqtt://127.0.0.1:" + b.port, Settle: 2 * time.Second}
	if d, err := s.Discover(t.Context(), deps(t), listen); err != nil || len(d.Offers) != 0 || d.Section != "" || d.Messages != 0 {
		t.Errorf("of an empty broker: %+v, %v", d, err)
	}
	for topic, payload := range map[string]string{"teslamate/cars/1/display_name": "Blue", "teslamate/cars/1/plugged_in": "true",
		"teslamate/cars/1/battery_level": "61", "zigbee2mqtt/lamp": "on"} {
		b.publish(topic, payload, "-r")
	}
	d, err := s.Discover(t.Context(), deps(t), listen)
	want := "sources:\n  broker:\n    type: mqtt\n    broker: mqtt://127.0.0.1:" + b.port + `
    vehicles:
      # teslamate tells plug, battery
      - {id: blue, name: Blue, make: TESLA, preset: teslamate, with: {car: 1}}
`
	if err != nil || d.Section != want || d.Messages != 3 {
		t.Errorf("%+v, %v; want\n%s", d, err, want)
	}
	s.Vehicles = []mapping.Vehicle{{ID: "mine", Preset: "teslamate", With: map[string]string{"car": "1"}}}
	if d, err := s.Discover(t.Context(), deps(t), listen); err != nil || len(d.Offers) != 1 || d.Offers[0].Mapped != "mine" || d.Section != "" {
		t.Errorf("of a mapped vehicle: %+v, %v", d, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Discover(ctx, deps(t), time.Minute); err == nil {
		t.Error("a discovery that was called off found something")
	}
	closed := startBroker(t, "allow_anonymous false")
	if _, err := (&Settings{Broker: "mqtt://127.0.0.1:" + closed.port}).Discover(t.Context(), deps(t), listen); err == nil ||
		!strings.Contains(err.Error(), "refuses a login without a user: set username") {
		t.Errorf("of a broker that wants a login: %v", err)
	}
	closed.kill()
	if _, err := (&Settings{Broker: "mqtt://127.0.0.1:" + closed.port}).Discover(t.Context(), deps(t), listen); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("of no broker: %v", err)
	}
}

// TestNoVehicles: a source without a vehicle connects, and nothing is wrong with it.
func TestNoVehicles(t *testing.T) {
	t.Parallel() // it waits more than it works
	b := startBroker(t)
	src, err := (&Settings{Broker: "mqtt://127.0.0.1:" + b.port}).Open(t.Context(), deps(t))
	if err != nil {
		t.Fatal(err)
	}
	s := src.(*Source)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.connect(ctx) }()
	defer func() { cancel(); <-ended }()
	eventually(t, "it is connected", func() bool { return !s.Inspect(time.Now()).ConnectedSince.IsZero() })
	if ps := s.Problems(time.Now().Add(time.Hour)); len(ps) != 0 {
		t.Errorf("%+v", ps)
	}
}
