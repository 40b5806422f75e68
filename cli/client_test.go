package cli

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"plugbeat/adminapi"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// ownJSON names the results whose JSON is the command line's own, since no single
// answer of the daemon is it; joinedJSON those that put two answers together, by
// the keys they have.
var (
	ownJSON    = map[string]bool{"unsubscribe": true, "token_rm": true, "check": true}
	joinedJSON = map[string][]string{"webhook_show": {"subscriptions", "webhook"}, "webhook_add_private": {"signing_key", "webhook"}}
)

// TestOutput holds what each command prints, for a person and as JSON, in golden
// files, and what it asks of the daemon.
func TestOutput(t *testing.T) {
	v, other := clitest.VehicleID.String(), clitest.OtherID.String()
	for _, tc := range []struct {
		name, typed, stdin string
		asked              []string
	}{
		{"status", "status", "", []string{"GET /api/v1/status "}},
		{"webhook_list", "webhook list", "", []string{"GET /api/v1/webhooks "}},
		{"webhook_show", "webhook show fleet", "", []string{"GET /api/v1/webhooks/fleet ", "GET /api/v1/subscriptions?limit=500&webhook=" + clitest.HookID.String() + " "}},
		{"webhook_add", "webhook add --name fleet --callback https://203.0.113.5/hook --plugged-in 15m --signing both", "",
			[]string{`POST /api/v1/webhooks {"name":"fleet","type":"dynamic","callback_uri":"https://203.0.113.5/hook","cadence":{"plugged_in":"15m"},"signing":"both"}`}},
		{"webhook_add_private", "webhook add --name fleet --callback http://127.0.0.1:8000/hook --allow-private --verify --id " + clitest.HookID.String(), "",
			[]string{`POST /api/v1/webhooks {"id":"` + clitest.HookID.String() + `","name":"fleet","type":"dynamic","callback_uri":"http://127.0.0.1:8000/hook","allow_private":true}`, "POST /api/v1/webhooks/" + clitest.HookID.String() + "/verify "}},
		{"webhook_change", "webhook change fleet --unplugged 2h --fastest", "",
			[]string{"GET /api/v1/webhooks/fleet ", `PATCH /api/v1/webhooks/fleet {"cadence":{"unplugged":"2h","plugged_in":"15m","fastest":true}} if "e1"`}},
		{"webhook_verify", "webhook verify fleet", "", []string{"POST /api/v1/webhooks/fleet/verify "}},
		{"webhook_change_recover", "webhook change fleet --recover latest", "", []string{`PATCH /api/v1/webhooks/fleet {"recover":"latest"}`}},
		{"webhook_test", "webhook test fleet", "", []string{"POST /api/v1/webhooks/fleet/test "}},
		{"webhook_rotate_key", "webhook rotate-key fleet --overlap 48h", "", []string{`POST /api/v1/webhooks/fleet/key {"step":"rotate","overlap":"48h"}`}},
		{"webhook_rotate_key_try", "webhook rotate-key fleet --try", "", []string{`POST /api/v1/webhooks/fleet/key {"step":"try"}`}},
		{"webhook_rotate_key_finish", "webhook rotate-key fleet --finish --force", "", []string{`POST /api/v1/webhooks/fleet/key {"step":"finish","force":true}`}},
		{"webhook_rotate_key_cancel", "webhook rotate-key fleet --cancel", "", []string{`POST /api/v1/webhooks/fleet/key {"step":"cancel"}`}},
		{"webhook_enable", "webhook enable fleet --force", "", []string{"POST /api/v1/webhooks/fleet/enable?force=true "}},
		{"webhook_recover", "webhook recover fleet latest --yes", "", []string{"GET /api/v1/webhooks/fleet ", "POST /api/v1/webhooks/" + clitest.HookID.String() + `/recover {"recover":"latest"}`}},
		{"webhook_disable", "webhook disable fleet", "", []string{"POST /api/v1/webhooks/fleet/disable "}},
		{"webhook_rm", "webhook rm fleet --yes", "", []string{"GET /api/v1/webhooks/fleet ", "DELETE /api/v1/webhooks/" + clitest.HookID.String() + `  if "e1"`}},
		{"vehicle_list", "vehicle list", "", []string{"GET /api/v1/vehicles?limit=500 "}},
		{"vehicle_show", "vehicle show " + v, "", []string{"GET /api/v1/vehicles/" + v + " "}},
		{"vehicle_show_restricted", "vehicle show " + other, "", []string{"GET /api/v1/vehicles/" + other + " "}},
		{"vehicle_read", "vehicle read --paths charge,/battery " + v, "", []string{"POST /api/v1/vehicles/" + v + "/read?paths=charge%2Cbattery "}},
		{"vehicle_connect", "vehicle connect --source smartcar --refresh-token-stdin", "secret-token\n", []string{`POST /api/v1/vehicles/connect {"source":"smartcar","refresh_token":"secret-token"}`}},
		{"vehicle_history", "vehicle history --since 2026-02-28 --resolution 1h " + v, "",
			[]string{"GET /api/v1/vehicles/" + v + "/history?limit=500&resolution=1h0m0s&since=2026-02-28T00%3A00%3A00Z "}},
		{"vehicle_rename", "vehicle rename " + v + " red", "", []string{"PATCH /api/v1/vehicles/" + v + ` {"name":"red"}`}},
		{"vehicle_disconnect", "vehicle disconnect -y " + v, "", []string{"GET /api/v1/vehicles/" + v + " ", "DELETE /api/v1/vehicles/" + v + " "}},
		{"subscribe", "subscribe fleet --all --spread 1h", "", []string{`POST /api/v1/subscriptions {"webhook":"fleet","all":true,"spread":"1h"}`}},
		{"subscribe_one", "subscribe fleet " + v, "", []string{`POST /api/v1/subscriptions {"webhook":"fleet","vehicles":["` + v + `"]}`}},
		{"unsubscribe", "unsubscribe fleet " + v + " " + other, "", []string{"DELETE /api/v1/subscriptions/fleet/" + v + " ", "DELETE /api/v1/subscriptions/fleet/" + other + " "}},
		{"delivery_list", "delivery list", "", []string{"GET /api/v1/deliveries?limit=20 ", "GET /api/v1/webhooks?limit=500 "}},
		{"delivery_list_filtered", "delivery list --json --webhook fleet --state waiting --since 2h --until 2026-03-01 --limit 3 --vehicle " + v, "",
			[]string{"GET /api/v1/deliveries?limit=3&since=2026-03-01T10%3A00%3A00Z&state=waiting&until=2026-03-01T00%3A00%3A00Z&vehicle=" + v + "&webhook=fleet "}},
		{"delivery_show", "delivery show " + clitest.WaitID.String(), "", []string{"GET /api/v1/deliveries/" + clitest.WaitID.String() + " "}},
		{"delivery_resend", "delivery resend " + clitest.SentID.String(), "", []string{"POST /api/v1/deliveries/" + clitest.SentID.String() + "/resend "}},
		{"delivery_resend_dry", "delivery resend --webhook fleet --since 6h --dry-run", "", []string{`POST /api/v1/deliveries/resend {"webhook":"fleet","since":"2026-03-01T06:00:00Z","dry_run":true}`}},
		{"delivery_resend_all", "delivery resend --webhook fleet --state dead --until 1h --vehicle " + v + " --yes", "",
			[]string{`POST /api/v1/deliveries/resend {"webhook":"fleet","vehicle":"` + v + `","state":"dead","until":"2026-03-01T11:00:00Z","dry_run":true}`,
				`POST /api/v1/deliveries/resend {"webhook":"fleet","vehicle":"` + v + `","state":"dead","until":"2026-03-01T11:00:00Z"}`}},
		{"token_add", "token add backend --access", "", []string{`POST /api/v1/tokens {"name":"backend"}`}},
		{"token_add_vehicle", "token add backend --access --vehicle " + v + " --vehicle " + other, "", []string{`POST /api/v1/tokens {"name":"backend","vehicles":["` + v + `","` + other + `"]}`}},
		{"token_add_intake", "token add shed --intake --source scripts", "", []string{`POST /api/v1/tokens {"name":"shed","intake":"scripts"}`}},
		{"token_add_operator", "token add grafana --scope read", "", []string{`POST /api/v1/tokens {"name":"grafana","scope":"read"}`}},
		{"token_list", "token list", "", []string{"GET /api/v1/tokens?limit=500 "}},
		{"token_rm", "token rm backend --yes", "", []string{"DELETE /api/v1/tokens/backend "}},
		{"check", "check", "", []string{"POST /api/v1/check "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := clitest.Full(t)
			x := clitest.Session{App: App, Socket: d.Socket, Stdin: tc.stdin}
			r := x.Run(t, strings.Fields(tc.typed)...)
			if r.Code != terminal.ExitOK || r.Err != "" {
				t.Errorf("exit %d, stderr %q", r.Code, r.Err)
			}
			d.WasAsked(t, tc.asked...)
			clitest.Golden(t, "output/"+tc.name+".txt", strings.ReplaceAll(r.Out, d.Socket, "SOCKET"))
			r = x.Run(t, append(strings.Fields(tc.typed), "--json")...)
			var got, want any
			if err := json.Unmarshal([]byte(r.Out), &got); err != nil || r.Code != terminal.ExitOK {
				t.Fatalf("--json: exit %d, %v\n%s%s", r.Code, err, r.Out, r.Err)
			}
			if ownJSON[tc.name] {
				clitest.Golden(t, "output/"+tc.name+".json", strings.ReplaceAll(r.Out, d.Socket, "SOCKET"))
				return
			}
			if keys := joinedJSON[tc.name]; keys != nil {
				if m, _ := got.(map[string]any); !slices.Equal(slices.Sorted(maps.Keys(m)), keys) {
					t.Errorf("--json has not the keys %q:\n%s", keys, r.Out)
				}
				return
			}
			// What --json prints is what the API answered.
			if err := json.Unmarshal(d.Answered(), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("--json is not the daemon's answer (-answer +printed):\n%s", diff)
			}
		})
	}
}

