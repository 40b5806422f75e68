package smartcar_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"plugbeat/server/servertest"
	"plugbeat/vehicle"
)

// dialect is how one of Smartcar's SDKs that do not run here speaks: what it sends
// with every request, and what an answer must have for it to be decoded
// (docs/api.md). The Node SDK itself runs in test/sdk.
type dialect struct {
	name    string
	headers [][2]string
	// form is true where the client's credentials are in the form and not in a header.
	form bool
	// success and failure hold an answer to what the SDK needs.
	success, failure func(t *testing.T, a servertest.Answer)
}

func dialects() []dialect {
	return []dialect{
		{name: "Python", headers: [][2]string{{"User-Agent", "Smartcar/6.15.4 (Linux; x86_64) Python v3.11.2"}, {"Accept-Encoding", "gzip, deflate"}, {"Accept", "*/*"}, {"sc-unit-system", "metric"}}, success: isJSON, failure: pythonError},
		{name: "Java", headers: [][2]string{{"User-Agent", "Smartcar/4.8.1 (Linux; amd64) Java v17"}, {"Accept-Encoding", "gzip"}, {"sc-unit-system", "metric"}}, success: javaMeta, failure: javaError},
		{name: "Ruby", form: true, headers: [][2]string{{"User-Agent", "Smartcar/3.9.0 (linux; x86_64) Ruby v3.1.2"}, {"Content-Type", "application/json"}, {"Accept", "*/*"}}, success: isJSON, failure: rubyError},
		{name: "Go v1", headers: [][2]string{{"User-Agent", "Smartcar/1.4.0 (linux; amd64) Go v1.19"}, {"Accept-Encoding", "gzip"}}, success: isJSON, failure: isJSON},
		{name: "Go v2", headers: [][2]string{{"User-Agent", "speakeasy-sdk/go 1.7.0"}, {"Accept", "application/json"}, {"Accept-Encoding", "gzip"}}, success: isJSON, failure: isJSON},
	}
}

func isJSON(t *testing.T, a servertest.Answer) {
	t.Helper()
	if !strings.Contains(strings.Join(a.Header["content-type"], ","), "application/json") || !json.Valid([]byte(a.Body)) {
		t.Errorf("not JSON: %v %s", a.Header, a.Body)
	}
	if a.Header["Content-Encoding"] != nil || a.Header["content-encoding"] != nil {
		t.Errorf("encoded: %v", a.Header)
	}
}

// javaTime is the only form that Java reads rightly: three decimals and a Z.
var javaTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

// javaMeta: every answer has an id, and times are in Java's form.
func javaMeta(t *testing.T, a servertest.Answer) {
	t.Helper()
	isJSON(t, a)
	if len(a.Header["sc-request-id"]) != 1 {
		t.Errorf("no sc-request-id: %v", a.Header)
	}
	for _, name := range []string{"sc-data-age", "sc-fetched-at"} {
		for _, v := range a.Header[name] {
			if !javaTime.MatchString(v) {
				t.Errorf("%s: %s", name, v)
			}
		}
	}
}

