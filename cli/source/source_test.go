package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
)

var commandLine = clitest.Commands(Command)

// broker is a source whose map knows not every word.
func broker() adminapi.SourceView {
	return adminapi.SourceView{
		Source: adminapi.Source{Name: "broker", Configured: true, Vehicles: 1, Activity: vehicle.Activity{Reads: 12, PathReads: 36, LastOK: clitest.Ago(time.Minute)},
			Problems: []vehicle.Problem{{Code: vehicle.ProblemWord, Vehicle: "blue", Since: clitest.Ago(time.Hour),
				Text:   `vehicle blue: plug at b/plug: the word "Frei" is in no list: there are plugged [in], unplugged [out]`,
				Remedy: "put the word into the list that it belongs to"}}},
		SourceKind: adminapi.SourceKind{Type: "mqtt", Watchable: true, Discovers: true},
		Inspection: &vehicle.Inspection{Server: "192.168.1.10:1883", Version: "mosquitto version 2.0.11", ConnectedSince: clitest.Ago(26 * time.Hour),
			LastMessage: clitest.Ago(4 * time.Second), Messages: 1402,
			Vehicles: []vehicle.InspectedVehicle{{ID: clitest.VehicleID, Native: "blue\x1b[31m",
				Values: []vehicle.InspectedValue{
					{Path: "/charge", Name: "plug", Is: "plugged_in", ObservedAt: clitest.Ago(time.Hour), ChangedAt: clitest.Ago(time.Hour), ConfirmedAt: clitest.Ago(time.Minute)},
					{Path: "/battery", Name: "battery", Is: "61 %", ConfirmedAt: clitest.Ago(30 * time.Hour), Fault: "the level was last confirmed 30h0m0s ago"},
				},
				Inputs: []vehicle.InspectedInput{
					{Input: "plug", Topic: "b/plug", HeardAt: clitest.Ago(time.Minute), Refusal: &vehicle.Refusal{Payload: `"Frei"`, At: clitest.Ago(time.Minute),
						Why: `the word "Frei" is in no list: there are plugged [in], unplugged [out]`, Remedy: `put "Frei" into the list that it belongs to, in the map of vehicle blue: plug: {plugged: [in], unplugged: [out]}`}},
					{Input: "battery", Topic: "b/doc", At: "/soc", Became: "0.61", HeardAt: clitest.Ago(30 * time.Hour), Refusal: &vehicle.Refusal{
						Payload: `"\x1b[2J"`, At: clitest.Ago(40 * time.Hour), Why: "not a plain decimal number, such as 61.5", Remedy: "not shown", Over: true}},
					{Input: "alive", Topic: "b/healthy"},
				}}}},
	}
}

// polled is a source that somebody counts the calls of.
func polled() adminapi.SourceView {
	v := clitest.Vehicles()
	return adminapi.SourceView{
		Source: adminapi.Source{Name: "smartcar", Configured: true, Vehicles: 2, Activity: vehicle.Activity{Reads: 9, PathReads: 27, Faults: 3, LastOK: clitest.Ago(time.Minute)},
			Cost: &adminapi.Cost{Metered: true, Budget: 500, Per: "month", Spent: 27, Until: clitest.In(240 * time.Hour)}},
		SourceKind: adminapi.SourceKind{Type: "smartcar"},
		FirstVehicles: []adminapi.VehicleGlance{
			{Vehicle: v[0].Vehicle, State: v[0].Status.State, ReadAt: v[0].Status.ReadAt, Subscriptions: 1},
			{Vehicle: v[1].Vehicle, ReadAt: v[1].Status.ReadAt, NeedsOwner: true, Trouble: "the owner granted no access"},
		},
	}
}