// TestEmpty: a daemon that has nothing yet says what to do first.
func TestEmpty(t *testing.T) {
	d := clitest.NewDaemon(t)
	d.On("GET", "/webhooks", terminal.Items([]webhook.Webhook{})).On("GET", "/vehicles", terminal.Items([]adminapi.VehicleView{})).On("GET", "/deliveries", terminal.Items([]webhook.Delivery{})).
		On("GET", "/tokens", terminal.Items([]adminapi.TokenView{})).On("GET", "/status", adminapi.Status{Ready: true, Now: clitest.Noon, StartedAt: clitest.Noon}).
		On("POST", "/subscriptions", adminapi.Subscribed{})
	for typed, want := range map[string]string{
		"webhook list":                      "no webhooks yet; add one: plugbeat webhook add\n",
		"vehicle list":                      "no vehicles yet; connect an account: plugbeat vehicle connect --source NAME\n",
		"delivery list":                     "no deliveries yet\n",
		"delivery list --state dead":        "no deliveries that match\n",
		"token list":                        "no tokens yet; make one: plugbeat token add NAME --access, for an operator --scope read|operate, for a device --intake\n",
		"subscribe fleet --all":             "there are no vehicles to subscribe; see: plugbeat vehicle list\n",
		"webhook list --json":               "{\n  \"items\": [],\n  \"next\": \"\"\n}\n",
		"delivery list --state dead --json": "{\n  \"items\": [],\n  \"next\": \"\"\n}\n",
	} {
		if r := (clitest.Session{App: App, Socket: d.Socket}).Run(t, strings.Fields(typed)...); r.Code != terminal.ExitOK || r.Out != want {
			t.Errorf("%s: exit %d\n%s%s", typed, r.Code, r.Out, r.Err)
		}
	}
	r := clitest.Session{App: App, Socket: d.Socket}.Run(t, "status")
	for _, want := range []string{"all is well\n", "no webhooks yet", "no sources"} {
		if !strings.Contains(r.Out, want) {
			t.Errorf("status lacks %q:\n%s", want, r.Out)
		}
	}
}

