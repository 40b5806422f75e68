package cli

import (
	"strings"
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
)

// TestWizard: on a terminal, webhook add asks for what it was not told.
func TestWizard(t *testing.T) {
	look := "GET /api/v1/version "
	every := func(typed string) string { return "GET /api/v1/cost?every=" + typed + "&type=schedule " }
	free := func(name string) string { return "GET /api/v1/webhooks/" + name + " " }
	cost := "GET /api/v1/cost?type=dynamic "
	post := "POST /api/v1/webhooks "
	verify := "POST /api/v1/webhooks/" + clitest.HookID.String() + "/verify "
	for _, tc := range []struct {
		name, typed, answers string
		code                 int
		asked                []string
		questions            []string
	}{
		{"all of it", "webhook add", "\ngarage\nhttps://203.0.113.5/hook\ny\ny\n", terminal.ExitOK,
			[]string{look, free("garage"), cost, post + `{"name":"garage","type":"dynamic","callback_uri":"https://203.0.113.5/hook"}`, verify},
			[]string{"type (dynamic, schedule, eventBased) [dynamic]: ", "name: ", "callback URI: ", "cost: source fleet: three paths every 1h are 2 190 calls a month for each vehicle", "add webhook garage to https://203.0.113.5/hook (Y/n): ", "send the challenge now"}},
		{"answers that cannot be taken are asked again", "webhook add", "\n\nfleet\ngarage\n\n/hook\nhttps://u:p@203.0.113.5/\nhttps://203.0.113.5/hook\n\nn\n", terminal.ExitOK,
			[]string{look, free("fleet"), free("garage"), cost, post + `{"name":"garage","type":"dynamic","callback_uri":"https://203.0.113.5/hook"}`},
			[]string{"a callback URI is needed", "a name is needed", "there is a webhook fleet already", `callback_uri "/hook"`, "it carries userinfo"}},
		{"a loopback callback needs consent", "webhook add", "\nlocal\nhttp://localhost:8000/hook\ny\ny\nn\n", terminal.ExitOK,
			[]string{look, free("local"), cost, post + `{"name":"local","type":"dynamic","callback_uri":"http://localhost:8000/hook","allow_private":true}`},
			[]string{"the callback's address 127.0.0.1 is loopback; may plugbeat send to such addresses for this webhook (y/N): "}},
		{"a private callback without consent is asked again", "webhook add", "\nlocal\nhttp://10.1.2.3/\nn\nhttps://203.0.113.5/hook\ny\nn\n", terminal.ExitOK,
			[]string{look, free("local"), cost, post + `{"name":"local","type":"dynamic","callback_uri":"https://203.0.113.5/hook"}`},
			[]string{"10.1.2.3 is private", "which other callback?"}},
		{"a private callback with all flags still needs consent", "webhook add --name local --callback http://10.1.2.3/hook", "n\n", terminal.ExitOK,
			[]string{post + `{"name":"local","type":"dynamic","callback_uri":"http://10.1.2.3/hook"}`},
			[]string{"10.1.2.3 is private"}},
		{"what flags say is not asked", "webhook add --name fleet --verify --type dynamic", "https://203.0.113.5/hook\ny\n", terminal.ExitOK,
			[]string{look, cost, post + `{"name":"fleet","type":"dynamic","callback_uri":"https://203.0.113.5/hook"}`, verify},
			[]string{"callback URI: "}},
		{"a schedule", "webhook add --event-name scheduled", "diagnostic\nschedule\ndaily\nhttps://203.0.113.5/hook\nevery day\n2 weeks\nodometer\nbattery, /charge\nnautical\nimperial\ny\nn\n", terminal.ExitOK,
			[]string{look, free("daily"), every("every+day"), every("2+weeks"), "GET /api/v1/cost?every=2+weeks&paths=%2Fbattery%2C%2Fcharge&type=schedule ", post + `{"name":"daily","type":"schedule","callback_uri":"https://203.0.113.5/hook","cadence":{"every":"2 weeks"},"content":{"event_name":"scheduled","paths":["/battery","/charge"],"unit_system":"imperial"}}`},
			[]string{`type "diagnostic"; allowed: dynamic`, "how often (hourly", `cadence.every "every day": it is no cadence`, "endpoints [charge battery location]: ", `content.paths "odometer"; allowed: /charge, /battery, /location`, `content.unit_system "nautical"`}},
		{"a schedule asks only for what flags leave", "webhook add --type schedule --name daily --callback https://203.0.113.5/hook --paths location --unit-system metric", "\ny\nn\n", terminal.ExitOK,
			[]string{look, every("daily"), "GET /api/v1/cost?every=daily&paths=%2Flocation&type=schedule ", post + `{"name":"daily","type":"schedule","callback_uri":"https://203.0.113.5/hook","cadence":{"every":"daily"},"content":{"paths":["/location"],"unit_system":"metric"}}`},
			[]string{"how often (hourly"}},
		{"a cron expression has a zone", "webhook add --type schedule --name daily --callback https://203.0.113.5/hook --paths location --unit-system metric", "0 7 * * *\nMars/Base\nEurope/Berlin\ny\nn\n", terminal.ExitOK,
			[]string{look, every("0+7+%2A+%2A+%2A"), "GET /api/v1/cost?every=0+7+%2A+%2A+%2A&paths=%2Flocation&type=schedule&zone=Europe%2FBerlin ", post + `{"name":"daily","type":"schedule","callback_uri":"https://203.0.113.5/hook","cadence":{"every":"0 7 * * *","zone":"Europe/Berlin"},"content":{"paths":["/location"],"unit_system":"metric"}}`},
			[]string{`zone "Mars/Base"; allowed: a name`}},
		{"events", "webhook add", "eventBased\nevents\nhttps://203.0.113.5/hook\nboom\nstarted, charging_completed\ny\nn\n", terminal.ExitOK,
			[]string{look, free("events"), "GET /api/v1/cost?type=eventBased ", post + `{"name":"events","type":"eventBased","callback_uri":"https://203.0.113.5/hook","content":{"event_types":["CHARGING_STARTED","CHARGING_COMPLETED"]}}`},
			[]string{"events [started stopped completed]: ", `content.event_types "boom"; allowed: CHARGING_STARTED, CHARGING_STOPPED or CHARGING_COMPLETED`}},
		{"no at the end adds nothing", "webhook add", "\ngarage\nhttps://203.0.113.5/hook\nn\n", terminal.ExitFailure, []string{look, free("garage"), cost}, []string{"not added; nothing was changed"}},
		{"input that ends adds nothing", "webhook add", "\ngarage\n", terminal.ExitFailure, []string{look, free("garage")}, []string{"input ended before the question was answered"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := clitest.Full(t)
			r := clitest.Session{App: App, Socket: d.Socket, TTY: true, Stdin: tc.answers}.Run(t, strings.Fields(tc.typed)...)
			if r.Code != tc.code {
				t.Errorf("exit %d, want %d\n%s%s", r.Code, tc.code, r.Out, r.Err)
			}
			for _, q := range tc.questions {
				if !strings.Contains(r.Err, q) {
					t.Errorf("not asked or said: %q in\n%s", q, r.Err)
				}
			}
			if strings.Contains(r.Err, "u:p") || strings.Contains(r.Out, "(Y/n)") {
				t.Errorf("a password, or a question on standard output:\n%s%s", r.Out, r.Err)
			}
			d.WasAsked(t, tc.asked...)
		})
	}

	r := clitest.Session{App: App, Socket: t.TempDir() + "/none", TTY: true, Stdin: "\nfleet\n"}.Run(t, "webhook", "add")
	if r.Code != terminal.ExitFailure || !strings.HasPrefix(r.Err, "plugbeat: no plugbeat daemon answers") {
		t.Errorf("without a daemon: exit %d\n%s", r.Code, r.Err)
	}
}