func errorBody(t *testing.T, a servertest.Answer) map[string]any {
	t.Helper()
	isJSON(t, a)
	var e map[string]any
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// javaError: headers in lower case, five members there, two of them texts; resolution
// null, a text, or an object that has a type and no url that is null.
func javaError(t *testing.T, a servertest.Answer) {
	t.Helper()
	e := errorBody(t, a)
	if len(a.Header["sc-request-id"]) != 1 || a.Status == 429 && len(a.Header["retry-after"]) != 1 {
		t.Errorf("headers in lower case: %v", a.Header)
	}
	for _, k := range []string{"type", "code", "description", "docURL", "resolution"} {
		if _, there := e[k]; !there {
			t.Errorf("no %s: %s", k, a.Body)
		}
	}
	if _, text := e["docURL"].(string); !text {
		t.Errorf("docURL: %s", a.Body)
	}
	if r, object := e["resolution"].(map[string]any); object {
		if _, there := r["type"]; !there {
			t.Errorf("resolution without type: %s", a.Body)
		}
		if u, there := r["url"]; there && u == nil {
			t.Errorf("resolution with url null: %s", a.Body)
		}
	}
	if d, there := e["detail"]; there {
		if _, array := d.([]any); !array {
			t.Errorf("detail is no array: %s", a.Body)
		}
	}
	if s, there := e["suggestedUserMessage"]; there && s == nil {
		t.Errorf("suggestedUserMessage is null: %s", a.Body)
	}
}

// pythonError reads status and id from the body.
func pythonError(t *testing.T, a servertest.Answer) {
	t.Helper()
	if e := errorBody(t, a); e["statusCode"] != float64(a.Status) || e["requestId"] == nil || e["type"] == nil {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func rubyError(t *testing.T, a servertest.Answer) {
	t.Helper()
	if e := errorBody(t, a); e["type"] == nil || e["description"] == nil || e["requestId"] == nil {
		t.Errorf("%s", a.Body)
	}
}

// entries holds a batch to what Python and Java need: headers that are an object on
// each entry.
func entries(t *testing.T, a servertest.Answer) {
	t.Helper()
	var b struct {
		Responses []struct {
			Path    *string           `json:"path"`
			Code    *int              `json:"code"`
			Body    map[string]any    `json:"body"`
			Headers map[string]string `json:"headers"`
		} `json:"responses"`
	}
	if err := json.Unmarshal([]byte(a.Body), &b); err != nil || len(b.Responses) == 0 {
		t.Fatalf("%v %s", err, a.Body)
	}
	for _, e := range b.Responses {
		if e.Path == nil || e.Code == nil || e.Body == nil || e.Headers == nil {
			t.Errorf("an entry lacks something: %s", a.Body)
		}
		if *e.Code != 200 {
			javaError(t, servertest.Answer{Status: *e.Code, Header: map[string][]string{"content-type": {"application/json"}, "sc-request-id": {"x"}}, Body: string(servertest.Must[[]byte](t)(json.Marshal(e.Body)))})
		}
	}
}

// has is what an answer's body says.
func has(parts ...string) func(*testing.T, servertest.Answer) {
	return func(t *testing.T, a servertest.Answer) {
		t.Helper()
		for _, p := range parts {
			if !strings.Contains(a.Body, p) {
				t.Errorf("%s lacks %s", a.Body, p)
			}
		}
	}
}

// vector is one request as SDKs put it on the wire. In the target {vehicle}, {hook} and
// {other} stand for ids.
type vector struct {
	what           string
	sdks           string // names separated by commas; empty for all
	method, target string
	auth           string // access, amt, servertest.Management, client, or empty for none
	header         [][2]string
	body           string
	status         int
	check          func(*testing.T, servertest.Answer)
}

var batchOfThree = `{"requests":[{"path":"/battery"},{"path":"/charge"},{"path":"/odometer"}]}`

func vectors() []vector {
	metric := [][2]string{{"Content-Type", "application/json"}}
	return []vector{
		{"vehicles", "Python,Java,Ruby,Go v2", "GET", "/v2.0/vehicles?limit=10&offset=0", "access", nil, "", 200, has(`"vehicles":[`, `"paging":{"count":`)},
		{"vehicles", "Go v1", "GET", "/v2.0/vehicles/?limit=10&offset=0", "access", nil, "", 200, has(`"vehicles":[`)},
		{"user", "Python,Java,Ruby,Go v2", "GET", "/v2.0/user", "access", nil, "", 200, has(`"id":"`)},
		{"user", "Go v1", "GET", "/v2.0/user/", "access", nil, "", 200, has(`"id":"`)},
		{"attributes", "Python,Java,Go v1", "GET", "/v2.0/vehicles/{vehicle}/", "access", nil, "", 200, has(`"make":"TESLA"`, `"year":2021`)},
		{"attributes", "Ruby,Go v2", "GET", "/v2.0/vehicles/{vehicle}", "access", nil, "", 200, has(`"make":"TESLA"`)},
		{"with flags", "", "GET", "/v2.0/vehicles/{vehicle}?flags=country:DE%20color:00819D", "access", nil, "", 200, has(`"model"`)},
		{"permissions", "", "GET", "/v2.0/vehicles/{vehicle}/permissions", "access", nil, "", 200, has(`"permissions":["read_charge","read_battery"]`)},
		{"battery", "", "GET", "/v2.0/vehicles/{vehicle}/battery", "access", nil, "", 200, has(`"percentRemaining":0.64`)},
		{"charge", "", "GET", "/v2.0/vehicles/{vehicle}/charge", "access", nil, "", 200, has(`"isPluggedIn":true`)},
		{"location", "", "GET", "/v2.0/vehicles/{vehicle}/location", "access", nil, "", 200, has(`"latitude":`)},
		{"odometer", "", "GET", "/v2.0/vehicles/{vehicle}/odometer", "access", nil, "", 501, has(`"COMPATIBILITY"`)},
		{"start charging", "", "POST", "/v2.0/vehicles/{vehicle}/charge", "access", metric, `{"action":"START"}`, 501, has(`"COMPATIBILITY"`)},
		{"batch", "Python,Java,Ruby,Go v1", "POST", "/v2.0/vehicles/{vehicle}/batch", "access", metric, batchOfThree, 200, entries},
		{"batch as a bare array", "Go v2", "POST", "/v2.0/vehicles/{vehicle}/batch", "access", metric, `[{"path":"/battery"}]`, 400, has(`"VALIDATION"`)},
		{"subscribe, length 0", "Python,Java", "POST", "/v2.0/vehicles/{vehicle}/webhooks/{hook}", "access", nil, "", 200, has(`"vehicleId":"`, `"webhookId":"`)},
		{"subscribe, JSON without a body", "Ruby", "POST", "/v2.0/vehicles/{vehicle}/webhooks/{hook}", "access", metric, "", 200, has(`"vehicleId":"`)},
		{"subscribe with a body", "Go v2", "POST", "/v2.0/vehicles/{vehicle}/webhooks/{hook}", "access", metric, `{"vehicleid":"{vehicle}","webhookid":"{hook}"}`, 200, has(`"webhookId":"`)},
		{"unsubscribe", "", "DELETE", "/v2.0/vehicles/{vehicle}/webhooks/{hook}", "amt", nil, "", 200, has(`{"status":"success"}`)},
		{"unsubscribe with the access token", "", "DELETE", "/v2.0/vehicles/{vehicle}/webhooks/{hook}", "access", nil, "", 200, has(`{"status":"success"}`)},
		{"connections", "Java,Ruby", "GET", "/v2.0/management/connections?user_id={other}", "management", nil, "", 200, has(`"connections":[`, `"paging":{"cursor":`)},
		{"connections", "Python", "GET", "/v2.0/management/connections/?limit=10", "management", nil, "", 200, has(`"connectedAt":"`, `"mode":"`)},
		{"delete connections", "Python", "DELETE", "/v2.0/management/connections/?vehicle_id={other}", "management", nil, "", 200, has(`"connections":[]`)},
		{"compatibility matrix", "Python,Java,Ruby", "GET", "/v2.0/compatibility/matrix?scope=read_charge", "client", nil, "", 501, has(`"COMPATIBILITY"`)},
		{"compatibility", "Python,Java,Ruby", "GET", "/v2.0/compatibility?vin=5YJSA1CN5DFP00101&scope=read_charge&country=US", "client", nil, "", 501, has(`"COMPATIBILITY"`)},
		{"compatibility", "Go v1", "GET", "/v2.0/compatibility/?vin=5YJSA1CN5DFP00101&scope=read_charge&country=US", "client", nil, "", 501, nil},
		{"no token", "", "GET", "/v2.0/vehicles/{vehicle}/battery", "", nil, "", 401, has(`"AUTHENTICATION"`)},
		{"another's vehicle", "", "GET", "/v2.0/vehicles/{other}/battery", "access", nil, "", 403, has(`"PERMISSION"`)},
		{"not an id", "", "GET", "/v2.0/vehicles/veh-0001/battery", "access", nil, "", 400, has(`"VALIDATION"`, `"detail":[`)},
		{"another version", "", "GET", "/v1.0/vehicles", "access", nil, "", 404, has(`"VERSION"`)},
		{"units", "", "GET", "/v2.0/vehicles/{vehicle}/battery", "access", [][2]string{{"SC-Unit-System", "furlongs"}}, "", 400, has(`"VALIDATION"`)},
		{"limited", "", "GET", "/v2.0/vehicles/{vehicle}/charge", "access", nil, "limited", 429, has(`"RATE_LIMIT"`)},
	}
}

// Every SDK's requests, as they are on the wire, get an answer that it decodes.
func TestDialects(t *testing.T) {
	names := map[string]bool{}
	for _, d := range dialects() {
		names[d.name] = true
		t.Run(d.name, func(t *testing.T) {
			p := servertest.NewPortal(t)
			tokens := loginAs(t, p, d)
			ids := strings.NewReplacer("{vehicle}", servertest.VehicleA.String(), "{hook}", servertest.HookID.String(), "{other}", servertest.NoID.String())
			for _, v := range vectors() {
				if v.sdks != "" && !slices.Contains(strings.Split(v.sdks, ","), d.name) {
					continue
				}
				header := slices.Clone(d.headers)
				for _, h := range v.header { // a header of the request replaces the SDK's
					header = slices.DeleteFunc(header, func(o [2]string) bool { return strings.EqualFold(o[0], h[0]) })
				}
				header = append(header, v.header...)
				switch v.auth {
				case "access":
					header = append(header, servertest.BearerOf(tokens.AccessToken)...)
				case "amt":
					header = append(header, servertest.BearerOf(servertest.Management)...)
				case "management":
					header = append(header, servertest.BasicOf("default", servertest.Management)...)
				case "client":
					header = append(header, servertest.BasicOf(servertest.ClientID, servertest.ClientSecret)...)
				}
				limit(p.W, v.body == "limited")
				a := servertest.Exchange(t, strings.TrimPrefix(p.URL, "http://"), v.method, ids.Replace(v.target), header, ids.Replace(v.body))
				t.Run(v.what, func(t *testing.T) {
					if a.Status != v.status {
						t.Fatalf("%s %s: %d %s", v.method, v.target, a.Status, a.Body)
					}
					if a.Status < 400 {
						d.success(t, a)
					} else {
						d.failure(t, a)
					}
					if v.check != nil {
						v.check(t, a)
					}
				})
			}
		})
	}
	for _, v := range vectors() {
		for name := range strings.SplitSeq(v.sdks, ",") {
			if v.sdks != "" && !names[name] {
				t.Errorf("%s: there is no %q", v.what, name)
			}
		}
	}
}

// limit makes reads fail for the vehicle's rate limit.
func limit(w *servertest.World, on bool) {
	w.FailRead = nil
	if on {
		w.FailRead = &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, Resolution: vehicle.ResolveRetryLater, RetryAfter: time.Minute, Description: "slower"}
	}
}

// loginAs gets tokens as the SDK does: the code and a refresh, its credentials where it
// puts them.
func loginAs(t *testing.T, p *servertest.Portal, d dialect) servertest.TokenAnswer {
	t.Helper()
	path := map[bool]string{true: "/oauth/token/", false: "/oauth/token"}[d.name == "Go v1"]
	ask := func(form url.Values) servertest.TokenAnswer {
		header := slices.DeleteFunc(slices.Clone(d.headers), func(h [2]string) bool { return h[0] == "Content-Type" })
		if d.form {
			form.Set("client_id", servertest.ClientID)
			form.Set("client_secret", servertest.ClientSecret)
		} else {
			header = append(header, [2]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(servertest.ClientID+":"+servertest.ClientSecret))})
		}
		header = append(header, [2]string{"Content-Type", "application/x-www-form-urlencoded"})
		a := servertest.Exchange(t, strings.TrimPrefix(p.URL, "http://"), "POST", path, header, form.Encode())
		got := servertest.TokenAnswer{Status: a.Status}
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := ask(url.Values{"grant_type": {"authorization_code"}, "code": {p.Code(servertest.Asked("scope", ""))}, "redirect_uri": {servertest.RedirectURI}})
	second := ask(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.RefreshToken}})
	if second.Status != 200 || second.ExpiresIn != 7200 {
		t.Fatalf("%+v, then %+v", first, second)
	}
	if bad := ask(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"nobody"}}); bad.Status != 400 || bad.Error != "invalid_grant" || bad.Description == "" {
		t.Errorf("%+v", bad)
	}
	return second
}
