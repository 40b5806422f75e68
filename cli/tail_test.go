package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// tailed is a daemon whose streams of events are those given, one after the other; each
// is a text, or an error that it answers with.
func tailed(t *testing.T, streams ...any) *daemon {
	d := newDaemon(t)
	d.mux.HandleFunc("GET /api/v1/events", func(w http.ResponseWriter, _ *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(streams) == 0 {
			panic(http.ErrAbortHandler)
		}
		next := streams[0]
		streams = streams[1:]
		switch next := next.(type) {
		case string:
			w.Header().Set("Content-Type", adminapi.EventStreamType)
			_, _ = w.Write([]byte(next))
		case adminapi.Envelope:
			w.WriteHeader(next.Error.Status)
			_ = json.NewEncoder(w).Encode(next)
		}
	})
	return d
}

// event is an event of a stream.
func event(t *testing.T, name string, data any) string {
	t.Helper()
	b, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("event: %s\ndata: %s\n\n", name, b)
}

func steps() []webhook.Change {
	ds := deliveries()
	wait, sent, dead := ds[0], ds[1], ds[2]
	resent := wait
	resent.ResendOf = &sentID
	all := []webhook.Change{
		webhook.ChangeOf(wait, nil),
		webhook.ChangeOf(wait, &webhook.Attempt{N: 1, Duration: 87 * time.Millisecond, Outcome: webhook.OutcomeFailed, Status: 500, Cause: "see its log"}),
		webhook.ChangeOf(sent, &webhook.Attempt{N: 1, Duration: 52 * time.Millisecond, Outcome: webhook.OutcomeDelivered, Status: 204}),
		webhook.ChangeOf(dead, nil),
		webhook.ChangeOf(resent, nil),
	}
	for i := range all {
		all[i].At, all[i].WebhookName = noon.Add(time.Duration(i)*time.Second), "fleet"
	}
	return all
}

// restless has a command wait so often and then ends it.
func restless(times int) func() error {
	return func() error {
		if times--; times < 0 {
			return errors.New("enough")
		}
		return nil
	}
}

// TestTail: a tail shows deliveries, says what it did not see and where that is, goes on
// when the daemon was away, and ends without an error.
func TestTail(t *testing.T) {
	all := steps()
	var first, second strings.Builder
	first.WriteString("retry: 1000\n\n: ping\n\n")
	for i, c := range all {
		b := &first
		if i >= 3 {
			b = &second
		}
		b.WriteString(event(t, "delivery", c))
	}
	first.WriteString(event(t, "missed", adminapi.Missed{Missed: 7}))
	second.WriteString(event(t, "webhook", webhook.Change{Kind: webhook.WebhookChange, Action: webhook.Changed, At: noon, Webhook: hookID, Status: webhook.Disabled}))
	second.WriteString(event(t, "vehicle", webhook.Change{Kind: webhook.VehicleChange, Action: webhook.Read, At: noon, Vehicle: carID}))
	busy := refusal(adminapi.CodeUnavailable, "it is stopping", "wait")
	busy.Error.Status = 503
	d := tailed(t, first.String(), busy, second.String())
	r := session{socket: d.socket, rest: restless(3)}.run(t, "delivery", "tail", "--webhook", "fleet", "--vehicle", carID.String())
	if r.code != ExitOK {
		t.Errorf("exit %d", r.code)
	}
	golden(t, "output/delivery_tail.txt", r.out)
	want := `plugbeat: this tail was read too slowly and missed 7 events; see: plugbeat delivery list --since 2026-03-01T12:00:02Z --webhook fleet
plugbeat: the tail was cut off; waiting for the daemon
plugbeat: the daemon is back; what happened meanwhile is not shown, see: plugbeat delivery list --since 2026-03-01T12:00:00Z --webhook fleet
plugbeat: the tail was cut off; waiting for the daemon
`
	if r.err != want {
		t.Errorf("stderr\n%s\nwant\n%s", r.err, want)
	}
	d.mu.Lock()
	asked := d.asked
	d.mu.Unlock()
	if want := "GET /api/v1/events?vehicle=" + carID.String() + "&webhook=fleet "; len(asked) != 5 || asked[0] != want || asked[4] != want {
		t.Errorf("asked %q, want five times %q", asked, want)
	}

	// A JSON object a line, each as the daemon gave it.
	r = session{socket: tailed(t, first.String()).socket, rest: restless(0)}.run(t, "delivery", "tail", "--json")
	var lines []webhook.Change
	for line := range strings.Lines(r.out) {
		var c webhook.Change
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, c)
	}
	if len(lines) != 3 || lines[2].Delivery.ID != sentID || lines[2].Attempt.Status != 204 || r.code != ExitOK {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestTailRefused: what waiting does not mend ends the tail at once.
func TestTailRefused(t *testing.T) {
	never := func() error { t.Error("it waits"); return errors.New("enough") }
	unknown := refusal(adminapi.CodeNotFound, "webhook x: not found", "look")
	unknown.Error.Status = 404
	d := tailed(t, unknown)
	if r := (session{socket: d.socket, rest: never}).run(t, "delivery", "tail", "--webhook", "x"); r.code != ExitFailure || !strings.Contains(r.err, "not found") {
		t.Errorf("exit %d %s", r.code, r.err)
	}
	if r := (session{socket: d.socket + "no", rest: never}).run(t, "delivery", "tail"); r.code != ExitFailure || !strings.Contains(r.err, "no plugbeat daemon answers") {
		t.Errorf("exit %d %s", r.code, r.err)
	}
	for typed, want := range map[string]string{"--vehicle x": "not a vehicle id", "extra": "takes no argument", "--since 1h": "since"} {
		if r := (session{socket: d.socket, rest: never}).run(t, append([]string{"delivery", "tail"}, strings.Fields(typed)...)...); r.code != ExitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%s: exit %d %s", typed, r.code, r.err)
		}
	}
	// Refused while it follows, as when the webhook was removed.
	d = tailed(t, "retry: 1000\n\n", unknown)
	if r := (session{socket: d.socket, rest: restless(1)}).run(t, "delivery", "tail", "--webhook", "x"); r.code != ExitFailure || !strings.Contains(r.err, "not found") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}
