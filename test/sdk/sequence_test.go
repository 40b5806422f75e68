package sdk

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plugbeat/test/daemon"
	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
)

const (
	redirectURI = "https://app.example.com/exchange"
	appID       = "3f5a0d52-0000-4000-8000-000000000001"
	appSecret   = "3f5a0d52-0000-4000-8000-0000000000ff"
)

// vendorConfig is init's config with the application, and with a Smartcar source that
// is the simulator's in place of the three vehicles.
func vendorConfig(api, origin string) func(string) string {
	return func(config string) string {
		config = strings.NewReplacer("127.0.0.1:8765", api, "127.0.0.1:8766", "127.0.0.1:0",
			"application:\n", "application:\n  client_id: "+appID+"\n  client_secret_file: app_secret\n  redirect_uris: ["+redirectURI+"]\n").Replace(config)
		at := strings.Index(config, "\nsources:\n")
		end := at + 1 + strings.Index(config[at+1:], "\n# How often")
		return config[:at] + "\nsources:\n  smartcar:\n    type: smartcar\n    client_id: simulator\n    client_secret_file: vendor_secret\n    mode: simulated\n" +
			"    api_origin: " + origin + "\n    auth_origin: " + origin + "\n    connect_origin: " + origin + "\n" + config[end:]
	}
}

// upstream is Smartcar, over HTTP.
func upstream(t *testing.T) (*simulator.Server, string) {
	t.Helper()
	f, err := simulator.NewFleet(simulator.Settings{Seed: 3, Vehicles: 3})
	if err != nil {
		t.Fatal(err)
	}
	s := simulator.NewServer(f, simulator.ServerOptions{})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

// connect goes where a browser would go from the address, and returns where the
// application got it back.
func connect(t *testing.T, address string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURI) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := browser.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	back, err := res.Location()
	if err != nil {
		t.Fatalf("%s led to %s, which answers %d", address, res.Request.URL, res.StatusCode)
	}
	return back.Query()
}

// The whole way of an application, with both lines of the SDK, to vehicles at Smartcar
// that plugbeat reads.
func TestSmartcarSDKWholeSequence(t *testing.T) {
	node := needNode(t)
	for _, line := range []string{"smartcar-9", "smartcar-10"} {
		t.Run(line, func(t *testing.T) { sequence(t, node, line) })
	}
}

