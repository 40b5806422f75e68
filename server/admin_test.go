package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// overSocket serves the admin API on a unix socket and returns a client of it.
func overSocket(t *testing.T, s *Server) *api.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := s.HTTP(s.Admin())
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	c := api.Dial(socket)
	t.Cleanup(func() { c.Close(); _ = srv.Close(); <-done })
	return c
}

func refused(t *testing.T, err error, code api.Code, parts ...string) {
	t.Helper()
	_ = refusal(t, err, code, parts...)
}

// refusal is refused, for looking closer.
func refusal(t *testing.T, err error, code api.Code, parts ...string) *api.Error {
	t.Helper()
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("error %v, want %s", err, code)
	}
	if e.Message == "" || e.RequestID == "" || e.Status < 400 {
		t.Errorf("error %+v lacks a message, a request id or a status", e)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
	return e
}

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAdminWebhooks(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	c := overSocket(t, newServer(t, w))
	add := must[api.WebhookAdded](t)
	got := add(c.AddWebhook(ctx, api.NewWebhook{Name: "a%2Fb ?c", CallbackURI: "https://example.com/x", Cadence: webhook.Cadence{PluggedIn: "1m"}}))
	if got.Webhook.Type != webhook.TypeDynamic || got.Webhook.Signing != webhook.SignBoth || got.Webhook.Status != webhook.Unverified {
		t.Errorf("defaults: %+v", got.Webhook)
	}
	if !strings.HasPrefix(got.SigningKey, "whsec_") {
		t.Errorf("signing key %q", got.SigningKey)
	}
	if len(got.Warnings) == 0 {
		t.Error("a reading a minute of a Tesla and a Kia is not warned of")
	}
	shown := must[api.WebhookView](t)(c.Webhook(ctx, "a%2Fb ?c"))
	if shown.ID != got.Webhook.ID {
		t.Errorf("found %s by name", shown.ID)
	}
	old := uuid.MustParse("20000000-0000-4000-8000-000000000002")
	if got := add(c.AddWebhook(ctx, api.NewWebhook{ID: &old, Name: "old", CallbackURI: "http://example.com", SigningKey: got.SigningKey})); got.Webhook.ID != old {
		t.Errorf("id %s was not kept", got.Webhook.ID)
	}
	name := "renamed"
	if got := must[api.WebhookChanged](t)(c.ChangeWebhook(ctx, "old", api.WebhookChange{Name: &name})); got.Webhook.Name != name {
		t.Errorf("name %s", got.Webhook.Name)
	}
	if v := must[api.Verified](t)(c.VerifyWebhook(ctx, name)); v.Challenge.Status != 200 || v.Webhook.Status != webhook.Active {
		t.Errorf("verified %+v", v)
	}
	if a := must[webhook.Attempt](t)(c.TestWebhook(ctx, name)); a.Status != 204 {
		t.Errorf("test %+v", a)
	}
	if w := must[webhook.Webhook](t)(c.DisableWebhook(ctx, name)); w.Reason != webhook.ByOperator {
		t.Errorf("disabled %+v", w)
	}
	if w := must[webhook.Webhook](t)(c.EnableWebhook(ctx, name, false)); w.Status != webhook.Active {
		t.Errorf("enabled %+v", w)
	}
	if n := must[api.Cancelled](t)(c.RemoveWebhook(ctx, name)); n.Cancelled != 2 {
		t.Errorf("removed %+v", n)
	}
	_, err := c.Webhook(ctx, name)
	refused(t, err, api.CodeNotFound, `"renamed"`, "webhook list")
	if !errors.Is(err, webhook.ErrNotFound) {
		t.Error("not found is not webhook.ErrNotFound across the socket")
	}

	w.wrong, w.answer = true, api.Challenge{Status: 500, Text: "it answered 500"}
	_, err = c.VerifyWebhook(ctx, "home")
	if e := refusal(t, err, api.CodeChallengeFailed, "it answered 500"); e.Challenge == nil || e.Challenge.Status != 500 || e.Status != 424 {
		t.Errorf("challenge %+v", e)
	}
	if _, err = c.EnableWebhook(ctx, "home", false); !errors.Is(err, webhook.ErrChallenge) {
		t.Errorf("enable: %v", err)
	}
	if _, err = c.EnableWebhook(ctx, "home", true); err != nil {
		t.Errorf("enable by force: %v", err)
	}
}