// TestListAndShow holds what is printed of sources of both sorts.
func TestListAndShow(t *testing.T) {
	empty := adminapi.SourceView{Source: adminapi.Source{Name: "new", Configured: true}, SourceKind: adminapi.SourceKind{Type: "mqtt", Watchable: true},
		Inspection: &vehicle.Inspection{Server: "b:1883"}}
	gone := adminapi.SourceView{Source: adminapi.Source{Name: "old", Vehicles: 1, Activity: vehicle.Activity{LastFault: "it is not in the config", LastFaultAt: clitest.Noon}}}
	d := clitest.NewDaemon(t).On("GET", "/sources", terminal.Items([]adminapi.SourceView{broker(), empty, gone, polled()})).
		On("GET", "/sources/broker", broker()).On("GET", "/sources/smartcar", polled()).On("GET", "/sources/new", empty).On("GET", "/sources/old", gone)
	for _, line := range []string{"list", "show broker", "show smartcar", "show new", "show old"} {
		r := clitest.Session{App: commandLine, Socket: d.Socket}.Run(t, append([]string{"source"}, strings.Fields(line)...)...)
		if r.Code != terminal.ExitOK || strings.Contains(r.Out, "\x1b") {
			t.Errorf("%s: exit %d %s\n%q", line, r.Code, r.Err, r.Out)
		}
		clitest.Golden(t, "output/source_"+strings.ReplaceAll(line, " ", "_")+".txt", r.Out)
		r = clitest.Session{App: commandLine, Socket: d.Socket}.Run(t, append([]string{"source", "--json"}, strings.Fields(line)...)...)
		if !json.Valid([]byte(r.Out)) {
			t.Errorf("%s --json: %s%s", line, r.Out, r.Err)
		}
	}
}

// heardOf are events of a stream of messages.
func heardOf(t *testing.T, all ...vehicle.Heard) string {
	t.Helper()
	var b strings.Builder
	for i, h := range all {
		h.At = clitest.Noon.Add(time.Duration(i) * time.Second)
		line, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "event: heard\ndata: %s\n\n", line)
	}
	return b.String()
}

// TestWatch: a watch prints what each message became or why not, escaped, says what it missed, and
// goes on when the daemon was away.
func TestWatch(t *testing.T) {
	reading := clitest.Vehicles()[0].Status.Last
	stream := "retry: 1000\n\n" + heardOf(t,
		vehicle.Heard{Topic: "b/plug", Payload: "in", Bytes: 2, Replayed: true, Verdicts: []vehicle.Verdict{{Vehicle: "blue", Input: "plug", Became: "plugged_in"},
			{Vehicle: "red", Input: "plug", Became: "plugged_in"}}},
		vehicle.Heard{Vehicle: "blue", Reading: &reading},
		vehicle.Heard{Topic: "b/plug", Payload: "Frei", Bytes: 4, Verdicts: []vehicle.Verdict{
			{Vehicle: "blue", Input: "charging", Refused: `the word "Frei" is in no list: there are plugged [in]`, Remedy: `put "Frei" into the list that it belongs to`},
			{Vehicle: "blue", Input: "plug by the charging state", Refused: `the word "Frei" is in no list: there are plugged [in]`, Remedy: `put "Frei" into the list that it belongs to`}}},
		vehicle.Heard{Topic: "b/\x1b[31mdoc", Payload: "{\"a\": \"\x1b[2J\n\"}", Bytes: 14},
		vehicle.Heard{Topic: "b/long", Payload: strings.Repeat("ä", 128), Bytes: 70000, Verdicts: []vehicle.Verdict{{Vehicle: "blue", Input: "battery", Refused: "longer than 65536 bytes"}}},
		vehicle.Heard{Topic: "b/empty", Verdicts: []vehicle.Verdict{{Vehicle: "blue", Input: "battery", Nothing: "nothing is known"}}},
		vehicle.Heard{Vehicle: "blue", Reading: &vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{Fault: vehicle.NoResponse("the plug was last confirmed 25h ago"), FetchedAt: clitest.Noon}}},
	) + "event: missed\ndata: {\"missed\":7}\n\n"
	d := clitest.NewDaemon(t)
	var served atomic.Int32
	d.Mux.HandleFunc("GET /api/v1/sources/broker/messages", func(w http.ResponseWriter, _ *http.Request) {
		if served.Add(1) > 2 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", adminapi.EventStreamType)
		_, _ = w.Write([]byte(stream))
	})
	rests := 0
	rest := func() error {
		if rests++; rests > 2 {
			return errors.New("enough")
		}
		return nil
	}
	r := clitest.Session{App: commandLine, Socket: d.Socket, Rest: rest}.Run(t, "source", "watch", "broker")
	if r.Code != terminal.ExitOK || strings.Contains(r.Out+r.Err, "\x1b") || strings.Count(r.Err, "missed 7 messages") != 2 ||
		!strings.Contains(r.Err, "the watch was cut off; waiting for the daemon") || !strings.Contains(r.Err, "the daemon is back; what came meanwhile is not shown") {
		t.Errorf("exit %d %q\n%q", r.Code, r.Err, r.Out)
	}
	clitest.Golden(t, "output/source_watch.txt", r.Out)
	served.Store(0)
	rests = 2
	r = clitest.Session{App: commandLine, Socket: d.Socket, Rest: rest}.Run(t, "source", "watch", "broker", "--json")
	for line := range strings.Lines(r.Out) {
		var h vehicle.Heard
		if err := json.Unmarshal([]byte(line), &h); err != nil || h.At.IsZero() {
			t.Errorf("%q: %v", line, err)
		}
	}
	if n := strings.Count(r.Out, "\n"); n != 7 {
		t.Errorf("%d lines\n%s", n, r.Out)
	}
}

