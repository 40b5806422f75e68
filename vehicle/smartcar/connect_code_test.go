package smartcar_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
)

const callback = "https://plugbeat.example.com/oauth/callback"

func TestAuthorizeURL(t *testing.T) {
	s := open(t, smartcar.Options{ConnectOrigin: "https://connect.example/", Tokens: &memory{}, Mode: vehicle.ModeTest})
	given := url.Values{"scope": {"required:read_charge"}, "make": {"TESLA"}, "redirect_uri": {"https://evil.example"}, "client_id": {"other"}, "state": {"theirs"}, "response_type": {"token"}}
	for _, tt := range []struct {
		q           url.Values
		scope, mode string
	}{
		{nil, "read_vehicle_info read_charge read_battery read_location", "test"},
		{given, "required:read_charge", "test"},
		{url.Values{"mode": {"simulated"}}, "read_vehicle_info read_charge read_battery read_location", "simulated"},
	} {
		u, err := url.Parse(s.AuthorizeURL("a state", callback, tt.q))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if u.Scheme+"://"+u.Host+u.Path != "https://connect.example/oauth/authorize" || q.Get("client_id") != "simulator" || q.Get("redirect_uri") != callback ||
			q.Get("state") != "a state" || q.Get("response_type") != "code" || q.Get("scope") != tt.scope || q.Get("mode") != tt.mode || q.Get("make") != tt.q.Get("make") {
			t.Error(u)
		}
	}
	if given.Get("state") != "theirs" {
		t.Error("the caller's values were changed")
	}
}

// A code connects its user, once; the pair is durable before it is used.
func TestConnectCode(t *testing.T) {
	w := newWorld(t, 2, simulator.ServerOptions{})
	code := w.server.Code(callback)
	before, usedUnsaved := w.tokens.count(), false
	w.seen.set(func(r *http.Request) (*http.Response, error) {
		usedUnsaved = usedUnsaved || r.URL.Path == "/v2.0/user" && w.tokens.count() == before
		return nil, nil //nolint:nilnil // it is passed on
	})
	vehicles, err := w.source.ConnectCode(t.Context(), code, callback)
	name := w.server.User().String()
	if err != nil || len(vehicles) != 2 || vehicles[0].Connection != name || vehicles[0].Make == "" || usedUnsaved {
		t.Fatal(vehicles, err, usedUnsaved)
	}
	if names := w.tokens.accounts(); len(names) != 1 || names[0] != name {
		t.Errorf("tokens are kept for %v", names)
	}
	if _, f := w.read(t, all); f != nil {
		t.Error(f)
	}
	for what, again := range map[string][2]string{"twice": {code, callback}, "with another redirect URI": {w.server.Code(callback), callback + "x"}, "unknown": {"nobody", callback}} {
		_, err := w.source.ConnectCode(t.Context(), again[0], again[1])
		if f, ok := errors.AsType[*vehicle.Fault](err); !ok || f.Type != vehicle.TypeAccount || strings.Contains(err.Error(), again[0]) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, f := w.read(t, all); f != nil {
		t.Errorf("after codes that were refused: %v", f)
	}
}

// What cannot be saved is not used.
func TestConnectCodeUnsaved(t *testing.T) {
	w := newWorld(t, 1, simulator.ServerOptions{})
	w.tokens.fail(errors.New("the disk is full"))
	asked := w.server.Requests()["GET /v2.0/user"]
	if _, err := w.source.ConnectCode(t.Context(), w.server.Code(callback), callback); err == nil {
		t.Error("it is no error")
	}
	if w.server.Requests()["GET /v2.0/user"] != asked {
		t.Error("a pair was used that was not saved")
	}
}

// An owner whose connecting failed, or was cut off by the end of the process, after the
// vendor had taken the token or the code, is connected by the same one again, though
// the vendor takes neither twice.
func TestConnectAfterACut(t *testing.T) {
	for _, path := range []string{"/v2.0/user", "/v2.0/vehicles", "/permissions"} {
		for _, restart := range []bool{false, true} {
			w := newWorld(t, 2, simulator.ServerOptions{Grace: -1})
			token, code := w.server.RefreshToken(), w.server.Code(callback)
			connects := map[string]func() ([]vehicle.Vehicle, error){
				"token": func() ([]vehicle.Vehicle, error) { return w.source.Connect(t.Context(), token) },
				"code":  func() ([]vehicle.Vehicle, error) { return w.source.ConnectCode(t.Context(), code, callback) },
			}
			for what, connect := range connects {
				w.seen.set(func(r *http.Request) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, path) {
						return nil, errors.New("the process ends")
					}
					return nil, nil //nolint:nilnil // it is passed on
				})
				if _, err := connect(); err == nil {
					t.Fatalf("%s cut off at %s: it is no error", what, path)
				}
				w.seen.set(nil)
				if restart {
					w.source = open(t, smartcar.Options{APIOrigin: "https://api.example", AuthOrigin: "https://auth.example", Tokens: w.tokens, HTTPClient: &http.Client{Transport: w.seen}})
				}
				vehicles, err := connect()
				if err != nil || len(vehicles) != 2 || vehicles[0].Connection != w.server.User().String() {
					t.Errorf("%s cut off at %s, restart %t: %+v %v", what, path, restart, vehicles, err)
				}
			}
			if names := w.tokens.accounts(); len(names) != 1 {
				t.Errorf("tokens are kept for %v", names)
			}
		}
	}
}