// No listing shows a key.
func TestAdminShowsNoKey(t *testing.T) {
	w := newWorld()
	s := newServer(t, w)
	for _, target := range []string{"/api/v1/webhooks", "/api/v1/webhooks/home", "/api/v1/status"} {
		rec := httptest.NewRecorder()
		s.Admin().ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
		for _, leak := range []string{"whsec", "BwcHBw", "070707", management} {
			if rec.Code != 200 || strings.Contains(rec.Body.String(), leak) {
				t.Errorf("%s: %d shows %q", target, rec.Code, leak)
			}
		}
	}
}

func TestAdminRefusesWebhooks(t *testing.T) {
	ok := api.NewWebhook{Name: "n", CallbackURI: "https://example.com/x"}
	tests := []struct {
		name  string
		edit  func(*api.NewWebhook)
		code  api.Code
		field string
		says  string
	}{
		{"no name", func(n *api.NewWebhook) { n.Name = "" }, api.CodeInvalid, "name", "empty"},
		{"name an id", func(n *api.NewWebhook) { n.Name = strings.ReplaceAll(carA.String(), "-", "") }, api.CodeInvalid, "name", "id"},
		{"name with control characters", func(n *api.NewWebhook) { n.Name = "a\x1b[31m" }, api.CodeInvalid, "name", "print"},
		{"name with a character lost", func(n *api.NewWebhook) { n.Name = "a\ufffdb" }, api.CodeInvalid, "name", "print"},
		{"name a path", func(n *api.NewWebhook) { n.Name = ".." }, api.CodeInvalid, "name", "path"},
		{"name too long", func(n *api.NewWebhook) { n.Name = strings.Repeat("x", 65) }, api.CodeInvalid, "name", "long"},
		{"taken", func(n *api.NewWebhook) { n.Name = "home" }, api.CodeExists, "", "already exists"},
		{"type", func(n *api.NewWebhook) { n.Type = "eventBased" }, api.CodeInvalid, "type", "dynamic"},
		{"relative", func(n *api.NewWebhook) { n.CallbackURI = "/hook" }, api.CodeInvalid, "callback_uri", "http"},
		{"port", func(n *api.NewWebhook) { n.CallbackURI = "https://example.com:65536/" }, api.CodeInvalid, "callback_uri", "port"},
		{"no URI", func(n *api.NewWebhook) { n.CallbackURI = "https://u:p@example.com/%zz" }, api.CodeInvalid, "callback_uri", "not a URI"},
		{"URI too long", func(n *api.NewWebhook) { n.CallbackURI = "https://example.com/" + strings.Repeat("x", 2000) }, api.CodeInvalid, "callback_uri", "too long"},
		{"userinfo", func(n *api.NewWebhook) { n.CallbackURI = "https://u:p@example.com" }, api.CodeInvalid, "callback_uri", "userinfo"},
		{"signing", func(n *api.NewWebhook) { n.Signing = "none" }, api.CodeInvalid, "signing", "both"},
		{"cadence", func(n *api.NewWebhook) { n.Cadence.Unplugged = "30" }, api.CodeInvalid, "cadence.unplugged", "unit"},
		{"too fast", func(n *api.NewWebhook) { n.Cadence.PluggedIn = "10s" }, api.CodeInvalid, "cadence.plugged_in", "faster"},
		{"zone", func(n *api.NewWebhook) { n.Cadence.Zone = "Mars/Base" }, api.CodeInvalid, "cadence.zone", ""},
		{"key", func(n *api.NewWebhook) { n.SigningKey = "whsec_YQ==" }, api.CodeInvalid, "signing_key", "short"},
		{"nil id", func(n *api.NewWebhook) { n.ID = &uuid.UUID{} }, api.CodeInvalid, "id", ""},
	}
	w := newWorld()
	c := overSocket(t, newServer(t, w))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := ok
			tt.edit(&n)
			_, err := c.AddWebhook(t.Context(), n)
			e := refusal(t, err, tt.code, tt.says)
			if e.Field != tt.field || tt.code == api.CodeInvalid && e.Allowed == "" {
				t.Errorf("%+v, want field %s and what is allowed", e, tt.field)
			}
			if strings.Contains(err.Error(), "u:p@") || strings.Contains(err.Error(), "YQ==") {
				t.Errorf("%v shows a secret", err)
			}
		})
	}
	if len(w.hooks) != 1 {
		t.Errorf("%d webhooks after refusals", len(w.hooks))
	}
	_, err := c.ChangeWebhook(t.Context(), "home", api.WebhookChange{})
	refused(t, err, api.CodeInvalid, "at least one")
	bad := "ftp://x"
	_, err = c.ChangeWebhook(t.Context(), "home", api.WebhookChange{CallbackURI: &bad})
	refused(t, err, api.CodeInvalid, "callback_uri")
}

