package cli

import (
	"strings"
	"testing"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// TestReplayRefused: what a replay is about must be said, and rightly.
func TestReplayRefused(t *testing.T) {
	d := newDaemon(t)
	for typed, want := range map[string]string{
		"": "needs to know what", "--rate 5": "needs to know what", "--since soon": "--since", "--state waiting": "want one of delivered", "--state lost": "want one of delivered",
		"--webhook x --rate 0": "more than 0", "--webhook x --rate fast": "want a number", "--vehicle x": "not a vehicle id",
		"--cancel": "needs --webhook", "--cancel --webhook x --since 1h": "goes without --since", "extra --since 1h": "takes no argument",
	} {
		if r := (session{socket: d.socket}).run(t, append([]string{"delivery", "replay"}, strings.Fields(typed)...)...); r.code != ExitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%q: exit %d %s", typed, r.code, r.err)
		}
	}
	d.wasAsked(t)

	// Nothing that matches is no question to ask.
	d.on("POST", "/deliveries/replay", api.Replayed{Items: []api.ReplayedItem{}})
	if r := (session{socket: d.socket}).run(t, "delivery", "replay", "--since", "1h"); r.code != ExitOK || !strings.Contains(r.out, "no finished delivery matches") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	// Off a terminal it has to be confirmed; on one, asked.
	d = full(t)
	if r := (session{socket: d.socket}).run(t, "delivery", "replay", "--since", "1h"); r.code != ExitUsage || !strings.Contains(r.err, "--yes") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	if r := (session{socket: d.socket, tty: true, stdin: "n\n"}).run(t, "delivery", "replay", "--since", "1h"); r.code != ExitFailure || !strings.Contains(r.out+r.err, "send 409 deliveries again to fleet") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestUnderWay: status and webhook show tell of a recovery and a replay.
func TestUnderWay(t *testing.T) {
	w := failingHook()
	w.Recovery = &webhook.Recovery{Policy: "latest", Superseded: 128}
	w.Replay = &webhook.Replay{Rate: 0.5, Total: 400, Made: 12, Passed: 3}
	st := status()
	st.Webhooks[1].Webhook = w
	d := newDaemon(t).on("GET", "/status", st).on("GET", "/webhooks/old", view(w)).on("GET", "/subscriptions", items([]api.SubscriptionView{}))
	for _, typed := range []string{"status", "webhook show old"} {
		r := session{socket: d.socket, width: 300}.run(t, strings.Fields(typed)...)
		for _, want := range []string{"latest; 128 superseded and 0 cancelled so far", "12 of 400 made, at most 0.5 a second, 3 without a payload; waits: the webhook is failing"} {
			if !strings.Contains(r.out, want) {
				t.Errorf("%s lacks %q:\n%s%s", typed, want, r.out, r.err)
			}
		}
	}
}
