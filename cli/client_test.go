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
	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// full is a daemon with two webhooks, two cars and some history.
func full(t *testing.T) *daemon {
	d := newDaemon(t)
	hooks := []adminapi.WebhookView{view(healthyHook()), view(failingHook())}
	d.on("GET", "/webhooks", items(hooks))
	d.on("GET", "/webhooks/fleet", hooks[0])
	d.on("GET", "/webhooks/"+hookID.String(), hooks[0])
	d.on("GET", "/subscriptions", items(subscriptions()))
	d.on("GET", "/cost", adminapi.Costs{Lines: []string{"source cars: three paths every 1h are 2 190 calls a month for each vehicle"}})
	d.on("GET", "/vehicles", items(cars()))
	one := cars()[0]
	one.Subscriptions = subscriptions()[:1]
	d.on("GET", "/vehicles/"+carID.String(), one)
	d.on("GET", "/vehicles/"+otherID.String(), cars()[1])
	d.on("POST", "/vehicles/"+carID.String()+"/read", cars()[0].Status.Last)
	d.on("POST", "/vehicles/connect", adminapi.Connected{Vehicles: []vehicle.Vehicle{cars()[0].Vehicle, cars()[1].Vehicle}})
	d.on("DELETE", "/vehicles/"+carID.String(), adminapi.Cancelled{Cancelled: 1})
	d.on("POST", "/subscriptions", adminapi.Subscribed{Subscribed: 1, Already: 1, Items: []adminapi.SubscribedItem{}, Warnings: []string{"KIA stands 30m"}, Costs: []string{"source cars: three paths every 1h are 2 190 calls a month for each vehicle"}})
	d.on("DELETE", "/subscriptions/fleet/"+carID.String(), adminapi.Unsubscribed{Removed: true})
	d.on("DELETE", "/subscriptions/fleet/"+otherID.String(), adminapi.Unsubscribed{})
	d.on("GET", "/deliveries", items(deliveries()))
	fleet := view(healthyHook())
	d.on("GET", "/deliveries/"+waitID.String(), adminapi.DeliveryView{
		Webhook: &fleet, Vehicle: &cars()[0].Vehicle,
		Delivery: deliveries()[0], Payload: json.RawMessage(`{"version":"2.0","payload":{"vehicles":[{"vehicleId":"x"}]}}`),
		Attempts: []adminapi.AttemptView{
			{Attempt: webhook.Attempt{N: 1, StartedAt: ago(6 * time.Minute), Duration: 15 * time.Second, Outcome: webhook.OutcomeUnavailable, Error: "no answer within 15s", Cause: "is the receiver slow?"}},
			{Attempt: webhook.Attempt{N: 2, StartedAt: ago(5 * time.Minute), Duration: 87 * time.Millisecond, Outcome: webhook.OutcomeFailed, Status: 500, Address: "192.0.2.7:443",
				ContentType: "text/plain", RetryAfter: 2 * time.Minute, Body: []byte("boom\n\x1b[31mred")}, BodyText: "boom\n\x1b[31mred"},
		},
	})
	again := deliveries()[0]
	again.ResendOf, again.Attempts, again.RetryAt, again.LastAnswer = &sentID, 0, time.Time{}, ""
	d.on("POST", "/deliveries/"+sentID.String()+"/resend", adminapi.DeliveryView{Webhook: &fleet, Delivery: again, Attempts: []adminapi.AttemptView{}})
	d.on("POST", "/webhooks", adminapi.WebhookAdded{Webhook: unverifiedHook(), SigningKey: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	d.on("POST", "/webhooks/fleet/verify", adminapi.Verified{Webhook: healthyHook(), Challenge: adminapi.Challenge{Status: 200, Duration: 41 * time.Millisecond, Text: "200, the right answer"}})
	d.on("POST", "/webhooks/"+hookID.String()+"/verify", adminapi.Verified{Webhook: healthyHook(), Challenge: adminapi.Challenge{Status: 200, Duration: 41 * time.Millisecond, Text: "200, the right answer"}})
	d.on("POST", "/webhooks/fleet/test", webhook.Attempt{N: 1, StartedAt: noon, Duration: 52 * time.Millisecond, Outcome: webhook.OutcomeDelivered, Status: 204, Address: "192.0.2.7:443"})
	d.on("POST", "/webhooks/fleet/enable", healthyHook())
	d.on("POST", "/webhooks/fleet/key", func(body []byte) any {
		two := healthyHook()
		two.KeyOverlap = &webhook.KeyOverlap{Since: noon, Until: in(48 * time.Hour)}
		switch text := string(body); {
		case strings.Contains(text, "rotate"):
			return adminapi.KeyChanged{Webhook: two, SigningKey: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
		case strings.Contains(text, "try"):
			return adminapi.KeyChanged{Webhook: two, Attempt: &webhook.Attempt{N: 1, StartedAt: noon, Duration: 52 * time.Millisecond, Outcome: webhook.OutcomeDelivered, Status: 204}}
		}
		return adminapi.KeyChanged{Webhook: healthyHook()}
	})
	recovering := healthyHook()
	recovering.Recovery = &webhook.Recovery{Policy: "latest", StartedAt: noon}
	d.on("POST", "/webhooks/"+hookID.String()+"/recover", recovering)
	plan := webhook.ResendPlan{Match: 412, States: map[webhook.State]int{webhook.Dead: 12, webhook.Delivered: 400}, Erased: 3, Resent: 20, Vehicles: 7, Bytes: 500000}
	d.mux.HandleFunc("POST /api/v1/deliveries/resend", func(w http.ResponseWriter, r *http.Request) {
		var asked adminapi.ResendRequest
		_ = json.NewDecoder(r.Body).Decode(&asked)
		answer := adminapi.Resent{Plan: plan}
		if !asked.DryRun {
			answer.Made = plan.Sent()
		}
		b, _ := json.Marshal(answer)
		d.mu.Lock()
		d.last = b
		d.mu.Unlock()
		_, _ = w.Write(b)
	})
	disabled := healthyHook()
	disabled.Status, disabled.Reason = webhook.Disabled, webhook.ByOperator
	d.on("POST", "/webhooks/fleet/disable", disabled)
	d.on("PATCH", "/webhooks/fleet", adminapi.WebhookChanged{Webhook: healthyHook(), Derived: view(healthyHook()).Derived, Warnings: []string{"faster than KIA stands"}})
	d.on("DELETE", "/webhooks/"+hookID.String(), adminapi.Cancelled{Cancelled: 2})
	d.on("GET", "/tokens", items([]adminapi.TokenView{
		{Name: "backend", Kind: adminapi.AccessToken, CreatedAt: ago(3 * time.Hour), LastUsedAt: ago(time.Hour)}, {Name: "grafana", Kind: adminapi.OperatorToken, Scope: access.ScopeRead, CreatedAt: ago(time.Hour)},
		{Name: "one", Kind: adminapi.AccessToken, Vehicles: []uuid.UUID{carID}, CreatedAt: ago(time.Minute)},
	}))
	d.on("POST", "/tokens", func(body []byte) any {
		if strings.Contains(string(body), `"scope"`) {
			return adminapi.TokenAdded{Name: "grafana", Kind: adminapi.OperatorToken, Scope: access.ScopeRead, Token: "plugbeat_operator_0123456789"}
		}
		return adminapi.TokenAdded{Name: "backend", Kind: adminapi.AccessToken, Token: "plugbeat_0123456789"}
	})
	d.on("DELETE", "/tokens/backend", nil)
	d.on("POST", "/check", adminapi.Checked{Problems: []adminapi.Problem{}, Bytes: 3 << 20, Duration: 120 * time.Millisecond})
	d.on("GET", "/status", status())
	d.on("GET", "/version", adminapi.Version{Version: "1.2.3"})
	return d
}

func unverifiedHook() webhook.Webhook {
	w := healthyHook()
	w.Status, w.VerifiedAt, w.Ledger = webhook.Unverified, time.Time{}, webhook.Ledger{}
	return w
}

func status() adminapi.Status {
	return adminapi.Status{
		Version: adminapi.Version{Version: "1.2.3", Go: "go1.26"}, Now: noon, StartedAt: ago(50 * time.Hour), Ready: true,
		Conditions: []health.Condition{{Code: health.WebhookOpened, Severity: health.Warning, Subject: health.Subject{Kind: health.Webhook, ID: deadID.String(), Name: "old app"}, Since: ago(22 * time.Minute),
			Text: "webhook old app is failing, and its circuit breaker is open: connection refused; 7 waiting; next probe in 4m", Remedy: "mend the receiver, then send at once", Command: "plugbeat webhook enable 'old app'"},
			{Code: health.SourceDown, Severity: health.Info, Subject: health.Subject{Kind: health.Source, ID: "smartcar", Name: "smartcar"}, Since: ago(time.Minute),
				Text: "source smartcar gave no value: RATE_LIMIT:VEHICLE: slow down (1m ago); it is not asked again for 10m", Remedy: "see which vehicles it concerns", Command: "plugbeat vehicle list"}},
		Store: adminapi.StoreInfo{Path: "/var/lib/plugbeat/plugbeat.db", FileBytes: 5 << 20, LiveBytes: 3 << 20, MaxBytes: 1 << 30, Waiting: 8, State: webhook.DiskOK, DiskFreeBytes: 12 << 30, DiskTotalBytes: 40 << 30},
		Sources: []adminapi.Source{
			{Name: "simulator", Configured: true, Vehicles: 2, Reads: 124, PathReads: 372, Faults: 1, LastOK: ago(4 * time.Minute), Due: in(29 * time.Minute)},
			{Name: "smartcar", Configured: true, Vehicles: 1, InFlight: 1, Reads: 9, PathReads: 27, Faults: 9, NotBefore: in(10 * time.Minute), LastFault: "RATE_LIMIT:VEHICLE: slow down", LastFaultAt: ago(time.Minute),
				Cost: &adminapi.Cost{Metered: true, Budget: 500, Per: "month", Spent: 27, Until: in(240 * time.Hour), BucketLeft: 93, BucketSize: 120, BucketHour: 120,
					Lines: []string{"webhook fleet: three paths every 1h are 2 190 calls a month for each vehicle, 4 380 while plugged in (every 30m); points are skipped to keep to the budget of 500 calls a month, three paths every 4.4 h; /charge alone every 1h is 730"}}},
		},
		Webhooks: []adminapi.WebhookStatus{
			{Webhook: healthyHook(), Derived: view(healthyHook()).Derived, Queue: adminapi.Queue{Waiting: 1, Oldest: ago(time.Minute)}},
			{Webhook: failingHook(), Derived: view(failingHook()).Derived, Queue: adminapi.Queue{InFlight: 1, Waiting: 7, Oldest: ago(22 * time.Minute)}},
		},
		Vehicles: adminapi.VehicleSummary{Total: 12, PluggedIn: 7, Unplugged: 4, Unknown: 1, Restricted: 1}, Subscriptions: 2, NextReading: in(29 * time.Minute),
		FirstVehicles: []adminapi.VehicleGlance{
			{Vehicle: cars()[1].Vehicle, ReadAt: ago(31 * time.Minute), NeedsOwner: true, Trouble: "PERMISSION: the owner granted no access"},
			{Vehicle: cars()[0].Vehicle, State: vehicle.StatePluggedIn, Since: ago(40 * time.Minute), ReadAt: ago(4 * time.Minute), Subscriptions: 1, NextDue: in(11 * time.Minute)},
		},
	}
}

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
	car, other := carID.String(), otherID.String()
	for _, tc := range []struct {
		name, typed, stdin string
		asked              []string
	}{
		{"status", "status", "", []string{"GET /api/v1/status "}},
		{"webhook_list", "webhook list", "", []string{"GET /api/v1/webhooks "}},
		{"webhook_show", "webhook show fleet", "", []string{"GET /api/v1/webhooks/fleet ", "GET /api/v1/subscriptions?limit=500&webhook=" + hookID.String() + " "}},
		{"webhook_add", "webhook add --name fleet --callback https://203.0.113.5/hook --plugged-in 15m --signing both", "",
			[]string{`POST /api/v1/webhooks {"name":"fleet","type":"dynamic","callback_uri":"https://203.0.113.5/hook","cadence":{"plugged_in":"15m"},"signing":"both"}`}},
		{"webhook_add_private", "webhook add --name fleet --callback http://127.0.0.1:8000/hook --allow-private --verify --id " + hookID.String(), "",
			[]string{`POST /api/v1/webhooks {"id":"` + hookID.String() + `","name":"fleet","type":"dynamic","callback_uri":"http://127.0.0.1:8000/hook","allow_private":true}`, "POST /api/v1/webhooks/" + hookID.String() + "/verify "}},
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
		{"webhook_recover", "webhook recover fleet latest --yes", "", []string{"GET /api/v1/webhooks/fleet ", "POST /api/v1/webhooks/" + hookID.String() + `/recover {"recover":"latest"}`}},
		{"webhook_disable", "webhook disable fleet", "", []string{"POST /api/v1/webhooks/fleet/disable "}},
		{"webhook_rm", "webhook rm fleet --yes", "", []string{"GET /api/v1/webhooks/fleet ", "DELETE /api/v1/webhooks/" + hookID.String() + `  if "e1"`}},
		{"vehicle_list", "vehicle list", "", []string{"GET /api/v1/vehicles?limit=500 "}},
		{"vehicle_show", "vehicle show " + car, "", []string{"GET /api/v1/vehicles/" + car + " "}},
		{"vehicle_show_restricted", "vehicle show " + other, "", []string{"GET /api/v1/vehicles/" + other + " "}},
		{"vehicle_read", "vehicle read --paths charge,/battery " + car, "", []string{"POST /api/v1/vehicles/" + car + "/read?paths=charge%2Cbattery "}},
		{"vehicle_connect", "vehicle connect --source smartcar --refresh-token-stdin", "secret-token\n", []string{`POST /api/v1/vehicles/connect {"source":"smartcar","refresh_token":"secret-token"}`}},
		{"vehicle_disconnect", "vehicle disconnect -y " + car, "", []string{"GET /api/v1/vehicles/" + car + " ", "DELETE /api/v1/vehicles/" + car + " "}},
		{"subscribe", "subscribe fleet --all --spread 1h", "", []string{`POST /api/v1/subscriptions {"webhook":"fleet","all":true,"spread":"1h"}`}},
		{"subscribe_one", "subscribe fleet " + car, "", []string{`POST /api/v1/subscriptions {"webhook":"fleet","vehicles":["` + car + `"]}`}},
		{"unsubscribe", "unsubscribe fleet " + car + " " + other, "", []string{"DELETE /api/v1/subscriptions/fleet/" + car + " ", "DELETE /api/v1/subscriptions/fleet/" + other + " "}},
		{"delivery_list", "delivery list", "", []string{"GET /api/v1/deliveries?limit=20 ", "GET /api/v1/webhooks?limit=500 "}},
		{"delivery_list_filtered", "delivery list --json --webhook fleet --state waiting --since 2h --until 2026-03-01 --limit 3 --vehicle " + car, "",
			[]string{"GET /api/v1/deliveries?limit=3&since=2026-03-01T10%3A00%3A00Z&state=waiting&until=2026-03-01T00%3A00%3A00Z&vehicle=" + car + "&webhook=fleet "}},
		{"delivery_show", "delivery show " + waitID.String(), "", []string{"GET /api/v1/deliveries/" + waitID.String() + " "}},
		{"delivery_resend", "delivery resend " + sentID.String(), "", []string{"POST /api/v1/deliveries/" + sentID.String() + "/resend "}},
		{"delivery_resend_dry", "delivery resend --webhook fleet --since 6h --dry-run", "", []string{`POST /api/v1/deliveries/resend {"webhook":"fleet","since":"2026-03-01T06:00:00Z","dry_run":true}`}},
		{"delivery_resend_all", "delivery resend --webhook fleet --state dead --until 1h --vehicle " + car + " --yes", "",
			[]string{`POST /api/v1/deliveries/resend {"webhook":"fleet","vehicle":"` + car + `","state":"dead","until":"2026-03-01T11:00:00Z","dry_run":true}`,
				`POST /api/v1/deliveries/resend {"webhook":"fleet","vehicle":"` + car + `","state":"dead","until":"2026-03-01T11:00:00Z"}`}},
		{"token_add", "token add backend --access", "", []string{`POST /api/v1/tokens {"name":"backend"}`}},
		{"token_add_vehicle", "token add backend --access --vehicle " + car + " --vehicle " + other, "", []string{`POST /api/v1/tokens {"name":"backend","vehicles":["` + car + `","` + other + `"]}`}},
		{"token_add_operator", "token add grafana --scope read", "", []string{`POST /api/v1/tokens {"name":"grafana","scope":"read"}`}},
		{"token_list", "token list", "", []string{"GET /api/v1/tokens?limit=500 "}},
		{"token_rm", "token rm backend --yes", "", []string{"DELETE /api/v1/tokens/backend "}},
		{"check", "check", "", []string{"POST /api/v1/check "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := full(t)
			x := session{socket: d.socket, stdin: tc.stdin}
			r := x.run(t, strings.Fields(tc.typed)...)
			if r.code != ExitOK || r.err != "" {
				t.Errorf("exit %d, stderr %q", r.code, r.err)
			}
			d.wasAsked(t, tc.asked...)
			golden(t, "output/"+tc.name+".txt", strings.ReplaceAll(r.out, d.socket, "SOCKET"))
			r = x.run(t, append(strings.Fields(tc.typed), "--json")...)
			var got, want any
			if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != ExitOK {
				t.Fatalf("--json: exit %d, %v\n%s%s", r.code, err, r.out, r.err)
			}
			if ownJSON[tc.name] {
				golden(t, "output/"+tc.name+".json", strings.ReplaceAll(r.out, d.socket, "SOCKET"))
				return
			}
			if keys := joinedJSON[tc.name]; keys != nil {
				if m, _ := got.(map[string]any); !slices.Equal(slices.Sorted(maps.Keys(m)), keys) {
					t.Errorf("--json has not the keys %q:\n%s", keys, r.out)
				}
				return
			}
			// What --json prints is what the API answered.
			if err := json.Unmarshal(d.answered(), &want); err != nil {
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
	d := newDaemon(t)
	d.on("GET", "/webhooks", items([]webhook.Webhook{})).on("GET", "/vehicles", items([]adminapi.VehicleView{})).on("GET", "/deliveries", items([]webhook.Delivery{})).
		on("GET", "/tokens", items([]adminapi.TokenView{})).on("GET", "/status", adminapi.Status{Ready: true, Now: noon, StartedAt: noon}).
		on("POST", "/subscriptions", adminapi.Subscribed{})
	for typed, want := range map[string]string{
		"webhook list":                      "no webhooks yet; add one: plugbeat webhook add\n",
		"vehicle list":                      "no vehicles yet; connect an account: plugbeat vehicle connect --source NAME\n",
		"delivery list":                     "no deliveries yet\n",
		"delivery list --state dead":        "no deliveries that match\n",
		"token list":                        "no tokens yet; make one: plugbeat token add NAME --access, or for an operator --scope read|operate\n",
		"subscribe fleet --all":             "there are no vehicles to subscribe; see: plugbeat vehicle list\n",
		"webhook list --json":               "{\n  \"items\": [],\n  \"next\": \"\"\n}\n",
		"delivery list --state dead --json": "{\n  \"items\": [],\n  \"next\": \"\"\n}\n",
	} {
		if r := (session{socket: d.socket}).run(t, strings.Fields(typed)...); r.code != ExitOK || r.out != want {
			t.Errorf("%s: exit %d\n%s%s", typed, r.code, r.out, r.err)
		}
	}
	r := session{socket: d.socket}.run(t, "status")
	for _, want := range []string{"all is well\n", "no webhooks yet", "no sources"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("status lacks %q:\n%s", want, r.out)
		}
	}
}

// TestPages: lists are walked to their end, and delivery list stops at its limit.
func TestPages(t *testing.T) {
	d := newDaemon(t)
	d.mux.HandleFunc("GET /api/v1/vehicles", func(w http.ResponseWriter, r *http.Request) {
		p := adminapi.Page[adminapi.VehicleView]{Items: cars()[:1], Next: "two"}
		if r.URL.Query().Get("after") == "two" {
			p = adminapi.Page[adminapi.VehicleView]{Items: cars()[1:]}
		}
		_ = json.NewEncoder(w).Encode(p)
	})
	d.on("GET", "/deliveries", adminapi.Page[webhook.Delivery]{Items: deliveries()[:1], Next: "more"})
	d.on("GET", "/webhooks", items([]webhook.Webhook{}))
	x := session{socket: d.socket}
	if r := x.run(t, "vehicle", "list"); !strings.Contains(r.out, carID.String()) || !strings.Contains(r.out, otherID.String()) {
		t.Errorf("vehicle list:\n%s%s", r.out, r.err)
	}
	d.asked = nil
	r := x.run(t, "delivery", "list", "--limit", "1")
	if !strings.Contains(r.out, "older: --before more, or --limit 5") || !strings.Contains(r.out, hookID.String()) {
		t.Errorf("delivery list:\n%s%s", r.out, r.err)
	}
	d.wasAsked(t, "GET /api/v1/deliveries?limit=1 ", "GET /api/v1/webhooks?limit=500 ")
}