func TestAdminBodies(t *testing.T) {
	tests := []struct{ name, body, field, says string }{
		{"empty", "", "body", "empty"},
		{"not JSON", "name=x", "body", "invalid character"},
		{"unknown field", `{"name":"x","callback":"y"}`, "body", `unknown field \"callback\"`},
		{"wrong type", `{"name":7}`, "name", "a JSON string"},
		{"wrong inner type", `{"cadence":{"fastest":"yes"}}`, "cadence.fastest", "true or false"},
		{"two", `{}{}`, "body", "follows"},
		{"array", `[]`, "body", "a JSON object"},
		{"text", `"x"`, "body", "a JSON object"},
		{"cut off", `{"name":"x"`, "body", "unexpected EOF"},
		{"id", `{"name":"x","id":"123"}`, "id", `"value":"123","allowed":"a UUID`},
		{"id of a wrong type", `{"name":"x","id":7}`, "id", "a JSON string"},
		{"UTF-8", "{\"name\":\"\xff\"}", "body", "UTF-8"},
		{"large", `{"name":"` + strings.Repeat("x", maxBody) + `"}`, "body", "65536"},
	}
	h := newServer(t, newWorld()).Admin()
	for _, tt := range tests {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("POST", "/api/v1/webhooks", strings.NewReader(tt.body)))
		var e api.Envelope
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || rec.Code != 400 || e.Error.Field != tt.field || !strings.Contains(rec.Body.String(), tt.says) {
			t.Errorf("%s: %d %s", tt.name, rec.Code, rec.Body)
		}
	}
	for target, body := range map[string]string{"/api/v1/subscriptions": `{"webhook":"home","vehicles":["` + carA.String() + `","zzz"]}`, "/api/v1/tokens": `{"name":"x","vehicles":["zzz"]}`} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("POST", target, strings.NewReader(body)))
		if rec.Code != 400 || !strings.Contains(rec.Body.String(), `"field":"vehicles","value":"zzz","allowed":"a UUID`) {
			t.Errorf("%s %s: %d %s", target, body, rec.Code, rec.Body)
		}
	}
	for _, target := range []string{"/api/v1/nothing", "/api/v1//webhooks", "/api/v2/webhooks", "/"} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
		var e api.Envelope
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || rec.Code != 404 || e.Error.Code != api.CodeNotFound {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
	}
}

