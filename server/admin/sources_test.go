package admin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
)

// withSources is a world with a source that pushes, one that is polled, and one that the config
// does not have.
func withSources(t *testing.T) *servertest.World {
	w := servertest.NewWorld(t)
	w.SourceList = []adminapi.Source{{Name: "broker", Configured: true}, {Name: "sim", Configured: true, Vehicles: 2}, {Name: "old", Vehicles: 1}}
	w.Inspected = map[string]vehicle.Inspection{"broker": {Server: "b:1883", Vehicles: []vehicle.InspectedVehicle{}}}
	w.Offered = map[string]vehicle.Discovery{"broker": {Server: "b:1883", Messages: 3, Offers: []vehicle.Offer{}}}
	return w
}

// TestSources lists and shows each source with what is known of it.
func TestSources(t *testing.T) {
	w := withSources(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	list, err := c.Sources(t.Context())
	if err != nil || len(list.Items) != 3 || !list.Items[0].Watchable || !list.Items[0].Discovers || list.Items[1].Watchable || list.Items[2].Type != "" {
		t.Errorf("%+v, %v", list, err)
	}
	if v, err := c.Source(t.Context(), "broker"); err != nil || v.Inspection == nil || v.Inspection.Server != "b:1883" || len(v.FirstVehicles) != 0 {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := c.Source(t.Context(), "sim"); err != nil || v.Inspection != nil || len(v.FirstVehicles) != 2 || v.FirstVehicles[0].Vehicle.ID != servertest.VehicleA {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = c.Source(t.Context(), "none")
	servertest.Refused(t, err, adminapi.CodeNotFound, "source", "none", "plugbeat source list")
	if d, err := c.Discover(t.Context(), "broker", time.Second); err != nil || d.Messages != 3 {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = c.Discover(t.Context(), "broker", 2*adminapi.MaxListen)
	servertest.Refused(t, err, adminapi.CodeInvalid, "listen", "up to 1m0s")
	_, err = c.Discover(t.Context(), "sim", time.Second)
	servertest.Refused(t, err, adminapi.CodeConflict, "source sim")
	w.Offered["broker"] = vehicle.Discovery{}
	_, err = c.Discover(t.Context(), "broker", time.Second)
	servertest.Refused(t, err, adminapi.CodeSource, "the broker refuses us")
	_, err = c.Messages(t.Context(), "sim")
	servertest.Refused(t, err, adminapi.CodeConflict, "source sim")
}

// TestWatchNeverBlocks: a source tells a watcher who takes nothing as fast as any, and the
// watcher learns how many messages it missed.
func TestWatchNeverBlocks(t *testing.T) {
	const kept, lost = 1024, 500
	w := withSources(t)
	w.Heard = func(heard func(vehicle.Heard)) {
		// The answer does not begin before this returns: it takes nothing meanwhile.
		for range kept + lost {
			heard(vehicle.Heard{At: servertest.Noon, Topic: "leaf/plug", Payload: "true", Verdicts: []vehicle.Verdict{{Vehicle: "leaf", Input: "plug", Became: "plugged_in"}}})
		}
	}
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	stream, err := c.Messages(t.Context(), "broker")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for i := range kept {
		h, missed, err := stream.Next()
		if err != nil || missed != 0 || h.Topic != "leaf/plug" || h.Verdicts[0].Became != "plugged_in" {
			t.Fatalf("message %d: %+v, %d, %v", i, h, missed, err)
		}
	}
	if _, missed, err := stream.Next(); err != nil || missed != lost {
		t.Errorf("%d were missed, %v", missed, err)
	}
}

// TestWatchersAreBounded: more than 32 at a time are refused, and who leaves makes room.
func TestWatchersAreBounded(t *testing.T) {
	w := withSources(t)
	w.Heard = func(func(vehicle.Heard)) {}
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	var open []*adminapi.Stream[vehicle.Heard]
	for range 32 {
		s, err := c.Messages(t.Context(), "broker")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	_, err := c.Messages(t.Context(), "broker")
	servertest.Refused(t, err, adminapi.CodeUnavailable, "too many streams")
	for _, s := range open {
		s.Close()
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		s, err := c.Messages(t.Context(), "broker")
		if err == nil {
			s.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestHeardIsSafe: what a publisher says comes as JSON, whatever bytes it has.
func TestHeardIsSafe(t *testing.T) {
	b, err := json.Marshal(vehicle.Heard{Topic: "a\x1b[31m", Payload: "6\xff\n1"})
	if err != nil || strings.ContainsAny(string(b), "\x1b\n") || !utf8.Valid(b) {
		t.Errorf("%s, %v", b, err)
	}
}
