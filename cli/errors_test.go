package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
)

// TestRefused: what the daemon refuses is exit code 1, with its hint on a line of
// its own, and the same object as JSON.
func TestRefused(t *testing.T) {
	d := clitest.NewDaemon(t)
	d.Fail("GET", "/webhooks/none", http.StatusNotFound, clitest.Refusal(adminapi.CodeNotFound, "webhook none: not found", "webhooks are listed by plugbeat webhook list"))
	x := clitest.Session{App: App, Socket: d.Socket}
	r := x.Run(t, "webhook", "show", "none")
	if want := "plugbeat: webhook none: not found\n  webhooks are listed by plugbeat webhook list\n"; r.Code != terminal.ExitFailure || r.Err != want || r.Out != "" {
		t.Errorf("exit %d\n%q\nwant %q", r.Code, r.Err, want)
	}
	r = x.Run(t, "webhook", "show", "none", "--json")
	if want := `{"error":{"code":"not_found","message":"webhook none: not found","hint":"webhooks are listed by plugbeat webhook list"}}` + "\n"; r.Err != want || r.Out != "" {
		t.Errorf("--json: %s", r.Err)
	}
}

// TestChanged: a webhook that somebody changed between the command's look and its
// act is told in the command line's words, not in those of HTTP.
func TestChanged(t *testing.T) {
	d := clitest.NewDaemon(t)
	d.On("GET", "/webhooks/fleet", clitest.View(clitest.HealthyHook()))
	d.Fail("DELETE", "/webhooks/"+clitest.HookID.String(), http.StatusPreconditionFailed, clitest.Refusal(adminapi.CodeChanged, "webhook fleet was changed since you looked", "GET it again"))
	r := clitest.Session{App: App, Socket: d.Socket}.Run(t, "webhook", "rm", "fleet", "--yes")
	if want := "plugbeat: webhook fleet was changed since you looked\n  nothing was changed; look at it again, and repeat the command if you still want it\n"; r.Code != terminal.ExitFailure || r.Err != want {
		t.Errorf("exit %d\n%s\nwant %s", r.Code, r.Err, want)
	}
}