// Each row of the error table as the admin API answers it.
func TestAdminErrors(t *testing.T) {
	tests := []struct {
		err    error
		code   api.Code
		status int
	}{
		{&webhook.Invalid{Field: "f", Value: "v", Allowed: "a"}, api.CodeInvalid, 400},
		{fmt.Errorf("x: %w", webhook.ErrNotFound), api.CodeNotFound, 404},
		{fmt.Errorf("x: %w", webhook.ErrExists), api.CodeExists, 409},
		{fmt.Errorf("x: %w", webhook.ErrConflict), api.CodeConflict, 409},
		{fmt.Errorf("x: %w", webhook.ErrChallenge), api.CodeChallengeFailed, 424},
		{fmt.Errorf("x: %w", webhook.ErrNoSpace), api.CodeNoSpace, 507},
		{fmt.Errorf("x: %w", webhook.ErrReadOnly), api.CodeReadOnly, 507},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), api.CodeUnavailable, 503},
		{fmt.Errorf("x: %w", context.Canceled), api.CodeUnavailable, 503},
		{&vehicle.Fault{Type: vehicle.TypeUpstream, Status: 502}, api.CodeSource, 502},
		{fmt.Errorf("connect: %w: %w", &vehicle.Fault{Type: vehicle.TypeServer, Status: 500}, webhook.ErrNoSpace), api.CodeNoSpace, 507},
		{errors.New("secret detail of the inside"), api.CodeInternal, 500},
	}
	for _, tt := range tests {
		w := newWorld()
		w.fail = tt.err
		rec := httptest.NewRecorder()
		newServer(t, w).Admin().ServeHTTP(rec, httptest.NewRequest("POST", "/api/v1/webhooks/home/test", nil))
		var e api.Envelope
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if rec.Code != tt.status || e.Error.Code != tt.code || strings.Contains(rec.Body.String(), "secret detail") {
			t.Errorf("%v: %d %s", tt.err, rec.Code, rec.Body)
		}
	}
	for resolution, says := range map[string]string{vehicle.ResolveRetryLater: "try again", vehicle.ResolveReauthenticate: "signs in again", "": ""} {
		if e := apiErrorOf(&vehicle.Fault{Type: vehicle.TypeUpstream, Status: 502, Resolution: resolution}); !strings.Contains(e.Hint, says) || (e.Hint == "") != (says == "") {
			t.Errorf("%s: %q", resolution, e.Hint)
		}
	}
	seen := map[api.Code]bool{}
	for _, tt := range tests {
		seen[tt.code] = true
	}
	for _, r := range table {
		if !seen[r.code] {
			t.Errorf("row %s has no test", r.code)
		}
	}
}

func TestAdminVehicles(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	w.states[carA] = vehicle.Status{State: vehicle.StatePluggedIn}
	c := overSocket(t, newServer(t, w))
	p := must[api.Page[api.VehicleView]](t)(c.Vehicles(ctx, "", 1))
	if len(p.Items) != 1 || p.Next == "" || p.Items[0].Status.State != vehicle.StatePluggedIn {
		t.Fatalf("%+v", p)
	}
	if p = must[api.Page[api.VehicleView]](t)(c.Vehicles(ctx, p.Next, 1)); len(p.Items) != 1 || p.Next != "" || p.Items[0].Vehicle.ID != carB {
		t.Fatalf("%+v", p)
	}
	snap := must[vehicle.Snapshot](t)(c.ReadVehicle(ctx, carA, vehicle.PathsOf(vehicle.PathBattery)))
	if !snap.Battery.OK || snap.Charge.Asked() || w.reads[0] != vehicle.PathsOf(vehicle.PathBattery) {
		t.Errorf("%+v", snap)
	}
	if snap = must[vehicle.Snapshot](t)(c.ReadVehicle(ctx, carA, 0)); !snap.Charge.OK || snap.Charge.Value.Plug != vehicle.PluggedIn {
		t.Errorf("all paths: %+v", snap)
	}
	if got := must[api.Connected](t)(c.ConnectVehicles(ctx, "sim", "")); len(got.Vehicles) != 2 {
		t.Errorf("connected %+v", got)
	}
	_, err := c.ConnectVehicles(ctx, "moon", "refresh-secret")
	refused(t, err, api.CodeInvalid, "sim")
	if strings.Contains(err.Error(), "refresh-secret") {
		t.Errorf("%v shows the token", err)
	}
	_, err = c.ConnectVehicles(ctx, "", "")
	refused(t, err, api.CodeInvalid, "source")
	_, err = c.Vehicle(ctx, noID)
	refused(t, err, api.CodeNotFound, "vehicle list")
	if got := must[api.Cancelled](t)(c.DisconnectVehicle(ctx, carB)); got.Cancelled != 3 || !slices.Equal(w.disconnected, []uuid.UUID{carB}) {
		t.Errorf("disconnected %+v", got)
	}
}