// TestPages: lists are walked to their end, and delivery list stops at its limit.
func TestPages(t *testing.T) {
	d := clitest.NewDaemon(t)
	d.Mux.HandleFunc("GET /api/v1/vehicles", func(w http.ResponseWriter, r *http.Request) {
		p := adminapi.Page[adminapi.VehicleView]{Items: clitest.Vehicles()[:1], Next: "two"}
		if r.URL.Query().Get("after") == "two" {
			p = adminapi.Page[adminapi.VehicleView]{Items: clitest.Vehicles()[1:]}
		}
		_ = json.NewEncoder(w).Encode(p)
	})
	d.On("GET", "/deliveries", adminapi.Page[webhook.Delivery]{Items: clitest.Deliveries()[:1], Next: "more"})
	d.On("GET", "/webhooks", terminal.Items([]webhook.Webhook{}))
	x := clitest.Session{App: App, Socket: d.Socket}
	if r := x.Run(t, "vehicle", "list"); !strings.Contains(r.Out, clitest.VehicleID.String()) || !strings.Contains(r.Out, clitest.OtherID.String()) {
		t.Errorf("vehicle list:\n%s%s", r.Out, r.Err)
	}
	d.Asked()
	r := x.Run(t, "delivery", "list", "--limit", "1")
	if !strings.Contains(r.Out, "older: --before more, or --limit 5") || !strings.Contains(r.Out, clitest.HookID.String()) {
		t.Errorf("delivery list:\n%s%s", r.Out, r.Err)
	}
	d.WasAsked(t, "GET /api/v1/deliveries?limit=1 ", "GET /api/v1/webhooks?limit=500 ")
}