// TestChallengeFailed: a webhook that was added but not verified still shows its
// key, which nothing else ever shows, and says what the receiver has to do.
func TestChallengeFailed(t *testing.T) {
	d := clitest.NewDaemon(t)
	d.On("POST", "/webhooks", adminapi.WebhookAdded{Webhook: clitest.UnverifiedHook(), SigningKey: "whsec_key"})
	wrong := clitest.Refusal(adminapi.CodeChallengeFailed, "the callback answered 404", "")
	d.Fail("POST", "/webhooks/"+clitest.HookID.String()+"/verify", http.StatusFailedDependency, wrong)
	d.Fail("POST", "/webhooks/fleet/verify", http.StatusFailedDependency, wrong)
	d.Fail("POST", "/webhooks/fleet/enable", http.StatusFailedDependency, wrong)
	x := clitest.Session{App: App, Socket: d.Socket}
	r := x.Run(t, strings.Fields("webhook add --name fleet --callback https://203.0.113.5/ --verify")...)
	if r.Code != terminal.ExitFailure || !strings.Contains(r.Out, "whsec_key") || !strings.HasPrefix(r.Err, "plugbeat: webhook fleet was added but is not verified: the callback answered 404\n") || !strings.Contains(r.Err, "then try again: plugbeat webhook verify fleet\n") {
		t.Errorf("add: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	down := clitest.Refusal(adminapi.CodeChallengeFailed, "connection refused", "")
	down.Error.Challenge = &webhook.Challenge{Text: "connection refused"}
	d.Fail("POST", "/webhooks/down/verify", http.StatusFailedDependency, down)
	if r = x.Run(t, "webhook", "verify", "down"); r.Err != "plugbeat: connection refused\n  then try again: plugbeat webhook verify down\n" {
		t.Errorf("verify without an answer: %s", r.Err)
	}
	// A receiver that takes everything and answers nothing is told of the way that works.
	silent := clitest.Refusal(adminapi.CodeChallengeFailed, "the body is empty", "")
	silent.Error.Challenge = &webhook.Challenge{Status: 200, Text: "the body is empty"}
	d.Fail("POST", "/webhooks/ha/verify", http.StatusFailedDependency, silent)
	d.Fail("POST", "/webhooks/ha/enable", http.StatusFailedDependency, silent)
	for _, command := range []string{"verify", "enable"} {
		if r = x.Run(t, "webhook", command, "ha"); !strings.Contains(r.Err, "gets its deliveries by: plugbeat bridge URL\n") || !strings.Contains(r.Err, "plugbeat webhook change ha --callback http://127.0.0.1:8098/ --allow-private") {
			t.Errorf("%s of a receiver that answers nothing: %s", command, r.Err)
		}
	}
	if r = x.Run(t, "webhook", "verify", "fleet"); r.Code != terminal.ExitFailure || r.Out != "" || !strings.Contains(r.Err, "HMAC-SHA256(management token, payload.challenge)") {
		t.Errorf("verify: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	// Force is advised where it is granted: for a callback that answered rightly once.
	if r = x.Run(t, "webhook", "enable", "fleet"); strings.Contains(r.Err, "--force") || !strings.Contains(r.Err, "plugbeat webhook verify fleet") {
		t.Errorf("enable what was never verified: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	d.On("GET", "/webhooks/fleet", adminapi.WebhookView{Webhook: webhook.Webhook{Name: "fleet", VerifiedAt: clitest.Noon}})
	if r = x.Run(t, "webhook", "enable", "fleet"); r.Code != terminal.ExitFailure || !strings.Contains(r.Err, "plugbeat webhook enable fleet --force") {
		t.Errorf("enable: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
}

// TestFailedTest: a test payload that is refused is shown and is a failure.
func TestFailedTest(t *testing.T) {
	d := clitest.NewDaemon(t)
	d.On("POST", "/webhooks/fleet/test", webhook.Attempt{N: 1, StartedAt: clitest.Noon, Duration: time.Second, Outcome: webhook.OutcomeFailed, Status: 500})
	r := clitest.Session{App: App, Socket: d.Socket}.Run(t, "webhook", "test", "fleet")
	if r.Code != terminal.ExitFailure || !strings.Contains(r.Out, "500 Internal Server Error") || !strings.HasPrefix(r.Err, "plugbeat: fleet refused the test payload: 500 Internal Server Error in 1s\n") {
		t.Errorf("exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
}

// TestProblemsFound: a check that found problems prints them and exits 1, without
// an error beside them.
func TestProblemsFound(t *testing.T) {
	d := clitest.NewDaemon(t)
	d.On("POST", "/check", adminapi.Checked{Problems: []webhook.FileProblem{{Bucket: "slot_due", Key: "ab12", Text: "no slot for this row"}}})
	x := clitest.Session{App: App, Socket: d.Socket}
	if r := x.Run(t, "check"); r.Code != terminal.ExitFailure || r.Err != "" || !strings.Contains(r.Out, "1 problem in ") || !strings.Contains(r.Out, "\n  slot_due ab12: no slot for this row\n") {
		t.Errorf("exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	r := x.Run(t, "check", "--json")
	var got struct {
		Sound    bool
		Problems []string
	}
	if err := json.Unmarshal([]byte(r.Out), &got); err != nil || got.Sound || len(got.Problems) != 1 || r.Err != "" || r.Code != terminal.ExitFailure {
		t.Errorf("--json: exit %d, %v\n%s%s", r.Code, err, r.Out, r.Err)
	}
}

// TestUsage: what can be seen to be wrong without a daemon is exit code 2, names
// the flag or argument and what is allowed, and asks the daemon nothing.
func TestUsage(t *testing.T) {
	d := clitest.Full(t)
	for typed, want := range map[string]string{
		"webhook show":         "plugbeat webhook show needs WEBHOOK",
		"webhook show a b":     `plugbeat webhook show takes WEBHOOK, got one more: "b"`,
		"status now":           `plugbeat status takes no argument, got "now"`,
		"webhook add":          "webhook add needs --name and --callback",
		"webhook add --name x": "webhook add needs --name and --callback",
		"webhook add --name x --callback ftp://x/":                                                    `--callback: callback_uri "ftp://x/": its scheme is not http or https`,
		"webhook add --name x --callback http://127.0.0.1/":                                           "the callback's address 127.0.0.1 is loopback, which plugbeat sends to only on request",
		"webhook add --name x --callback http://localhost:80/":                                        "the callback's address 127.0.0.1 is loopback",
		"webhook add --name x --callback http://[fd00::1]/":                                           "the callback's address fd00::1 is private",
		"webhook add --name x --callback https://203.0.113.5/ --id 7":                                 `--id "7": want a UUID`,
		"webhook add --name x --callback https://203.0.113.5/ --type diagnostic":                      `--type: type "diagnostic"; allowed: dynamic`,
		"webhook add --name x --callback https://203.0.113.5/ --type schedule":                        "webhook add --type schedule needs --every",
		"webhook add --name x --callback https://203.0.113.5/ --paths charge":                         `content.paths "/charge"; allowed: nothing`,
		"webhook add --name x --callback https://203.0.113.5/ --type schedule --paths fuel":           `content.paths "fuel"; allowed: /charge, /battery, /location`,
		"webhook add --name x --callback https://203.0.113.5/ --type eventBased --events parked":      `content.event_types "parked"; allowed: CHARGING_STARTED`,
		"webhook add --name x --callback https://203.0.113.5/ --type eventBased --unit-system metric": `content.unit_system "metric"; allowed: nothing`,
		"webhook add --name x --callback https://203.0.113.5/ --signing none":                         `--signing: signing "none"; allowed: smartcar, standard or both`,
		"webhook change fleet": "webhook change needs at least one setting to change",
		"webhook add --name a/b --callback https://203.0.113.5/":                  `--name: name "a/b": it could be taken for a path`,
		"webhook change fleet --name=--force":                                     `--name: name "--force": it could be taken for an option`,
		"webhook change fleet --signing x":                                        `--signing: signing "x"; allowed: smartcar, standard or both`,
		"webhook change fleet --callback /x":                                      `--callback: callback_uri "/x"`,
		"webhook rm fleet":                                                        "", // asks the daemon first
		"vehicle read " + clitest.VehicleID.String() + " --paths charge,odometer": `--paths: "odometer" is not a path; there are charge, battery and location`,
		"vehicle connect":                                                         "vehicle connect needs --source NAME",
		"vehicle connect --source smartcar --refresh-token-stdin":                 "no refresh token on standard input",
		"subscribe fleet":                                                         "subscribe needs either vehicles or --all",
		"subscribe fleet --all " + clitest.VehicleID.String():                     "subscribe needs either vehicles or --all",
		"subscribe fleet --all --spread 60":                                       `--spread "60": want a duration with its unit`,
		"subscribe fleet --all --spread -1h":                                      "--spread -1h: want a positive duration",
		"unsubscribe fleet":                                                       "plugbeat unsubscribe needs WEBHOOK VEHICLE...",
		"delivery list --state lost":                                              `--state "lost": want one of waiting, delivered`,
		"delivery list --since yesterday":                                         `--since "yesterday": want how long ago`,
		"delivery list --limit 0":                                                 "--limit 0: want 1 or more",
		"delivery list --limit many":                                              `--limit "many": want a whole number`,
		"delivery show x":                                                         `"x" is not a delivery id`,
		"token add backend":                                                       "token add needs the kind of token: --access",
		"token add backend --access --scope read":                                 "token add needs the kind of token: --access",
		"token add backend --scope admin":                                         `--scope "admin": want read or operate`,
		"token add backend --scope read --vehicle " + clitest.VehicleID.String():  "--vehicle is for access tokens",
		"token add backend --access --intake":                                     "token add needs the kind of token: --access",
		"token add backend --access --source x":                                   "--source goes with --intake",
		"token add backend --intake --vehicle " + clitest.VehicleID.String():      "--vehicle is for access tokens; a token for an intake is for a source",
		"token rm backend":                                                        "plugbeat token rm cannot be undone",
		"check a b":                                                               `plugbeat check takes [FILE], got one more: "b"`,
		"check --data b":                                                          "--data of plugbeat check has left",
		"status --json=maybe":                                                     `--json "maybe": want true or false`,
		"init":                                                                    "init needs the folder to set up",
		"check-config a --config b":                                               "check-config takes one file: an argument or --config, not both",
	} {
		if want == "" {
			continue
		}
		r := clitest.Session{App: App, Socket: d.Socket}.Run(t, strings.Fields(typed)...)
		if r.Code != terminal.ExitUsage || r.Out != "" || !strings.HasPrefix(r.Err, "plugbeat: "+want) {
			t.Errorf("%s: exit %d\n%s%s", typed, r.Code, r.Out, r.Err)
		}
		d.WasAsked(t)
	}
}

// TestNoDaemon: with nothing at the socket, every client command says where it
// looked, why there, and what to do.
func TestNoDaemon(t *testing.T) {
	none := t.TempDir() + "/none.sock"
	for from, x := range map[string]clitest.Session{
		"the standard place; no flag or environment variable names another": {App: App, Socket: none},
		"$PLUGBEAT_SOCKET": {App: App, Socket: "/elsewhere", Env: map[string]string{"PLUGBEAT_SOCKET": none}},
	} {
		r := x.Run(t, "status")
		if want := "plugbeat: no plugbeat daemon answers at " + none + " (from " + from + ")\n  start it: plugbeat serve --config FILE\n"; r.Code != terminal.ExitFailure || !strings.HasPrefix(r.Err, want) {
			t.Errorf("exit %d\n%s\nwant %s", r.Code, r.Err, want)
		}
	}
	r := clitest.Session{App: App, Socket: "/elsewhere"}.Run(t, "status", "--socket", none, "--json")
	var e struct {
		Error struct{ Code, Message, Hint string }
	}
	if err := json.Unmarshal([]byte(r.Err), &e); err != nil || e.Error.Code != "no_daemon" || !strings.Contains(e.Error.Message, none+" (from --socket)") || e.Error.Hint == "" || r.Out != "" {
		t.Errorf("--json: %v\n%s", err, r.Err)
	}
}

// TestConfirm: what cannot be undone is asked on a terminal.
func TestConfirm(t *testing.T) {
	for answer, removed := range map[string]bool{"y\n": true, "yes\n": true, "n\n": false, "\n": false, "": false, "what\nY\n": true} {
		d := clitest.Full(t)
		r := clitest.Session{App: App, Socket: d.Socket, TTY: true, Stdin: answer}.Run(t, "webhook", "rm", "fleet")
		asked := d.Asked()
		if got := len(asked) == 2; got != removed || (r.Code == terminal.ExitOK) != removed {
			t.Errorf("answer %q: exit %d, asked %q\n%s", answer, r.Code, asked, r.Err)
		}
	}
	d := clitest.Full(t)
	r := clitest.Session{App: App, Socket: d.Socket}.Run(t, "webhook", "rm", "fleet")
	if asked := d.Asked(); r.Code != terminal.ExitUsage || len(asked) != 1 || !strings.Contains(r.Err, "confirm it with --yes") {
		t.Errorf("without a terminal: exit %d, asked %q\n%s", r.Code, asked, r.Err)
	}
}