func TestAdminSubscriptions(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	c := overSocket(t, newServer(t, w))
	sub := must[api.Subscribed](t)
	got := sub(c.Subscribe(ctx, api.Subscribe{Webhook: "home", All: true, Spread: "1h"}))
	if got.Subscribed != 2 || got.Already != 0 || !got.Items[0].Anchor.Equal(noon) || !got.Items[1].Anchor.Equal(noon.Add(30*time.Minute)) {
		t.Fatalf("%+v", got)
	}
	got = sub(c.Subscribe(ctx, api.Subscribe{Webhook: hookID.String(), Vehicles: []uuid.UUID{carB, carB}}))
	if got.Subscribed != 0 || got.Already != 1 || len(got.Items) != 1 || !got.Items[0].Anchor.IsZero() {
		t.Fatalf("%+v", got)
	}
	page := must[api.Page[api.SubscriptionView]](t)
	p := page(c.Subscriptions(ctx, "home", uuid.Nil, "", 1))
	if len(p.Items) != 1 || p.Next == "" || p.Items[0].WebhookName != "home" {
		t.Fatalf("%+v", p)
	}
	if p = page(c.Subscriptions(ctx, "", uuid.Nil, p.Next, 1)); len(p.Items) != 1 || p.Next != "" {
		t.Fatalf("%+v", p)
	}
	if p = page(c.Subscriptions(ctx, "", carB, "", 0)); len(p.Items) != 1 || p.Items[0].Vehicle != carB {
		t.Fatalf("%+v", p)
	}
	if v := must[api.VehicleView](t)(c.Vehicle(ctx, carA)); len(v.Subscriptions) != 1 {
		t.Errorf("%+v", v)
	}
	gone := must[api.Unsubscribed](t)
	if !gone(c.Unsubscribe(ctx, "home", carB)).Removed || gone(c.Unsubscribe(ctx, "home", carB)).Removed {
		t.Error("unsubscribing does not say whether there was one")
	}
	n := len(w.subs)
	for name, bad := range map[string]api.Subscribe{
		"neither":         {Webhook: "home"},
		"both":            {Webhook: "home", All: true, Vehicles: []uuid.UUID{carB}},
		"spread too long": {Webhook: "home", All: true, Spread: "61m"},
		"spread negative": {Webhook: "home", All: true, Spread: "-1m"},
		"spread no unit":  {Webhook: "home", All: true, Spread: "30"},
	} {
		_, err := c.Subscribe(ctx, bad)
		if e := refusal(t, err, api.CodeInvalid); e.Allowed == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.Subscribe(ctx, api.Subscribe{Webhook: "home", Vehicles: []uuid.UUID{carB, noID}})
	refused(t, err, api.CodeNotFound, noID.String())
	if len(w.subs) != n {
		t.Error("a refused call subscribed a vehicle")
	}
	w.hooks[0].Status = webhook.Unverified
	if got := sub(c.Subscribe(ctx, api.Subscribe{Webhook: "home", All: true})); len(got.Warnings) == 0 || !strings.Contains(got.Warnings[0], "plugbeat webhook verify home") {
		t.Errorf("subscribing to an unverified webhook: %+v", got)
	}
}

// The limit of spread is the webhook's own unplugged cadence.
// A bulk subscription that fails in the middle says how far it came.
func TestSubscribeManyFailsInTheMiddle(t *testing.T) {
	for _, fail := range []error{fmt.Errorf("subscribe: %w", webhook.ErrNoSpace), errors.New("secret detail of the inside")} {
		w := newWorld()
		w.failCar, w.failCarWith = carB, fail
		c := overSocket(t, newServer(t, w))
		_, err := c.Subscribe(t.Context(), api.Subscribe{Webhook: "home", Vehicles: []uuid.UUID{carA, carB}})
		e, ok := errors.AsType[*api.Error](err)
		if !ok || !strings.Contains(e.Hint, "1 of 2 vehicles were subscribed") || strings.Contains(err.Error(), "nothing was changed") || strings.Contains(err.Error(), "secret detail") {
			t.Errorf("%v", err)
		}
		_, err = c.Subscribe(t.Context(), api.Subscribe{Webhook: "home", Vehicles: []uuid.UUID{carB}})
		if strings.Contains(err.Error(), "were subscribed before") {
			t.Errorf("%v", err)
		}
	}
}

func TestSpreadLimit(t *testing.T) {
	s := newServer(t, newWorld())
	tests := []struct {
		unplugged, spread string
		ok                bool
	}{
		{"", "1h", true}, {"", "1h1ms", false}, {"10m", "10m", true}, {"10m", "11m", false},
		{"0 */6 * * *", "6h", true}, {"0 */6 * * *", "6h1s", false}, {"2h", "", true},
	}
	for _, tt := range tests {
		w := &webhook.Webhook{Cadence: webhook.Cadence{Unplugged: tt.unplugged}}
		if _, err := s.spreadOf(w, tt.spread, noon.Add(7*time.Minute)); (err == nil) != tt.ok {
			t.Errorf("%q spread %q: %v", tt.unplugged, tt.spread, err)
		}
	}
}

func TestAnchors(t *testing.T) {
	at := anchors(noon, time.Hour, 7)
	for i := range at {
		if at[i].Before(noon) || !at[i].Before(noon.Add(time.Hour)) || i > 0 && !at[i].After(at[i-1]) {
			t.Errorf("anchor %d is %v", i, at[i])
		}
	}
	if len(anchors(noon, time.Hour, 0)) != 0 {
		t.Error("anchors of no vehicle")
	}
}

func TestAdminDeliveries(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	for i := range 5 {
		d := webhook.Delivery{ID: uuid.MustParse(fmt.Sprintf("01900000-0000-7000-8000-00000000000%d", i)), Webhook: hookID, Vehicle: carA, State: webhook.Delivered}
		w.past = append(w.past, d)
		w.payloads[d.ID] = []byte(`{"version":"2.0","x":"<&>"}`)
	}
	w.past[0].State = webhook.Dead
	delete(w.payloads, w.past[0].ID)
	c := overSocket(t, newServer(t, w))
	var ids []uuid.UUID
	pages := 0
	for d, err := range api.All(func(before string) (api.Page[webhook.Delivery], error) {
		pages++
		return c.Deliveries(ctx, api.DeliveryQuery{Webhook: "home", Before: before, Limit: 2})
	}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	if pages != 3 || len(ids) != 5 || !slices.IsSortedFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(b[:], a[:]) }) {
		t.Errorf("%d pages: %v", pages, ids)
	}
	if p := must[api.Page[webhook.Delivery]](t)(c.Deliveries(ctx, api.DeliveryQuery{State: webhook.Dead, Since: noon, Until: noon})); len(p.Items) != 1 {
		t.Errorf("dead: %+v", p)
	}
	_, err := c.Deliveries(ctx, api.DeliveryQuery{State: "lost"})
	refused(t, err, api.CodeInvalid, "waiting, delivered, superseded, dead, expired, cancelled")
	_, err = c.Deliveries(ctx, api.DeliveryQuery{Limit: 501})
	refused(t, err, api.CodeInvalid, "1 to 500")
	_, err = c.Delivery(ctx, carA)
	refused(t, err, api.CodeNotFound, "delivery "+carA.String(), "plugbeat delivery list")
	d := must[api.DeliveryView](t)(c.Delivery(ctx, w.past[1].ID))
	if string(d.Payload) != `{"version":"2.0","x":"<&>"}` || d.Attempts == nil {
		t.Errorf("%+v, payload %s", d, d.Payload)
	}
	if d = must[api.DeliveryView](t)(c.Delivery(ctx, w.past[0].ID)); string(d.Payload) != "null" {
		t.Errorf("erased payload %s", d.Payload)
	}
	_, err = c.Delivery(ctx, noID)
	refused(t, err, api.CodeNotFound)

	_, err = c.Resend(ctx, noID)
	refused(t, err, api.CodeNotFound, "plugbeat delivery list")
	w.past[2].State = webhook.Waiting
	_, err = c.Resend(ctx, w.past[2].ID)
	refused(t, err, api.CodeConflict, "it waits")
	d = must[api.DeliveryView](t)(c.Resend(ctx, w.past[0].ID))
	if d.Delivery.ResendOf == nil || *d.Delivery.ResendOf != w.past[0].ID || d.Webhook == nil || d.Webhook.Name != "home" {
		t.Errorf("%+v", d)
	}
	w.fail = webhook.ErrNoSpace
	_, err = c.Resend(ctx, w.past[0].ID)
	refused(t, err, api.CodeNoSpace)
}

