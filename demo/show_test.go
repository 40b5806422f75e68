package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"plugbeat/config"
	"plugbeat/receiver"
	"plugbeat/vehicle"
)

// TestSaysTheCadence holds that what the demo says of a change of the plug is what its config says.
func TestSaysTheCadence(t *testing.T) {
	var out bytes.Buffer
	s := newShow(Options{Out: &out, Verbose: true}, time.Now(), time.Second)
	s.unplugged, s.pluggedIn = "2h", "10m"
	for _, c := range []struct{ line, want string }{
		{`{"event":"vehicle.state","from":"unknown","to":"plugged_in","message":"plug"}`, "plug: plugged_in, delivered every 10m from now on\n"},
		{`{"event":"vehicle.state","from":"plugged_in","to":"unplugged","message":"plug"}`, "plug: from plugged_in to unplugged, delivered every 2h from now on\n"},
		{`{"event":"vehicle.state","from":"plugged_in","to":"unknown","message":"plug"}`, "plug: from plugged_in to unknown\n"},
	} {
		out.Reset()
		if _, err := s.Write([]byte(c.line)); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: %q, want %q", err, out.String(), c.want)
		}
	}
}

// TestSaysHowLate holds that the demo says how late plugbeat noticed a plug that the script changed,
// and why. Without --verbose it leaves out what the vehicles do of their own.
func TestSaysHowLate(t *testing.T) {
	var out bytes.Buffer
	s := newShow(Options{Out: &out}, time.Now(), time.Second)
	s.unplugged, s.pluggedIn = "1h", "30m"
	id := uuid.New()
	s.name(id, 0, vehicle.Vehicle{Model: "i4"})
	change := []byte(`{"event":"vehicle.state","from":"unplugged","to":"plugged_in","message":"plug","vehicle":"` + id.String() + `"}`)
	if _, err := s.Write(change); err != nil || out.Len() > 0 {
		t.Errorf("%v: a vehicle's own change is told: %q", err, out.String())
	}
	s.plugged[id.String()] = time.Now().Add(-500 * time.Millisecond)
	_, err := s.Write(change)
	for _, want := range []string{"1 i4: plug: from unplugged to plugged_in, delivered every 30m from now on", "noticed 30m late", "it read the vehicle every 1h"} {
		if err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%v: %q does not say %q", err, out.String(), want)
		}
	}
}

const onePayload = `{"version":"2.0","payload":{"vehicles":[{"vehicleId":"1","data":[` +
	`{"path":"/battery","code":200,"body":{"percentRemaining":0.5,"range":200},"headers":{"sc-unit-system":"metric"}},` +
	`{"path":"/charge","code":200,"body":{"state":"CHARGING","isPluggedIn":true},"headers":{}}]}]}}`

// TestShowsOnePayload holds that the demo shows one payload in full, and counts the expected
// deliveries after it.
func TestShowsOnePayload(t *testing.T) {
	var out bytes.Buffer
	s := newShow(Options{Out: &out}, time.Now(), time.Second)
	s.payloadIsNext()
	m := receiver.Message{Vehicle: "vehicle", Event: "dynamic", Status: 200, Smartcar: true, Standard: true, Body: []byte(onePayload)}
	for range 3 {
		m.At = time.Now()
		s.heard(m)
	}
	s.chapter("The end")
	_, rest, _ := strings.Cut(out.String(), "\n\n")
	shown, rest, _ := strings.Cut(rest, "\n\n")
	var same bytes.Buffer
	if err := json.Compact(&same, []byte(shown)); err != nil || same.String() != onePayload || strings.Count(shown, "\n") > 10 {
		t.Errorf("%v: the payload is shown as:\n%s", err, out.String())
	}
	if strings.Contains(rest, `"path"`) || !strings.Contains(rest, "2 deliveries accepted") {
		t.Errorf("the deliveries after the payload:\n%s", rest)
	}
	m.Standard = false
	s.heard(m)
	if !strings.Contains(out.String(), "SIGNATURE WRONG") {
		t.Errorf("a wrong signature is counted as expected:\n%s", out.String())
	}
}

// TestShortened holds that every delay is shortened alike, but for the waits for an answer,
// and that the config it is made of stays as it was.
func TestShortened(t *testing.T) {
	c := config.Default()
	s := shortened(c, 720)
	if diff := cmp.Diff(config.Default(), c); diff != "" {
		t.Errorf("the original changed: %s", diff)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	got := fmt.Sprint(s.Cadence.Unplugged, " ", s.Cadence.PluggedIn, " ", s.Cadence.Gap, " ", s.Cadence.UnknownAfter, " ", s.Floor, " ",
		s.Delivery.Retries, " ", s.Delivery.ChallengeAfter, " ", s.Retention.Payloads, " ", s.Delivery.RecoverRate)
	const want = "5s 2.5s 83ms 2m0s 83ms [14ms, 69ms, 347ms, 1.736s, 8.681s, 43.403s] 1.25s 14m0s 10000"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if s.Delivery.Timeout != 2*time.Second || s.Reading.Time != 2*time.Second || s.Grace != c.Grace {
		t.Errorf("waits for an answer: %s %s %s", s.Delivery.Timeout, s.Reading.Time, s.Grace)
	}
	if err := shortened(c, 1e12).Check(); err != nil {
		t.Errorf("the extreme: %v", err)
	}
}