// withConfig writes a config with sources over recorded programs and returns its path.
func withConfig(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := `data_dir: data
sources:
  tesla: {type: mqtt, broker: "mqtt://127.0.0.1:1", vehicles: [{id: model3, make: TESLA, preset: teslamate, with: {car: 1}}]}
  zoe: {type: mqtt, broker: "mqtt://127.0.0.1:1", vehicles: [{id: zoe, preset: evcc, with: {vehicle: zoe}}]}
  kona: {type: mqtt, broker: "mqtt://127.0.0.1:1", vehicles: [{id: kona, preset: evcc, with: {vehicle: kona}}]}
  fleet: {type: mqtt, broker: "mqtt://127.0.0.1:1", vehicles: [{id: tesla, make: TESLA, preset: fleet-telemetry, with: {vin: 5YJ3E1EA0TEST0001}}]}
  wrong: {type: mqtt, broker: "mqtt://127.0.0.1:1", vehicles: [{id: box, plug: {topic: teslamate/cars/1/charging_state, plugged: [Charging, Complete], unplugged: [Unplugged]}, battery: {topic: teslamate/cars/1/location, at: /soc, unit: percent}}]}
  page: {type: http, url: "http://127.0.0.1:1", vehicles: [{id: ioniq, plug: {topic: /plug, at: /val}}]}
  evcc: {type: http, preset: evcc, url: "http://127.0.0.1:1", vehicles: [{id: zoe, with: {loadpoint: 1}}]}
  simulated: {type: simulator}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTry runs the presets over what real programs published, and a wrong map, without a daemon.
func TestTry(t *testing.T) {
	file := withConfig(t)
	const logs = "../../vehicle/mapping/testdata/"
	for name, args := range map[string][]string{
		"teslamate":       {"tesla", logs + "teslamate-day.log"},
		"evcc-0.306":      {"zoe", logs + "evcc-0.306.log"},
		"evcc-0.313":      {"zoe", logs + "evcc-0.313.log", "--changes"},
		"evcc-detection":  {"kona", logs + "evcc-0.313-detection.log", "--changes"},
		"fleet-telemetry": {"fleet", logs + "fleet-telemetry.log"},
		"a_wrong_map":     {"wrong", logs + "teslamate-day.log"},
	} {
		t.Run(name, func(t *testing.T) {
			r := clitest.Session{App: commandLine, Env: map[string]string{"PLUGBEAT_CONFIG": file}}.Run(t, append([]string{"source", "try"}, args...)...)
			if r.Code != terminal.ExitOK || r.Err != "" {
				t.Errorf("exit %d %s", r.Code, r.Err)
			}
			clitest.Golden(t, "output/source_try_"+name+".txt", r.Out)
		})
	}
	run := func(stdin string, args ...string) clitest.Result {
		return clitest.Session{App: commandLine, Stdin: stdin, Env: map[string]string{"PLUGBEAT_CONFIG": file}}.Run(t, append([]string{"source", "try"}, args...)...)
	}
	const at = "2026-11-30T06:00:00Z retain=0 qos=0 "
	if r := run(at+"/plug {\"val\": true}\n", "page", "-"); !strings.Contains(r.Out, "at the end ioniq: plugged in, as of 06:00:00Z") {
		t.Errorf("of a document: %s%s", r.Out, r.Err)
	}
	if r := run(at+`/api/state {"result": [{"connected": true, "charging": false, "vehicleSoc": 41}]}`+"\n", "evcc", "-"); !strings.Contains(r.Out, "at the end zoe: not charging, plugged in, as of 06:00:00Z; 41 %") {
		t.Errorf("of evcc's document: %s%s", r.Out, r.Err)
	}
	if r := run("", "tesla", "-", "--json"); r.Code != terminal.ExitOK || strings.TrimSpace(r.Out) != "{\n  \"heard\": []\n}" {
		t.Errorf("of nothing: %s%s", r.Out, r.Err)
	}
	for want, args := range map[string][]string{
		`the config has no source "none"`:                     {"none", "-"},
		"source simulated is of type simulator, which has no": {"simulated", "-"},
		"no such file":                               {"tesla", "missing.log"},
		`-: line 1: "garbage" is no time; want`:      {"tesla", "-"},
		"source try needs NAME FILE":                 {"tesla"},
		"the document of 2026-11-30T06:00:00Z: the ": {"evcc", "-"},
	} {
		stdin := "garbage\n"
		if args[0] == "evcc" {
			stdin = at + "/api/state garbage\n"
		}
		if r := run(stdin, args...); r.Code == terminal.ExitOK || !strings.Contains(r.Err, want) {
			t.Errorf("%q: exit %d %s, want %q", args, r.Code, r.Err, want)
		}
	}
}

// TestDiscover: the daemon is asked, else the config's source from here, else a broker of no
// config.
func TestDiscover(t *testing.T) {
	found := vehicle.Discovery{Server: "b:1883", Messages: 14, Offers: []vehicle.Offer{
		{Preset: "teslamate", With: map[string]string{"car": "1"}, ID: "blue", Name: "Blue\x1b[31m", Make: "TESLA", Tells: []string{"plug", "battery"}},
		{Preset: "evcc", With: map[string]string{"vehicle": "zoe"}, ID: "zoe", Tells: []string{"plug"}, Mapped: "mine"},
	}, Section: "sources:\n  broker:\n    type: mqtt\n"}
	d := clitest.NewDaemon(t).On("POST", "/sources/broker/discover", found).On("POST", "/sources/quiet/discover", vehicle.Discovery{Server: "b:1883"}).
		Fail("POST", "/sources/away/discover", http.StatusBadGateway, clitest.Refusal(adminapi.CodeSource, "the broker b cannot be reached: connection refused: check that it runs", ""))
	all := found
	all.Section, all.Offers = "", all.Offers[1:]
	d.On("POST", "/sources/mapped/discover", all)
	for _, name := range []string{"broker", "quiet", "mapped"} {
		r := clitest.Session{App: commandLine, Socket: d.Socket}.Run(t, "source", "discover", name, "--for", "2s")
		if r.Code != terminal.ExitOK || strings.Contains(r.Out, "\x1b") {
			t.Errorf("exit %d %s", r.Code, r.Err)
		}
		clitest.Golden(t, "output/source_discover_"+name+".txt", r.Out)
		d.WasAsked(t, "POST /api/v1/sources/"+name+"/discover?listen=2s ")
	}
	if r := (clitest.Session{App: commandLine, Socket: d.Socket}).Run(t, "source", "discover", "away"); r.Code != terminal.ExitFailure || !strings.Contains(r.Err, "cannot be reached") {
		t.Errorf("exit %d %s", r.Code, r.Err)
	}
	file := withConfig(t)
	for want, args := range map[string][]string{
		"the broker 127.0.0.1:1 cannot be reached":                     {"tesla", "--config", file},
		`the config has no source "none"`:                              {"none", "--config", file},
		"source simulated cannot be asked what it offers":              {"simulated", "--config", file},
		"the broker 127.0.0.1:2 cannot be reached":                     {"--broker", "mqtt://127.0.0.1:2"},
		`sources.broker.broker "http://b": it is no address of a`:      {"--broker", "http://b"},
		"discover needs NAME, a source of the config, or --broker URL": {},
		"--for 2m0s: want a duration of at most 1m0s":                  {"tesla", "--for", "2m"},
		"no plugbeat daemon answers":                                   {"tesla", "--socket", d.Socket + "no"},
	} {
		if r := (clitest.Session{App: commandLine, Socket: d.Socket + "no"}).Run(t, append([]string{"source", "discover"}, args...)...); r.Code == terminal.ExitOK || !strings.Contains(r.Err, want) {
			t.Errorf("%q: exit %d %s, want %q", args, r.Code, r.Err, want)
		}
	}
}

// TestAdd: what was found goes into the config, with the rest of it as it was, or nothing is
// changed.
func TestAdd(t *testing.T) {
	const before = "sources:\n  broker:\n    type: mqtt\n    broker: mqtt://b # mine\n    vehicles: []\n"
	blue := vehicle.Offer{Preset: "teslamate", With: map[string]string{"car": "1"}, Map: "{id: blue, preset: teslamate, with: {car: 1}}"}
	d := clitest.NewDaemon(t).On("POST", "/sources/broker/discover", vehicle.Discovery{Offers: []vehicle.Offer{blue}})
	file := filepath.Join(t.TempDir(), "config.yaml")
	put := func(text string) {
		if err := os.WriteFile(file, []byte("socket: "+d.Socket+"\n"+text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	there := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(string(b), "socket: "+d.Socket+"\n")
	}
	add := func(args ...string) clitest.Result {
		return clitest.Session{App: commandLine, Socket: d.Socket}.Run(t, append([]string{"source", "discover", "--add", "--config", file}, args...)...)
	}
	put(before)
	r := add("broker")
	after := there()
	want := strings.Replace(before, " []\n", "\n      - "+blue.Map+"\n", 1)
	if r.Code != terminal.ExitOK || after != want || !strings.Contains(r.Out, "added 1 vehicle to "+file) {
		t.Errorf("exit %d %s%s:\n%s", r.Code, r.Out, r.Err, after)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if r := add("broker"); r.Code != terminal.ExitOK || !strings.Contains(r.Out, "nothing was added") || there() != after {
		t.Errorf("a second time: exit %d %s%s:\n%s", r.Code, r.Out, r.Err, there())
	}
	for want, text := range map[string]string{
		"put it below the vehicles of sources.broker yourself:\n  - " + blue.Map: "sources: {broker: {type: mqtt, broker: mqtt://b}}\n",
		"vehicles[1].id": strings.Replace(after, "car: 1", "car: 2", 1),
	} {
		put(text)
		r := add("broker")
		if now := there(); r.Code == terminal.ExitOK || !strings.Contains(r.Err, want) || now != text {
			t.Errorf("exit %d %s, want %q; the config is now\n%s", r.Code, r.Err, want, now)
		}
	}
	if r := add("--broker", "mqtt://b"); r.Code != terminal.ExitUsage || !strings.Contains(r.Err, "--add goes with NAME") {
		t.Errorf("exit %d %s", r.Code, r.Err)
	}
}