func sequence(t *testing.T, node, line string) {
	vendor, origin := upstream(t)
	api := daemon.FreeAddress(t)
	d := daemon.New(t, vendorConfig(api, origin))
	for name, text := range map[string]string{"app_secret": appSecret, "vendor_secret": "simulator-secret"} {
		if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.Start()
	var added struct {
		Webhook struct {
			ID string `json:"id"`
		} `json:"webhook"`
	}
	d.JSON(&added, "webhook", "add", "--name", "sdk", "--callback", "https://receiver.example.com/hook")
	vehicles := vendor.Fleet().Vehicles()
	limited := simulator.Row(vehicle.TypeRateLimit, "VEHICLE")
	limited.RetryAfter = 42 * time.Second
	vendor.Inject(vehicles[1].ID, simulator.Injection{Fault: limited, Whole: true})
	vendor.Inject(vehicles[2].ID, simulator.Injection{Fault: simulator.Row(vehicle.TypeVehicleState, "ASLEEP"), Paths: vehicle.PathsOf(vehicle.PathBattery)})

	in, lines := script(t, node, "sequence.js", line)
	tell(t, in, map[string]any{"origin": "http://" + api, "clientId": appID, "clientSecret": appSecret, "redirectUri": redirectURI, "amt": d.ManagementToken(), "webhook": added.Webhook.ID})
	urls := hear(t, lines).AuthURLs
	if len(urls) != 2 {
		t.Fatal(urls)
	}
	vendor.RefuseConnect("access_denied")
	if back := connect(t, urls[1]); back.Get("error") != "access_denied" || back.Get("state") != "again" || back.Has("code") {
		t.Errorf("an owner who refuses: %v", back)
	}
	back := connect(t, urls[0])
	if back.Get("state") != "of the app" || back.Get("code") == "" {
		t.Fatalf("%v", back)
	}
	tell(t, in, map[string]any{"code": back.Get("code")})
	calls := hear(t, lines).Calls

	wants := map[string]want{
		"wrongCode": {400, "invalid_grant", ""}, "wrongSecret": {401, "invalid_client", ""}, "wrongRedirect": {400, "invalid_grant", ""}, "wrongRefresh": {400, "invalid_grant", ""},
		"badToken": {401, "AUTHENTICATION", ""}, "getVehiclesWrong": {400, "VALIDATION", ""},
		"limited": {429, "RATE_LIMIT", "VEHICLE"}, "asleep": {409, "VEHICLE_STATE", "ASLEEP"},
		"batchOfAsleep.battery": {0, "VEHICLE_STATE", "ASLEEP"}, "batchWrong": {400, "VALIDATION", ""},
		"subscribeNowhere": {404, "RESOURCE_NOT_FOUND", "PATH"}, "unsubscribeWrong": {401, "AUTHENTICATION", ""}, "othersVehicle": {403, "PERMISSION", ""},
		"compatibility": {501, "COMPATIBILITY", "SMARTCAR_NOT_CAPABLE"}, "getConnectionsWrong": {401, "AUTHENTICATION", ""}, "afterDisconnect": {403, "PERMISSION", ""},
		"deleteConnectionsWrong": {400, "VALIDATION", ""}, "codeAgain": {400, "invalid_grant", ""}, "revoked": {401, "AUTHENTICATION", ""}, "revokedRefresh": {400, "invalid_grant", ""},
	}
	var failed, succeeded int
	for name, raw := range calls {
		r := decode(t, raw)
		w, expected := wants[name]
		if strings.HasPrefix(name, "no.") {
			w, expected = want{501, "COMPATIBILITY", "VEHICLE_NOT_CAPABLE"}, true
		}
		if !expected {
			if succeeded++; r.Error != nil {
				t.Errorf("%s: %+v; want a success", name, *r.Error)
			}
			continue
		}
		failed++
		w.hold(t, name, r)
	}
	for name := range wants {
		if calls[name] == nil {
			t.Errorf("%s was not called", name)
		}
	}
	ok := func(name string) map[string]any { return decode(t, calls[name]).OK }
	if r := decode(t, calls["limited"]); r.Error == nil || r.Error.RetryAfter != "42" {
		t.Errorf("retryAfter of a limited vehicle: %+v", r.Error)
	}
	if id := ok("getUser")["id"]; id != vendor.User().String() {
		t.Errorf("the user is %v, at the vendor %v", id, vendor.User())
	}
	var ids []string
	for _, id := range ok("getVehicles")["vehicles"].([]any) {
		ids = append(ids, id.(string))
	}
	for i, c := range vehicles {
		if i >= len(ids) || ids[i] != c.ID.String() {
			t.Errorf("vehicles %v are not the vendor's", ids)
		}
	}
	if page := ok("getVehiclesPage"); len(page["vehicles"].([]any)) != 1 || page["vehicles"].([]any)[0] != ids[1] {
		t.Errorf("%v", page)
	}
	if got := ok("permissions")["permissions"].([]any); !slices.Contains(got, any("read_charge")) || len(got) != 6 {
		t.Errorf("permissions %v", got)
	}
	if vin := ok("extra.vin")["vin"]; vin != vendor.Fleet().Vehicle(0).VIN {
		t.Errorf("the VIN is %v", vin)
	}
	km, _ := ok("extra.odometer")["distance"].(float64)
	if miles, _ := ok("extra.odometerImperial")["distance"].(float64); km < 5000 || math.Abs(km/1.609344-miles) > 1 {
		t.Errorf("the odometer is %v km, %v mi", km, miles)
	}
	for _, name := range []string{"battery", "batteryImperial", "extra.odometer", "extra.odometerImperial", "batch.odometer"} {
		meta, _ := ok(name)["meta"].(map[string]any)
		for _, key := range []string{"requestId", "dataAge", "fetchedAt", "unitSystem"} {
			if meta[key] == nil || meta[key] == "" {
				t.Errorf("%s: meta %v has no %s", name, meta, key)
			}
		}
	}
	if n := len(ok("getConnections")["connections"].([]any)) + len(ok("getConnectionsNext")["connections"].([]any)); n != 3 {
		t.Errorf("%d connections on two pages", n)
	}
	if n := len(ok("deleteConnectionsOfUser")["connections"].([]any)); n != 1 {
		t.Errorf("%d connections were left to the user", n)
	}
	if n := len(ok("getVehiclesAfter")["vehicles"].([]any)); n != 0 {
		t.Errorf("%d vehicles after all are disconnected", n)
	}
	for _, secret := range []string{appSecret, "simulator-secret"} {
		if strings.Contains(d.Log(), secret) {
			t.Error("a secret is in the log")
		}
	}
	t.Logf("%s: Connect, %d calls that succeed and %d that fail as they should", line, succeeded, failed)
}

// want is an exception of the SDK; an entry of a batch has no status of its own in both
// lines, and OAuth's errors no code.
type want struct {
	status float64
	kind   string
	code   string
}

func (w want) hold(t *testing.T, name string, r result) {
	t.Helper()
	if r.Error == nil {
		t.Errorf("%s: %v; want %v", name, r.OK, w)
		return
	}
	e, code := *r.Error, ""
	if e.Code != nil {
		code = *e.Code
	}
	if e.Name != "SmartcarError" || w.status != 0 && e.StatusCode != w.status || e.Type != w.kind || code != w.code || e.RequestID == "" {
		raw, _ := json.Marshal(e)
		t.Errorf("%s: %s; want a SmartcarError %v with a request id", name, raw, w)
	}
}
