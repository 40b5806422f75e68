package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
)

// tailed is a daemon whose streams of events are those given, one after the other; each
// is a text, or an error that it answers with.
func tailed(t *testing.T, streams ...any) *clitest.Daemon {
	d := clitest.NewDaemon(t)
	var mu sync.Mutex
	d.Mux.HandleFunc("GET /api/v1/events", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
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
	ds := clitest.Deliveries()
	wait, sent, dead := ds[0], ds[1], ds[2]
	resent := wait
	resent.ResendOf = &clitest.SentID
	all := []webhook.Change{
		webhook.ChangeOf(wait, nil),
		webhook.ChangeOf(wait, &webhook.Attempt{N: 1, Duration: 87 * time.Millisecond, Outcome: webhook.OutcomeFailed, Status: 500, Cause: "see its log"}),
		webhook.ChangeOf(sent, &webhook.Attempt{N: 1, Duration: 52 * time.Millisecond, Outcome: webhook.OutcomeDelivered, Status: 204}),
		webhook.ChangeOf(dead, nil),
		webhook.ChangeOf(resent, nil),
	}
	for i := range all {
		all[i].At, all[i].WebhookName = clitest.Noon.Add(time.Duration(i)*time.Second), "fleet"
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
	second.WriteString(event(t, "webhook", webhook.Change{Kind: webhook.WebhookChange, Action: webhook.Changed, At: clitest.Noon, Webhook: clitest.HookID, Status: webhook.Disabled}))
	second.WriteString(event(t, "vehicle", webhook.Change{Kind: webhook.VehicleChange, Action: webhook.Read, At: clitest.Noon, Vehicle: clitest.VehicleID}))
	busy := clitest.Refusal(adminapi.CodeUnavailable, "it is stopping", "wait")
	busy.Error.Status = 503
	d := tailed(t, first.String(), busy, second.String())
	r := clitest.Session{App: app, Socket: d.Socket, Rest: restless(3)}.Run(t, "delivery", "tail", "--webhook", "fleet", "--vehicle", clitest.VehicleID.String())
	if r.Code != terminal.ExitOK {
		t.Errorf("exit %d", r.Code)
	}
	clitest.Golden(t, "output/delivery_tail.txt", r.Out)
	want := `plugbeat: this tail was read too slowly and missed 7 events; see: plugbeat delivery list --since 2026-03-01T12:00:02Z --webhook fleet
plugbeat: the tail was cut off; waiting for the daemon
plugbeat: the daemon is back; what happened meanwhile is not shown, see: plugbeat delivery list --since 2026-03-01T12:00:00Z --webhook fleet
plugbeat: the tail was cut off; waiting for the daemon
`
	if r.Err != want {
		t.Errorf("stderr\n%s\nwant\n%s", r.Err, want)
	}
	asked := d.Asked()
	if want := "GET /api/v1/events?vehicle=" + clitest.VehicleID.String() + "&webhook=fleet "; len(asked) != 5 || asked[0] != want || asked[4] != want {
		t.Errorf("asked %q, want five times %q", asked, want)
	}

	// A JSON object a line, each as the daemon gave it.
	r = clitest.Session{App: app, Socket: tailed(t, first.String()).Socket, Rest: restless(0)}.Run(t, "delivery", "tail", "--json")
	var lines []webhook.Change
	for line := range strings.Lines(r.Out) {
		var c webhook.Change
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, c)
	}
	if len(lines) != 3 || lines[2].Delivery.ID != clitest.SentID || lines[2].Attempt.Status != 204 || r.Code != terminal.ExitOK {
		t.Errorf("exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
}

// TestTailRefused: what waiting does not mend ends the tail at once.
func TestTailRefused(t *testing.T) {
	never := func() error { t.Error("it waits"); return errors.New("enough") }
	unknown := clitest.Refusal(adminapi.CodeNotFound, "webhook x: not found", "look")
	unknown.Error.Status = 404
	d := tailed(t, unknown)
	if r := (clitest.Session{App: app, Socket: d.Socket, Rest: never}).Run(t, "delivery", "tail", "--webhook", "x"); r.Code != terminal.ExitFailure || !strings.Contains(r.Err, "not found") {
		t.Errorf("exit %d %s", r.Code, r.Err)
	}
	if r := (clitest.Session{App: app, Socket: d.Socket + "no", Rest: never}).Run(t, "delivery", "tail"); r.Code != terminal.ExitFailure || !strings.Contains(r.Err, "no plugbeat daemon answers") {
		t.Errorf("exit %d %s", r.Code, r.Err)
	}
	for typed, want := range map[string]string{"extra": "takes no argument", "--since 1h": "since"} {
		if r := (clitest.Session{App: app, Socket: d.Socket, Rest: never}).Run(t, append([]string{"delivery", "tail"}, strings.Fields(typed)...)...); r.Code != terminal.ExitUsage || !strings.Contains(r.Err, want) {
			t.Errorf("%s: exit %d %s", typed, r.Code, r.Err)
		}
	}
	// Refused while it follows, as when the webhook was removed.
	d = tailed(t, "retry: 1000\n\n", unknown)
	if r := (clitest.Session{App: app, Socket: d.Socket, Rest: restless(1)}).Run(t, "delivery", "tail", "--webhook", "x"); r.Code != terminal.ExitFailure || !strings.Contains(r.Err, "not found") {
		t.Errorf("exit %d: %s", r.Code, r.Err)
	}
}