// The answers to attempts are shown as text where they are text.
func TestAttemptText(t *testing.T) {
	for body, want := range map[string]string{"": "", "boom": "boom", "caf\xc3": "caf", "\x00\xff\xfe\xfd\xfc\xfb": ""} {
		if got := attemptView(webhook.Attempt{Body: []byte(body)}).BodyText; got != want {
			t.Errorf("%q is shown as %q, want %q", body, got, want)
		}
	}
}

func TestAdminTokens(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	s := newServer(t, w)
	c := overSocket(t, s)
	got := must[api.TokenAdded](t)(c.AddToken(ctx, api.NewToken{Name: "app", Vehicles: []uuid.UUID{carB, carB}}))
	if len(got.Vehicles) != 1 || len(got.Token) < 40 {
		t.Fatalf("%+v", got)
	}
	if w.grants[2].Hash != sha256.Sum256([]byte(got.Token)) {
		t.Error("what is kept is not the token's hash")
	}
	addr := serve(t, s.Public())
	if a := exchange(t, addr, "GET", "/v2.0/vehicles", bearerOf(got.Token), ""); a.status != 200 || !strings.Contains(a.body, carB.String()) || strings.Contains(a.body, carA.String()) {
		t.Errorf("%d %s", a.status, a.body)
	}
	p := must[api.Page[api.TokenView]](t)(c.Tokens(ctx, "", 2))
	if len(p.Items) != 2 || p.Next != "app" {
		t.Errorf("%+v", p)
	}
	if p = must[api.Page[api.TokenView]](t)(c.Tokens(ctx, p.Next, 2)); len(p.Items) != 1 || p.Items[0].Name != "one" || p.Next != "" {
		t.Errorf("%+v", p)
	}
	_, err := c.AddToken(ctx, api.NewToken{Name: "app"})
	refused(t, err, api.CodeExists)
	_, err = c.AddToken(ctx, api.NewToken{Name: "b", Vehicles: []uuid.UUID{noID}})
	refused(t, err, api.CodeNotFound)
	if err := c.RemoveToken(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	refused(t, c.RemoveToken(ctx, "app"), api.CodeNotFound, "token list")
	if a := exchange(t, addr, "GET", "/v2.0/vehicles", bearerOf(got.Token), ""); a.status != 401 {
		t.Errorf("revoked token: %d", a.status)
	}
}

func TestAdminCheck(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	s := newServer(t, w)
	c := overSocket(t, s)
	got := must[api.Checked](t)(c.Check(ctx))
	if got.Problems == nil || len(got.Problems) != 0 || got.Bytes != 6 {
		t.Errorf("%+v", got)
	}
	w.problems = []api.Problem{{Bucket: "lane", Key: "ab", Text: "no record"}}
	if got = must[api.Checked](t)(c.Check(ctx)); len(got.Problems) != 1 {
		t.Errorf("%+v", got)
	}
	if left, _ := filepath.Glob(s.CheckDir + "/*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	// What a killed daemon left goes with the next check, and nothing else.
	for _, dir := range []string{"plugbeat-check-1", "other"} {
		if err := os.MkdirAll(filepath.Join(s.CheckDir, dir, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	must[api.Checked](t)(c.Check(ctx))
	if left, _ := filepath.Glob(s.CheckDir + "/*"); len(left) != 1 || filepath.Base(left[0]) != "other" {
		t.Errorf("left behind: %v", left)
	}
	s.checking.Lock()
	_, err := c.Check(ctx)
	s.checking.Unlock()
	refused(t, err, api.CodeUnavailable)
}

func TestReady(t *testing.T) {
	w := newWorld()
	var bad error
	w.probes = []Probe{{"scheduler", func(time.Time) error { return bad }}, {"store", func(time.Time) error { return nil }}}
	h := newServer(t, w).Ready()
	get := func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/readyz", nil))
		return rec
	}
	if rec := get(); rec.Code != http.StatusOK || strings.TrimSpace(rec.Body.String()) != `{"status":"ready"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.info.State = webhook.DiskFull
	if rec := get(); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), `"not_ready":["store: disk full"]`) {
		t.Errorf("a full disk: %d %s", rec.Code, rec.Body)
	}
	w.info.State = webhook.DiskReadOnly
	if rec := get(); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), `"not_ready":["store: disk read-only"]`) {
		t.Errorf("a read-only disk: %d %s", rec.Code, rec.Body)
	}
	w.info.State = webhook.DiskNearlyFull
	bad = errors.New("its loop stands still")
	if rec := get(); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), "scheduler: its loop stands still") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
