package cli

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// tailed is a daemon whose tail answers each question with what a test gave it, by
// its cursor, and breaks off where it gave nothing.
func tailed(t *testing.T, answers map[string]api.Tail) *daemon {
	d := newDaemon(t)
	d.on("GET", "/webhooks/"+hookID.String(), view(healthyHook()))
	d.mux.HandleFunc("GET /api/v1/deliveries/tail", func(w http.ResponseWriter, r *http.Request) {
		after := r.URL.Query().Get("after")
		a, ok := answers[after]
		if !ok {
			panic(http.ErrAbortHandler)
		}
		if after == "2" {
			delete(answers, after) // the next time it is away
		}
		if err := json.NewEncoder(w).Encode(a); err != nil {
			t.Error(err)
		}
	})
	return d
}

func steps() []webhook.Change {
	ds := deliveries()
	wait, sent, dead := ds[0], ds[1], ds[2]
	resent := wait
	resent.ResendOf = &sentID
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	return []webhook.Change{
		{Cursor: 3, At: at(0), State: webhook.Waiting, Delivery: wait},
		{Cursor: 4, At: at(1), State: webhook.Waiting, Delivery: wait, Attempt: &webhook.Attempt{N: 1, Duration: 87 * time.Millisecond, Outcome: webhook.OutcomeFailed, Status: 500, Cause: "see its log"}},
		{Cursor: 5, At: at(2), State: webhook.Delivered, Delivery: sent, Attempt: &webhook.Attempt{N: 1, Duration: 52 * time.Millisecond, Outcome: webhook.OutcomeDelivered, Status: 204}},
		{Cursor: 6, At: at(3), State: webhook.Dead, Delivery: dead},
		{Cursor: 7, At: at(4), State: webhook.Waiting, Delivery: resent},
	}
}

// TestTail: the tail goes on from its cursor when the daemon was away, says what is
// missing, and ends without an error.
func TestTail(t *testing.T) {
	away := 0
	x := session{tty: false, rest: func() error {
		if away++; away > 2 {
			return errors.New("enough")
		}
		return nil
	}}
	all := steps()
	d := tailed(t, map[string]api.Tail{
		"": {Items: []webhook.Change{}, Next: 2}, "2": {Items: all[:2], Next: 4}, "4": {Items: all[2:3], Next: 5}, "5": {Items: all[3:], Next: 9, Missed: true},
	})
	x.socket = d.socket
	r := x.run(t, "delivery", "tail", "--webhook", "fleet", "--vehicle", carID.String())
	if r.code != ExitOK {
		t.Errorf("exit %d", r.code)
	}
	golden(t, "output/delivery_tail.txt", r.out)
	if want := "plugbeat: some steps are missing: they are no longer kept, or the data file is another one\nplugbeat: the daemon is away; waiting for it\n"; r.err != want {
		t.Errorf("stderr %q, want %q", r.err, want)
	}
	if away != 3 {
		t.Errorf("asked %d times while away", away)
	}
	d.mu.Lock()
	asked := d.asked
	d.mu.Unlock()
	if want := "GET /api/v1/deliveries/tail?limit=500&vehicle=" + carID.String() + "&webhook=fleet "; asked[0] != want {
		t.Errorf("asked %q, want %q", asked[0], want)
	}
	if want := "GET /api/v1/deliveries/tail?after=2&limit=500&vehicle=" + carID.String() + "&wait=25s&webhook=fleet "; asked[1] != want {
		t.Errorf("asked %q, want %q", asked[1], want)
	}

	// A JSON object a line, each as the daemon gave it.
	away = 0
	x.socket = tailed(t, map[string]api.Tail{"1": {Items: all, Next: 9}}).socket
	r = x.run(t, "delivery", "tail", "--json", "--after", "1")
	var lines []webhook.Change
	for line := range strings.Lines(r.out) {
		var c webhook.Change
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, c)
	}
	if len(lines) != 5 || lines[4].Cursor != 7 || r.code != ExitOK {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}

	// On a terminal it says how to go on.
	away, x.tty = 0, true
	x.socket = tailed(t, map[string]api.Tail{"": {Items: all[:1], Next: 3}}).socket
	if r = x.run(t, "delivery", "tail", "--since", "1h"); r.code != ExitOK || !strings.HasSuffix(r.err, "to go on from here: plugbeat delivery tail --after 3\n") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestTailRefused: what waiting does not mend ends the tail at once.
func TestTailRefused(t *testing.T) {
	never := func() error { t.Error("it waits"); return errors.New("enough") }
	d := newDaemon(t)
	d.fail("GET", "/deliveries/tail", 404, refusal(api.CodeNotFound, "webhook x: not found", "look"))
	if r := (session{socket: d.socket, rest: never}).run(t, "delivery", "tail", "--webhook", "x"); r.code != ExitFailure || !strings.Contains(r.err, "not found") {
		t.Errorf("exit %d %s", r.code, r.err)
	}
	if r := (session{socket: d.socket + "no", rest: never}).run(t, "delivery", "tail"); r.code != ExitFailure || !strings.Contains(r.err, "no plugbeat daemon answers") {
		t.Errorf("exit %d %s", r.code, r.err)
	}
	for typed, want := range map[string]string{"--since soon": "--since", "--since 1h --after 3": "exclude each other", "--vehicle x": "not a vehicle id", "extra": "takes no argument"} {
		if r := (session{socket: d.socket, rest: never}).run(t, append([]string{"delivery", "tail"}, strings.Fields(typed)...)...); r.code != ExitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%s: exit %d %s", typed, r.code, r.err)
		}
	}
	// Refused while it follows, as when the webhook was removed.
	d = newDaemon(t)
	n := 0
	d.mux.HandleFunc("GET /api/v1/deliveries/tail", func(w http.ResponseWriter, _ *http.Request) {
		if n++; n == 1 {
			_ = json.NewEncoder(w).Encode(api.Tail{Items: []webhook.Change{}, Next: 1})
			return
		}
		w.WriteHeader(404)
		_ = json.NewEncoder(w).Encode(refusal(api.CodeNotFound, "webhook x: not found", "look"))
	})
	if r := (session{socket: d.socket, rest: never}).run(t, "delivery", "tail", "--webhook", "x"); r.code != ExitFailure || n != 2 {
		t.Errorf("exit %d after %d: %s", r.code, n, r.err)
	}
}