// vehicle read ends with 0 when any value was read, and with 1 when none was, after it printed
// what there is.
func TestReadTellsWhetherAnythingWasRead(t *testing.T) {
	held := clitest.Vehicles()[0].Status.Last
	held.Held = &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Description: "slow down", RetryAfter: time.Hour}
	partly := clitest.Vehicles()[0].Status.Last
	partly.Charge = clitest.Vehicles()[1].Status.Last.Charge
	for name, of := range map[string]struct {
		snap vehicle.Snapshot
		code int
		says string
	}{
		"all": {clitest.Vehicles()[0].Status.Last, 0, "62 %"}, "partly": {partly, 0, "PERMISSION"},
		"none": {clitest.Vehicles()[1].Status.Last, 1, "PERMISSION"}, "not asked": {held, 1, "not asked now"},
	} {
		d := clitest.NewDaemon(t).On("POST", "/vehicles/zoe/read", of.snap)
		r := clitest.Session{App: App, Socket: d.Socket}.Run(t, "vehicle", "read", "zoe")
		if r.Code != of.code || !strings.Contains(r.Out, of.says) || r.Err != "" {
			t.Errorf("%s: exit %d\n%s%s", name, r.Code, r.Out, r.Err)
		}
	}
}

// The CSV of a history is for spreadsheets; it and JSON exclude each other.
func TestHistoryAsCSV(t *testing.T) {
	x := clitest.Session{App: App, Socket: clitest.Full(t).Socket}
	clitest.Golden(t, "output/vehicle_history_csv.txt", x.Run(t, "vehicle", "history", clitest.VehicleID.String(), "--csv").Out)
	if r := x.Run(t, "vehicle", "history", "x", "--csv", "--json"); r.Code != terminal.ExitUsage || !strings.Contains(r.Err, "do not go together") {
		t.Errorf("exit %d %s", r.Code, r.Err)
	}
}
