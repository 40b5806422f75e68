package clitest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Full is a daemon with two webhooks, two vehicles and some history.
func Full(t *testing.T) *Daemon {
	d := NewDaemon(t)
	hooks := []adminapi.WebhookView{View(HealthyHook()), View(FailingHook())}
	d.On("GET", "/webhooks", terminal.Items(hooks))
	d.On("GET", "/webhooks/fleet", hooks[0])
	d.On("GET", "/webhooks/"+HookID.String(), hooks[0])
	d.On("GET", "/subscriptions", terminal.Items(Subscriptions()))
	d.Mux.HandleFunc("GET /api/v1/cost", func(w http.ResponseWriter, r *http.Request) {
		if every := r.URL.Query().Get("every"); every == "every day" {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(Refusal(adminapi.CodeInvalid, `cadence.every "every day": it is no cadence`, ""))
			return
		}
		line := "source fleet: three paths every 1h are 2 190 calls a month for each vehicle"
		_ = json.NewEncoder(w).Encode(adminapi.Costs{Lines: []string{line}})
	})
	d.On("GET", "/vehicles", terminal.Items(Vehicles()))
	one := Vehicles()[0]
	one.Subscriptions = Subscriptions()[:1]
	d.On("GET", "/vehicles/"+VehicleID.String(), one)
	d.On("GET", "/vehicles/"+OtherID.String(), Vehicles()[1])
	d.On("POST", "/vehicles/"+VehicleID.String()+"/read", Vehicles()[0].Status.Last)
	d.On("POST", "/vehicles/connect", adminapi.Connected{Vehicles: []vehicle.Vehicle{Vehicles()[0].Vehicle, Vehicles()[1].Vehicle}})
	d.On("GET", "/vehicles/"+VehicleID.String()+"/history", terminal.Items(Points()))
	renamed := Vehicles()[0].Vehicle
	renamed.Name = "the red one"
	d.On("PATCH", "/vehicles/"+VehicleID.String(), renamed)
	d.On("DELETE", "/vehicles/"+VehicleID.String(), adminapi.Cancelled{Cancelled: 1})
	d.On("POST", "/subscriptions", adminapi.Subscribed{Subscribed: 1, Already: 1, Items: []adminapi.SubscribedItem{},
		Warnings: []string{"KIA stands 30m"}, Costs: []string{"source fleet: three paths every 1h are 2 190 calls a month for each vehicle"}})
	d.On("DELETE", "/subscriptions/fleet/"+VehicleID.String(), adminapi.Unsubscribed{Removed: true})
	d.On("DELETE", "/subscriptions/fleet/"+OtherID.String(), adminapi.Unsubscribed{})
	var listed []adminapi.ListedDelivery
	for _, one := range Deliveries() {
		listed = append(listed, adminapi.ListedDelivery{Delivery: one, VehicleName: "the blue one"})
	}
	d.On("GET", "/deliveries", terminal.Items(listed))
	fleet := View(HealthyHook())
	d.On("GET", "/deliveries/"+WaitID.String(), adminapi.DeliveryView{
		Webhook: &fleet, Vehicle: &Vehicles()[0].Vehicle,
		Delivery: Deliveries()[0], Payload: json.RawMessage(`{"version":"2.0","payload":{"vehicles":[{"vehicleId":"x"}]}}`),
		Attempts: []adminapi.AttemptView{
			{Attempt: webhook.Attempt{N: 1, StartedAt: Ago(6 * time.Minute), Duration: 15 * time.Second, Outcome: webhook.OutcomeUnavailable,
				Error: "no answer within 15s", Cause: "is the receiver slow?"}},
			{Attempt: webhook.Attempt{N: 2, StartedAt: Ago(5 * time.Minute), Duration: 87 * time.Millisecond, Outcome: webhook.OutcomeFailed,
				Status: 500, Address: "192.0.2.7:443",
				ContentType: "text/plain", RetryAfter: 2 * time.Minute, Body: []byte("boom\n\x1b[31mred")}, BodyText: "boom\n\x1b[31mred"},
		},
	})
	again := Deliveries()[0]
	again.ResendOf, again.Attempts, again.RetryAt, again.LastAnswer = &SentID, 0, time.Time{}, ""
	d.On("POST", "/deliveries/"+SentID.String()+"/resend", adminapi.DeliveryView{Webhook: &fleet, Delivery: again,
		Attempts: []adminapi.AttemptView{}})
	d.On("POST", "/webhooks", adminapi.WebhookAdded{Webhook: UnverifiedHook(), SigningKey: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	right := webhook.Challenge{Status: 200, Duration: 41 * time.Millisecond, Text: "200, the right answer"}
	d.On("POST", "/webhooks/fleet/verify", adminapi.Verified{Webhook: HealthyHook(), Challenge: right})
	d.On("POST", "/webhooks/"+HookID.String()+"/verify", adminapi.Verified{Webhook: HealthyHook(), Challenge: right})
	d.On("POST", "/webhooks/fleet/test", webhook.Attempt{N: 1, StartedAt: Noon, Duration: 52 * time.Millisecond,
		Outcome: webhook.OutcomeDelivered, Status: 204, Address: "192.0.2.7:443"})
	d.On("POST", "/webhooks/fleet/enable", HealthyHook())
	d.On("POST", "/webhooks/fleet/key", func(body []byte) any {
		two := HealthyHook()
		two.KeyOverlap = &webhook.KeyOverlap{Since: Noon, Until: In(48 * time.Hour)}
		switch text := string(body); {
		case strings.Contains(text, "rotate"):
			return adminapi.KeyChanged{Webhook: two, SigningKey: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
		case strings.Contains(text, "try"):
			return adminapi.KeyChanged{Webhook: two, Attempt: &webhook.Attempt{N: 1, StartedAt: Noon, Duration: 52 * time.Millisecond,
				Outcome: webhook.OutcomeDelivered, Status: 204}}
		}
		return adminapi.KeyChanged{Webhook: HealthyHook()}
	})
	recovering := HealthyHook()
	recovering.Recovery = &webhook.Recovery{Policy: "latest", StartedAt: Noon}
	d.On("POST", "/webhooks/"+HookID.String()+"/recover", recovering)
	plan := webhook.ResendPlan{Match: 412, States: map[webhook.State]int{webhook.Dead: 12, webhook.Delivered: 400}, Erased: 3, Resent: 20,
		Vehicles: 7, Bytes: 500000}
	d.Mux.HandleFunc("POST /api/v1/deliveries/resend", func(w http.ResponseWriter, r *http.Request) {
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
	disabled := HealthyHook()
	disabled.Status, disabled.Reason = webhook.Disabled, webhook.ByOperator
	d.On("POST", "/webhooks/fleet/disable", disabled)
	d.On("PATCH", "/webhooks/fleet", adminapi.WebhookChanged{Webhook: HealthyHook(), Derived: View(HealthyHook()).Derived,
		Warnings: []string{"faster than KIA stands"}})
	d.On("DELETE", "/webhooks/"+HookID.String(), adminapi.Cancelled{Cancelled: 2})
	d.On("GET", "/tokens", terminal.Items([]adminapi.TokenView{
		{Name: "backend", Kind: adminapi.AccessToken, CreatedAt: Ago(3 * time.Hour), LastUsedAt: Ago(time.Hour)},
		{Name: "grafana", Kind: adminapi.OperatorToken, Scope: access.ScopeRead, CreatedAt: Ago(time.Hour)},
		{Name: "shed", Kind: adminapi.IntakeToken, Intake: "scripts", CreatedAt: Ago(time.Hour)},
		{Name: "one", Kind: adminapi.AccessToken, Vehicles: []uuid.UUID{VehicleID}, CreatedAt: Ago(time.Minute)},
	}))
	d.On("POST", "/tokens", func(body []byte) any {
		if strings.Contains(string(body), `"scope"`) {
			return adminapi.TokenAdded{Name: "grafana", Kind: adminapi.OperatorToken, Scope: access.ScopeRead, Token: "plugbeat_operator_0123456789"}
		}
		if strings.Contains(string(body), `"intake"`) {
			return adminapi.TokenAdded{Name: "shed", Kind: adminapi.IntakeToken, Intake: "scripts", Token: "plugbeat_intake_0123456789"}
		}
		return adminapi.TokenAdded{Name: "backend", Kind: adminapi.AccessToken, Token: "plugbeat_0123456789"}
	})
	d.On("DELETE", "/tokens/backend", nil)
	d.On("POST", "/check", adminapi.Checked{Problems: []webhook.FileProblem{}, Bytes: 3 << 20, Duration: 120 * time.Millisecond})
	d.On("GET", "/status", Status())
	d.On("GET", "/version", adminapi.Version{Version: "1.2.3"})
	return d
}
