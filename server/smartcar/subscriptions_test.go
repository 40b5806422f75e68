package smartcar_test

import (
	"net/http"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

// all is a scope that allows all that a dynamic webhook sends.
const all = "read_charge read_battery read_location"

func subscribe(t *testing.T, p *servertest.Portal, token string) int {
	t.Helper()
	a := servertest.Exchange(t, strings.TrimPrefix(p.URL, "http://"), http.MethodPost,
		"/v2.0/vehicles/"+servertest.VehicleA.String()+"/webhooks/"+servertest.HookID.String(), servertest.BearerOf(token), "")
	servertest.WellFormed(t, a)
	return a.Status
}

// A webhook that sends what the owner did not allow is refused to the application.
func TestSubscribingIsWithinTheConsent(t *testing.T) {
	for _, tt := range []struct {
		scope, paths string
		want         int
	}{
		{"required:read_charge", "", 403}, {"read_charge read_battery", "", 403}, {all, "", 200}, {"", "", 200},
		{"required:read_charge", "/charge", 200}, {"required:read_charge", "/charge /location", 403},
	} {
		p := servertest.NewPortal(t)
		if tt.paths != "" {
			p.W.EditHook(func(h *webhook.Webhook) {
				h.Type, h.Content = webhook.TypeSchedule, webhook.Content{Paths: strings.Fields(tt.paths)}
			})
		}
		token := p.Exchange(p.Code(servertest.Asked("scope", tt.scope))).AccessToken
		if got := subscribe(t, p, token); got != tt.want || len(p.W.Subscribed()) != map[int]int{200: 1}[tt.want] {
			t.Errorf("scope %q, paths %q: %d and %d subscriptions, want %d", tt.scope, tt.paths, got, len(p.W.Subscribed()), tt.want)
		}
	}
}

// Revoking a consent ends the subscriptions that were made by it, and no other.
func TestRevokingEndsWhatWasMade(t *testing.T) {
	for name, mine := range map[string]bool{"the application's": true, "the operator's": false} {
		p := servertest.NewPortal(t)
		c := servertest.OverSocket(t, p.S)
		token := p.Exchange(p.Code(servertest.Asked("scope", all))).AccessToken
		if !mine {
			subscribe(t, p, servertest.AllToken)
		}
		if got := subscribe(t, p, token); got != 200 {
			t.Fatal(got)
		}
		if err := c.RemoveToken(t.Context(), p.W.Given()[0].ID.String()); err != nil {
			t.Fatal(err)
		}
		if n := len(p.W.Subscribed()); (n == 0) != mine || len(p.W.Given()) != 0 {
			t.Errorf("%s: %d subscriptions and %d consents are left", name, n, len(p.W.Given()))
		}
		if got := subscribe(t, p, token); got != 401 {
			t.Errorf("%s: afterwards %d", name, got)
		}
	}
}

// A code that comes a second time ends what was made by its tokens.
func TestReusedCodeEndsWhatWasMade(t *testing.T) {
	p := servertest.NewPortal(t)
	code := p.Code(servertest.Asked("scope", all))
	subscribe(t, p, p.Exchange(code).AccessToken)
	if got := p.Exchange(code); got.Status != 400 || len(p.W.Subscribed()) != 0 {
		t.Errorf("%d, %d subscriptions", got.Status, len(p.W.Subscribed()))
	}
}

// An owner who allows less than before narrows what was allowed before: older tokens do
// not reach the vehicle any more, and what was made by them ends.
func TestNarrowingEndsWhatWasMade(t *testing.T) {
	p := servertest.NewPortal(t)
	old := p.Exchange(p.Code(servertest.Asked("scope", all))).AccessToken
	subscribe(t, p, old)
	same := p.Exchange(p.Code(servertest.Asked("scope", all))).AccessToken
	if len(p.W.Subscribed()) != 1 || p.Reads(old, servertest.ChargeOf(servertest.VehicleA)) != 200 {
		t.Fatal("allowing the same again ended something")
	}
	narrow := p.Exchange(p.Code(servertest.Asked("scope", "read_charge"))).AccessToken
	if len(p.W.Subscribed()) != 0 {
		t.Error("the subscription goes on")
	}
	for token, want := range map[string]int{old: 403, same: 403, narrow: 200} {
		if got := p.Reads(token, servertest.ChargeOf(servertest.VehicleA)); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
}

// An operator who widens what a webhook sends ends the subscriptions whose owners did not
// allow that.
func TestWideningEndsWhatWasMade(t *testing.T) {
	p := servertest.NewPortal(t)
	p.W.EditHook(func(h *webhook.Webhook) {
		h.Type, h.Content = webhook.TypeSchedule, webhook.Content{Paths: []string{"/charge"}}
	})
	subscribe(t, p, p.Exchange(p.Code(servertest.Asked("scope", "read_charge read_battery"))).AccessToken)
	c := servertest.OverSocket(t, p.S)
	for _, tt := range []struct {
		paths []string
		left  int
	}{{[]string{"/charge", "/battery"}, 1}, {[]string{"/charge", "/location"}, 0}} {
		if _, err := c.ChangeWebhook(t.Context(), "home", adminapi.WebhookChange{Content: &webhook.Content{Paths: tt.paths}}); err != nil {
			t.Fatal(err)
		}
		if len(p.W.Subscribed()) != tt.left {
			t.Errorf("%v: %d subscriptions are left", tt.paths, len(p.W.Subscribed()))
		}
	}
}
