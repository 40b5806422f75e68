package badinput

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/vehicle"
)

// ask makes a request to /v2.0 or, where the path begins with /api/, over the local
// socket.
func ask(t *testing.T, d *daemon.Daemon, method, path, token string, body []byte) (status int, answer string) {
	t.Helper()
	client, base := http.DefaultClient, "http://"+apiAddress(t, d)
	if strings.HasPrefix(path, "/api/") {
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", filepath.Join(d.Dir, "data", "plugbeat.sock"))
		}}
		defer transport.CloseIdleConnections()
		client, base = &http.Client{Transport: transport}, "http://plugbeat"
	}
	req, err := http.NewRequest(method, base+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) || len(res.Header["Content-Type"]) != 1 || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s: not JSON: %s", method, path, b)
	}
	return res.StatusCode, string(b)
}

func apiAddress(t *testing.T, d *daemon.Daemon) string {
	t.Helper()
	found := regexp.MustCompile(`"event":"daemon.started","api":"([^"]+)"`).FindAllStringSubmatch(d.Log(), -1)
	if len(found) == 0 {
		t.Fatalf("the log names no address:\n%s", d.Log())
	}
	return found[len(found)-1][1]
}

// TestCallers asks both APIs for what is not there, and sends them what they cannot take.
func TestCallers(t *testing.T) {
	d := folder(t)
	d.Start()
	c := d.Client()
	ctx := context.Background()
	hook, err := c.AddWebhook(ctx, adminapi.NewWebhook{Name: "home", CallbackURI: "https://receiver.example/hook"})
	if err != nil {
		t.Fatal(err)
	}
	vehicles, err := c.Vehicles(ctx, "", 0)
	if err != nil || len(vehicles.Items) != 3 {
		t.Fatal(vehicles, err)
	}
	token, err := c.AddToken(ctx, adminapi.NewToken{Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	v, home := vehicles.Items[0].Vehicle.ID.String(), hook.Webhook.ID.String()
	amt := d.ManagementToken()
	large := []byte(`{"requests":[{"path":"` + strings.Repeat("x", 70_000) + `"}],"name":"x"}`)
	invalid := []byte("{\"requests\":[{\"path\":\"/\xff\"}],\"name\":\"\xff\"}")
	if status, answer := ask(t, d, "GET", "/v2.0/vehicles", token.Token, nil); status != 200 { // its first use is noted in the data file
		t.Fatal(status, answer)
	}
	if status, answer := ask(t, d, "DELETE", "/v2.0/vehicles/"+v+"/webhooks/"+stranger, amt, nil); status != 404 { // and so is the management token's
		t.Fatal(status, answer)
	}
	before := contents(t, d.Dir)
	for _, r := range []struct {
		method, path, token string
		body                []byte
		status              int
		says                string
	}{
		{"GET", "/v2.0/vehicles/" + stranger, token.Token, nil, 403, `"type":"PERMISSION"`},
		{"GET", "/v2.0/vehicles/" + stranger + "/charge", token.Token, nil, 403, `"type":"PERMISSION"`},
		{"GET", "/v2.0/vehicles/nope/charge", token.Token, nil, 400, `"field":["vehicle_id"]`},
		{"POST", "/v2.0/vehicles/" + v + "/webhooks/" + stranger, token.Token, nil, 404, `"code":"PATH","description":"There is no webhook with this id."`},
		{"POST", "/v2.0/vehicles/" + stranger + "/webhooks/" + home, token.Token, nil, 403, `"type":"PERMISSION"`},
		{"POST", "/v2.0/vehicles/" + v + "/webhooks/nope", token.Token, nil, 400, `"field":["webhook_id"]`},
		{"DELETE", "/v2.0/vehicles/" + v + "/webhooks/" + stranger, amt, nil, 404, `"code":"PATH"`},
		{"DELETE", "/v2.0/vehicles/" + stranger + "/webhooks/" + home, token.Token, nil, 403, `"type":"PERMISSION"`},
		{"DELETE", "/v2.0/vehicles/" + stranger + "/application", token.Token, nil, 403, `"type":"PERMISSION"`},
		{"GET", "/v2.0/vehicles", amt, nil, 401, "this endpoint takes an access token"},
		{"GET", "/v2.0/vehicles", "nope", nil, 401, `"type":"AUTHENTICATION"`},
		{"GET", "/v2.0/vehicles", "", nil, 401, "authorization header"},
		{"GET", "/v2.0/vehicles?limit=all", token.Token, nil, 400, `"field":["limit"]`},
		{"GET", "/v2.0/nope", token.Token, nil, 404, `"code":"PATH"`},
		{"GET", "/v1.0/vehicles", token.Token, nil, 404, `"code":"VERSION"`},
		{"POST", "/v2.0/vehicles/" + v + "/batch", token.Token, large, 400, "65536 bytes"},
		{"POST", "/v2.0/vehicles/" + v + "/batch", token.Token, invalid, 400, "UTF-8"},
		{"POST", "/v2.0/vehicles/" + v + "/batch", token.Token, []byte("<html>"), 400, "The body is a JSON object"},

		{"GET", "/api/v1/webhooks/nope", "", nil, 404, `webhook \"nope\": not found`},
		{"PATCH", "/api/v1/webhooks/nope", "", []byte(`{"name":"x"}`), 404, `webhook \"nope\": not found`},
		{"DELETE", "/api/v1/webhooks/" + stranger, "", nil, 404, stranger},
		{"GET", "/api/v1/vehicles/" + stranger, "", nil, 404, "vehicle " + stranger},
		{"POST", "/api/v1/vehicles/" + stranger + "/read", "", nil, 404, "vehicle " + stranger},
		{"DELETE", "/api/v1/vehicles/" + stranger, "", nil, 404, "vehicle " + stranger},
		{"GET", "/api/v1/vehicles/nope", "", nil, 404, `vehicle \"nope\": not found`},
		{"GET", "/api/v1/deliveries/" + stranger, "", nil, 404, "delivery " + stranger},
		{"GET", "/api/v1/deliveries/nope", "", nil, 400, `"field":"delivery","value":"nope"`},
		{"GET", "/api/v1/deliveries?webhook=nope", "", nil, 404, `webhook \"nope\"`},
		{"POST", "/api/v1/subscriptions", "", []byte(`{"webhook":"home","vehicles":["` + stranger + `"]}`), 404, "vehicle " + stranger},
		{"POST", "/api/v1/subscriptions", "", []byte(`{"webhook":"nope","all":true}`), 404, `webhook \"nope\"`},
		{"POST", "/api/v1/webhooks", "", large, 400, "65536 bytes"},
		{"POST", "/api/v1/webhooks", "", invalid, 400, "UTF-8"},
		{"POST", "/api/v1/webhooks", "", []byte(`{"name":"x","callback_uri":"https://u:hunter2@h/"}`), 400, `"field":"callback_uri"`},
		{"POST", "/api/v1/webhooks", "", []byte(`{"name":"x","callback_uri":"https://h/","cadence":{"unplugged":"0 0 31 2 *"}}`), 400, `"field":"cadence.unplugged","value":"0 0 31 2 *"`},
		{"POST", "/api/v1/webhooks", "", []byte(`{"name":"x","callback_uri":"https://h/","cadense":{}}`), 400, `unknown field \"cadense\"`},
		{"DELETE", "/api/v1/tokens/nope", "", nil, 404, `token \"nope\"`},
	} {
		status, answer := ask(t, d, r.method, r.path, r.token, r.body)
		if status != r.status || !strings.Contains(answer, r.says) || strings.Contains(answer, "hunter2") || strings.Contains(answer, amt) {
			t.Errorf("%s %s: %d %s\nwant %d with %s", r.method, r.path, status, answer, r.status, r.says)
		}
	}
	if contents(t, d.Dir) != before {
		t.Error("the data file changed")
	}
}

// TestUpstreamHTML: a vendor that answers with a proxy's page is no reading. Connecting says so and
// adds nothing; what was connected before is delivered with error objects.
func TestUpstreamHTML(t *testing.T) {
	const refresh = "refresh-token-hunter2"
	var page atomic.Bool
	page.Store(true)
	v := uuid.NewString()
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers := map[string]string{
			"/oauth/token":                         `{"access_token":"access-token-hunter2","token_type":"Bearer","expires_in":7200,"refresh_token":"next-token-hunter2"}`,
			"/v2.0/user":                           `{"id":"an-owner"}`,
			"/v2.0/vehicles":                       `{"vehicles":["` + v + `"],"paging":{"count":1,"offset":0}}`,
			"/v2.0/vehicles/" + v:                  `{"id":"` + v + `","make":"KIA","model":"EV6","year":2023}`,
			"/v2.0/vehicles/" + v + "/permissions": `{"permissions":["read_charge"],"paging":{"count":1,"offset":0}}`,
		}
		if body, ok := answers[r.URL.Path]; ok && !page.Load() {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>It works!</body></html>")
	}))
	defer vendor.Close()
	d := daemon.New(t, func(config string) string {
		config = strings.NewReplacer("127.0.0.1:8765", `""`, "127.0.0.1:8766", `""`).Replace(config)
		config = regexp.MustCompile(`(?s)\nsources:.*?\n\n(# How|cadence)`).ReplaceAllString(config, fmt.Sprintf(
			"\nsources:\n  vendor: {type: smartcar, client_id: app, client_secret_file: secret, api_origin: %[1]q, auth_origin: %[1]q}\nreading: {tries: 1}\n\n$1", vendor.URL))
		return config
	})
	write(t, filepath.Join(d.Dir, "secret"), []byte("client-secret-hunter2\n"))
	r := receiver.New(d.ManagementToken())
	server := httptest.NewServer(r)
	defer server.Close()
	d.Start()
	c := d.Client()
	ctx := context.Background()

	_, err := c.ConnectVehicles(ctx, "vendor", refresh)
	if err == nil || !strings.Contains(err.Error(), "token endpoint") || !strings.Contains(err.Error(), "instead of JSON") || !strings.Contains(err.Error(), "try again") || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("connecting through a proxy's page: %v", err)
	}
	if vehicles, err := c.Vehicles(ctx, "", 0); err != nil || len(vehicles.Items) != 0 {
		t.Errorf("%v, %v", vehicles, err)
	}
	page.Store(false)
	if _, err := c.ConnectVehicles(ctx, "vendor", refresh); err != nil {
		t.Fatal(err)
	}
	hook := d.Webhook(r, adminapi.NewWebhook{Name: "home", CallbackURI: server.URL})
	if _, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", All: true}); err != nil {
		t.Fatal(err)
	}
	daemon.Eventually(t, "a payload arrives", func() bool { return len(r.Accepted()) == 1 })
	for _, m := range r.Messages() {
		if m.Event == "dynamic" && (len(m.Errors) != 3 || !strings.Contains(m.Errors[0], "UPSTREAM:INVALID_DATA") || !bytes.Contains(m.Body, []byte("HTML instead of JSON")) || bytes.Contains(m.Body, []byte("It works"))) {
			t.Errorf("the payload says %q: %s", m.Errors, m.Body)
		}
	}
	view, err := c.Vehicle(ctx, uuid.MustParse(v).String())
	if err != nil || view.Status.State != vehicle.StateUnknown {
		t.Errorf("a page was taken for a state: %v, %v", view.Status.State, err)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	// No secret is in the log, nor in the clear in the data file.
	db, err := os.ReadFile(d.DataFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", d.ManagementToken(), hook.SigningKey, strings.TrimPrefix(hook.SigningKey, "whsec_")} {
		if strings.Contains(d.Log(), secret) || bytes.Contains(db, []byte(secret)) {
			t.Errorf("a secret (%.9s...) is in the log or the data file", secret)
		}
	}
}
