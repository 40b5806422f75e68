package smartcar_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
)

// TestErrorTable: every row of the vendor's error table arrives as it is, as an
// entry of a batch, as a single answer and as the answer of a whole batch.
func TestErrorTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		for _, row := range simulator.Rows() {
			for _, whole := range []bool{false, true} {
				for _, paths := range []vehicle.Paths{all, charge} {
					if row.Type == vehicle.TypeAuthentication && (whole || paths == charge) {
						continue // TestUnauthorized
					}
					remove := w.server.Inject(w.vehicles[0].ID, simulator.Injection{Fault: row, Whole: whole})
					s, got := w.read(t, paths)
					remove()
					if got == nil {
						t.Errorf("%s:%s whole=%v [%v]: a value", row.Type, row.Code, whole, paths)
						continue
					}
					if got.RequestID != s.RequestID {
						t.Errorf("%s:%s: request id %q, snapshot has %q", row.Type, row.Code, got.RequestID, s.RequestID)
					}
					want := *row
					want.RequestID, want.DocURL = got.RequestID, row.Doc()
					if d := cmp.Diff(&want, got); d != "" {
						t.Errorf("%s:%s whole=%v [%v] (-want +got):\n%s", row.Type, row.Code, whole, paths, d)
					}
				}
			}
		}
	})
}

// remedies say what comes of each row of the vendor's error table, which docs/sources.md
// tells: tried again within the slot, read at the unplugged cadence, somebody told,
// the whole source at rest.
var remedies = map[string]string{
	"VALIDATION": "", "VALIDATION:PARAMETER": "",
	"CONNECTED_SERVICES_ACCOUNT:ACCOUNT_ISSUE": "slow tell", "CONNECTED_SERVICES_ACCOUNT:NO_VEHICLES": "slow tell",
	"CONNECTED_SERVICES_ACCOUNT:SUBSCRIPTION": "slow tell", "CONNECTED_SERVICES_ACCOUNT:VEHICLE_MISSING": "slow tell",
	"CONNECTED_SERVICES_ACCOUNT:AUTHENTICATION_FAILED": "slow tell", "CONNECTED_SERVICES_ACCOUNT:PERMISSION": "slow tell",
	"CONNECTED_SERVICES_ACCOUNT:VIRTUAL_KEY_REQUIRED": "slow tell",
	"AUTHENTICATION": "slow tell", "PERMISSION": "slow tell",
	"RESOURCE_NOT_FOUND:PATH": "", "RESOURCE_NOT_FOUND:VERSION": "",
	"VEHICLE_STATE:ASLEEP": "", "VEHICLE_STATE:CHARGING_IN_PROGRESS": "", "VEHICLE_STATE:CHARGING_PLUG_CONNECTED": "",
	"VEHICLE_STATE:CHARGING_PLUG_NOT_CONNECTED": "", "VEHICLE_STATE:CHARGE_FAULT": "", "VEHICLE_STATE:DOOR_OPEN": "",
	"VEHICLE_STATE:FULLY_CHARGED": "", "VEHICLE_STATE:HOOD_OPEN": "", "VEHICLE_STATE:IGNITION_ON": "", "VEHICLE_STATE:IN_MOTION": "",
	"VEHICLE_STATE:NOT_CHARGING": "", "VEHICLE_STATE:REMOTE_ACCESS_DISABLED": "", "VEHICLE_STATE:TRUNK_OPEN": "",
	"VEHICLE_STATE:UNREACHABLE": "", "VEHICLE_STATE:VEHICLE_OFFLINE_FOR_SERVICE": "", "VEHICLE_STATE:UNKNOWN": "", "VEHICLE_STATE:LOW_BATTERY": "",
	"RATE_LIMIT:SMARTCAR_API": "again pause", "RATE_LIMIT:VEHICLE": "again",
	"BILLING:INVALID_PLAN": "slow tell", "BILLING:VEHICLE_LIMIT": "slow tell", "BILLING:VEHICLE_REQUEST_LIMIT": "slow tell", "BILLING:ACCOUNT_SUSPENDED": "slow tell",
	"SERVER:INTERNAL": "again", "SERVER:RECORD_NOT_FOUND": "tell", "SERVER:MULTIPLE_RECORDS_FOUND": "tell",
	"COMPATIBILITY:MAKE_NOT_COMPATIBLE": "", "COMPATIBILITY:SMARTCAR_NOT_CAPABLE": "", "COMPATIBILITY:VEHICLE_NOT_CAPABLE": "", "COMPATIBILITY:PLATFORM_NOT_CAPABLE": "tell",
	"UPSTREAM:INVALID_DATA": "again", "UPSTREAM:KNOWN_ISSUE": "again", "UPSTREAM:NO_RESPONSE": "again", "UPSTREAM:RATE_LIMIT": "again", "UPSTREAM:UNKNOWN_ISSUE": "again",
}

// TestRemedies holds every row, as it arrives over HTTP, to what is done about it.
func TestRemedies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		seen := 0
		for _, row := range simulator.Rows() {
			name := strings.TrimSuffix(row.Type+":"+row.Code, ":")
			want, ok := remedies[name]
			if !ok {
				t.Errorf("nobody said what to do about %s", name)
				continue
			}
			seen++
			remove := w.server.Inject(w.vehicles[0].ID, simulator.Injection{Fault: row})
			_, f := w.read(t, all)
			remove()
			if f == nil {
				t.Errorf("%s: a value", name)
				continue
			}
			var got []string
			for word, is := range map[string]bool{"again": f.Temporary(), "slow": f.Restricts(), "tell": f.NeedsPerson(), "pause": f.PausesSource()} {
				if is {
					got = append(got, word)
				}
			}
			slices.SortFunc(got, func(a, b string) int {
				return strings.Index("again slow tell pause", a) - strings.Index("again slow tell pause", b)
			})
			if text := strings.Join(got, " "); text != want {
				t.Errorf("%s: %q, want %q", name, text, want)
			}
			st := vehicle.Status{Restricted: f.Restricts(), Last: vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{Fault: f}}}
			if told := st.Trouble() == vehicle.NeedsOwner; told != strings.Contains(want, "tell") {
				t.Errorf("%s: told %t", name, told)
			}
		}
		if seen != len(remedies) {
			t.Errorf("%d rows of %d that something is said of", seen, len(remedies))
		}
	})
}

// TestRetryAfter: the wait that a rate limit asks for arrives, per vehicle in its
// entry and for the whole answer in its header, and the two limits stay apart.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		for _, code := range []string{"VEHICLE", "SMARTCAR_API"} {
			for _, whole := range []bool{false, true} {
				for _, paths := range []vehicle.Paths{all, charge} {
					row := simulator.Row(vehicle.TypeRateLimit, code)
					row.RetryAfter = 90 * time.Second
					remove := w.server.Inject(w.vehicles[0].ID, simulator.Injection{Fault: row, Whole: whole})
					_, f := w.read(t, paths)
					remove()
					if f == nil || f.Code != code || f.RetryAfter != 90*time.Second || !f.Temporary() {
						t.Errorf("%s whole=%v [%v]: %+v", code, whole, paths, f)
					}
				}
			}
		}
	})
}

// TestBucket: the application's bucket is the server's matter and comes as
// RATE_LIMIT:SMARTCAR_API.
func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{Bucket: 6, Refill: 30 * time.Second})
		for n := range 3 {
			_, f := w.read(t, all)
			if limited := f != nil && f.Code == "SMARTCAR_API"; limited != (n == 2) {
				t.Errorf("read %d: %v", n, f)
			}
		}
		time.Sleep(90 * time.Second)
		if _, f := w.read(t, all); f != nil {
			t.Error(f)
		}
		if n := w.reads(); n != 12 {
			t.Errorf("%d path reads counted, want 12: a refused read was asked for all the same", n)
		}
	})
}

// answering makes the API answer reads with a response of the test's own.
func (w *world) answering(status int, header http.Header, body string) {
	if header == nil {
		header = http.Header{}
	}
	w.seen.set(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Path, "/v2.0/vehicles/") {
			return nil, nil
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1, Request: r}, nil
	})
}

// TestAnswers: answers that are not what they should be, for /charge alone.
func TestAnswers(t *testing.T) {
	const good = `{"state":"CHARGING","isPluggedIn":true}`
	cases := []struct {
		name   string
		status int
		header http.Header
		body   string
		want   string // TYPE:CODE, or "" for a value
		text   string // part of the description
	}{
		{name: "good", status: 200, body: good},
		{name: "unknown members are passed over", status: 200, body: `{"state":"CHARGING","isPluggedIn":true,"x":{"y":[1]}}`},
		{name: "html", status: 200, body: "<html>login</html>", want: "UPSTREAM:INVALID_DATA", text: "HTML instead of JSON"},
		{name: "html 500", status: 500, body: "<html>", want: "SERVER:INTERNAL", text: "status 500"},
		{name: "html 502", status: 502, body: "<html>", want: "UPSTREAM:UNKNOWN_ISSUE", text: "HTML"},
		{name: "html 503", status: 503, body: "<html>", want: "UPSTREAM:UNKNOWN_ISSUE", text: "status 503"},
		{name: "html 403 of a proxy", status: 403, body: "<html>", want: "UPSTREAM:UNKNOWN_ISSUE"},
		{name: "html 404 of a proxy", status: 404, body: "<html>", want: "UPSTREAM:UNKNOWN_ISSUE"},
		{name: "text 429", status: 429, body: "slow down", header: http.Header{"Retry-After": {"7"}}, want: "RATE_LIMIT:SMARTCAR_API"},
		{name: "redirect", status: 302, header: http.Header{"Location": {"https://elsewhere.example/"}}, want: "UPSTREAM:UNKNOWN_ISSUE", text: "302"},
		{name: "empty", status: 200, body: "", want: "UPSTREAM:INVALID_DATA", text: "empty"},
		{name: "no content", status: 204, body: "", want: "UPSTREAM:INVALID_DATA"},
		{name: "null", status: 200, body: "null", want: "UPSTREAM:INVALID_DATA"},
		{name: "array", status: 200, body: "[]", want: "UPSTREAM:INVALID_DATA", text: "another shape"},
		{name: "cut off JSON", status: 200, body: good[:20], want: "UPSTREAM:INVALID_DATA"},
		{name: "something behind", status: 200, body: good + "{}", want: "UPSTREAM:INVALID_DATA"},
		{name: "huge", status: 200, body: `{"x":"` + strings.Repeat("a", 1<<20) + `"}`, want: "UPSTREAM:INVALID_DATA", text: "larger than"},
		{name: "error object as a success", status: 200, body: `{"type":"VEHICLE_STATE","code":"ASLEEP","description":"d","statusCode":409}`, want: "VEHICLE_STATE:ASLEEP"},
		{name: "old error as a success", status: 200, body: `{"error":"vehicle_state_error","message":"m","code":"VS_000"}`, want: "UPSTREAM:INVALID_DATA"},
		{name: "old error", status: 409, body: `{"error":"vehicle_state_error","message":"m","code":"VS_000"}`, want: "UPSTREAM:UNKNOWN_ISSUE"},
		{name: "no plug", status: 200, body: `{"state":"NOT_CHARGING"}`, want: "UPSTREAM:INVALID_DATA", text: "isPluggedIn is missing"},
		{name: "null plug", status: 200, body: `{"state":"NOT_CHARGING","isPluggedIn":null}`, want: "UPSTREAM:INVALID_DATA"},
		{name: "plug 0", status: 200, body: `{"state":"NOT_CHARGING","isPluggedIn":0}`, want: "UPSTREAM:INVALID_DATA"},
		{name: "plug text", status: 200, body: `{"state":"NOT_CHARGING","isPluggedIn":"true"}`, want: "UPSTREAM:INVALID_DATA", text: "neither true nor false"},
		{name: "plug in other case", status: 200, body: `{"state":"NOT_CHARGING","ispluggedin":true}`, want: "UPSTREAM:INVALID_DATA"},
		{name: "type of tomorrow", status: 418, body: `{"type":"TEAPOT","code":"SHORT","description":"d","resolution":"POUR"}`, want: "TEAPOT:SHORT"},
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		for _, c := range cases {
			w.answering(c.status, c.header, c.body)
			s, f := w.read(t, charge)
			got := ""
			if f != nil {
				got = f.Type + ":" + f.Code
				if f.Status < 400 || f.Status > 599 || f.Description == "" {
					t.Errorf("%s: %+v", c.name, f)
				}
				if !strings.Contains(f.Description, c.text) {
					t.Errorf("%s: description %q, want one with %q", c.name, f.Description, c.text)
				}
				if vehicle.StateOf(s.Charge) != vehicle.StateUnknown {
					t.Errorf("%s: a state without a value", c.name)
				}
			}
			if got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
			if c.name == "text 429" && f.RetryAfter != 7*time.Second {
				t.Errorf("%s: retry after %v", c.name, f.RetryAfter)
			}
		}
	})
}

// TestResolutions: null, a string, an object, an object whose type is null, none.
func TestResolutions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		for text, want := range map[string][2]string{
			`,"resolution":null`:                                              {},
			`,"resolution":{"type":null}`:                                     {},
			`,"resolution":{}`:                                                {},
			`,"resolution":"RETRY_LATER"`:                                     {"RETRY_LATER"},
			`,"resolution":{"type":"CONTACT_SUPPORT"}`:                        {"CONTACT_SUPPORT"},
			`,"resolution":{"type":"ACTION_REQUIRED","url":"https://a.b/c"}`:  {"ACTION_REQUIRED", "https://a.b/c"},
			`,"resolution":{"type":"ACTION_REQUIRED","url":"javascript:x()"}`: {"ACTION_REQUIRED"},
			`,"resolution":{"type":"ACTION_REQUIRED","url":null}`:             {"ACTION_REQUIRED"},
			`,"resolution":17`:                                                {},
			``:                                                                {"RETRY_LATER"},
		} {
			w.answering(502, nil, `{"type":"UPSTREAM","code":"KNOWN_ISSUE","description":"d","docURL":"https://d","statusCode":502`+text+`}`)
			_, f := w.read(t, charge)
			if f == nil || f.Type != "UPSTREAM" || f.Code != "KNOWN_ISSUE" || f.Resolution != want[0] || f.ResolutionURL != want[1] {
				t.Errorf("%s: %+v", text, f)
			}
		}
	})
}

// TestBatchEntries: entries are told apart; what is missing is a fault.
func TestBatchEntries(t *testing.T) {
	const loc = `{"path":"/location","code":200,"body":{"latitude":0,"longitude":-0.5},"headers":{}}`
	cases := []struct{ name, body, charge, battery, location string }{
		{"none", `{"responses":[]}`, "INVALID_DATA", "INVALID_DATA", "INVALID_DATA"},
		{"no leading slash", `{"responses":[{"path":"charge","code":200,"body":{"state":"NOT_CHARGING","isPluggedIn":false},"headers":{}},` + loc + `]}`, "", "INVALID_DATA", ""},
		{"headers absent", `{"responses":[{"path":"/charge","code":200,"body":{"state":"NOT_CHARGING","isPluggedIn":false}},` + loc + `]}`, "", "INVALID_DATA", ""},
		{"range null", `{"responses":[{"path":"/battery","code":200,"body":{"percentRemaining":0,"range":null},"headers":{}},` + loc + `]}`, "INVALID_DATA", "", ""},
		{"percent as text", `{"responses":[{"path":"/battery","code":200,"body":{"percentRemaining":"0.5","range":1},"headers":{}},` + loc + `]}`, "INVALID_DATA", "INVALID_DATA", ""},
		{"percent of 64", `{"responses":[{"path":"/battery","code":200,"body":{"percentRemaining":64,"range":1},"headers":{}},` + loc + `]}`, "INVALID_DATA", "INVALID_DATA", ""},
		{"percent missing", `{"responses":[{"path":"/battery","code":200,"body":{"range":1},"headers":{}},` + loc + `]}`, "INVALID_DATA", "INVALID_DATA", ""},
		{"percent too large for a number", `{"responses":[{"path":"/battery","code":200,"body":{"percentRemaining":1e999},"headers":{}},` + loc + `]}`, "INVALID_DATA", "INVALID_DATA", ""},
		{"range negative", `{"responses":[{"path":"/battery","code":200,"body":{"percentRemaining":1,"range":-1},"headers":{}},` + loc + `]}`, "INVALID_DATA", "", ""},
		{"range as text", `{"responses":[{"path":"/battery","code":200,"body":{"percentRemaining":1,"range":"far"},"headers":{}},` + loc + `]}`, "INVALID_DATA", "", ""},
		{"latitude 91", `{"responses":[{"path":"/location","code":200,"body":{"latitude":91,"longitude":0},"headers":{}}]}`, "INVALID_DATA", "INVALID_DATA", "INVALID_DATA"},
		{"longitude null", `{"responses":[{"path":"/location","code":200,"body":{"latitude":1,"longitude":null},"headers":{}}]}`, "INVALID_DATA", "INVALID_DATA", "INVALID_DATA"},
		{"code as text", `{"responses":[{"path":"/location","code":"200","body":{"latitude":1,"longitude":1},"headers":{}}]}`, "INVALID_DATA", "INVALID_DATA", "INVALID_DATA"},
		{"code missing", `{"responses":[{"path":"/location","body":{"latitude":1,"longitude":1},"headers":{}}]}`, "INVALID_DATA", "INVALID_DATA", "INVALID_DATA"},
		{"twice", `{"responses":[` + loc + `,` + loc + `]}`, "INVALID_DATA", "INVALID_DATA", "INVALID_DATA"},
		{"not objects", `{"responses":[1,"x",null,{},{"path":7},` + loc + `]}`, "INVALID_DATA", "INVALID_DATA", ""},
		{"failed without headers", `{"responses":[{"path":"/charge","code":409,"body":{"type":"VEHICLE_STATE","code":"ASLEEP","description":"d","resolution":null}},` + loc + `]}`, "ASLEEP", "INVALID_DATA", ""},
		{"failed without a body", `{"responses":[{"path":"/charge","code":500},` + loc + `]}`, "INTERNAL", "INVALID_DATA", ""},
		{"other paths", `{"responses":[{"path":"/odometer","code":200,"body":{"distance":1},"headers":{}},` + loc + `]}`, "INVALID_DATA", "INVALID_DATA", ""},
		{"responses null", `{"responses":null}`, "INVALID_DATA", "INVALID_DATA", "INVALID_DATA"},
		{"responses an object", `{"responses":{}}`, "INVALID_DATA", "INVALID_DATA", "INVALID_DATA"},
		{"error with status 200", `{"type":"BILLING","code":"INVALID_PLAN","description":"d","statusCode":430}`, "INVALID_PLAN", "INVALID_PLAN", "INVALID_PLAN"},
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		for _, c := range cases {
			w.answering(200, nil, c.body)
			s, err := w.source.Read(t.Context(), w.vehicles[0].Ref(), all)
			if err != nil {
				s.Fail(all, vehicle.AsFault(err), time.Now())
			}
			for p, want := range map[vehicle.Path]string{vehicle.PathCharge: c.charge, vehicle.PathBattery: c.battery, vehicle.PathLocation: c.location} {
				got := ""
				if f := s.Fault(p); f != nil {
					got = f.Code
				}
				if got != want {
					t.Errorf("%s: %v: %q, want %q", c.name, p, got, want)
				}
			}
			if _, err := uuid.Parse(s.RequestID); err != nil {
				t.Errorf("%s: request id %q", c.name, s.RequestID)
			}
		}
	})
}

// TestTimesAndUnits: ages, clocks that are fast, times that cannot be, miles.
func TestTimesAndUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		now := time.Now().UTC()
		stamp := func(d time.Duration) string { return now.Add(d).Format("2006-01-02T15:04:05.000Z") }
		for _, c := range []struct{ age, fetched, unit, wantAge, wantFetched string }{
			{stamp(-time.Hour), stamp(-time.Minute), "metric", stamp(-time.Hour), stamp(-time.Minute)},
			{"", "", "", "", stamp(0)},
			{"yesterday", "soon", "metric", "", stamp(0)},
			{stamp(240 * time.Hour), stamp(240 * time.Hour), "metric", stamp(0), stamp(0)},
			{"1970-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z", "metric", "", stamp(0)},
			{now.Add(-time.Hour).In(time.FixedZone("", 7200)).Format(time.RFC3339), stamp(0), "imperial", stamp(-time.Hour), stamp(0)},
			{stamp(0), stamp(0), "furlongs", stamp(0), stamp(0)},
		} {
			w.answering(200, http.Header{"Sc-Data-Age": {c.age}, "Sc-Fetched-At": {c.fetched}, "Sc-Unit-System": {c.unit}, "Sc-Request-Id": {"req-1"}},
				`{"percentRemaining":0.5,"range":100}`)
			s, f := w.read(t, vehicle.PathsOf(vehicle.PathBattery))
			if f != nil {
				t.Errorf("%+v: %v", c, f)
				continue
			}
			format := func(at time.Time) string {
				if at.IsZero() {
					return ""
				}
				return at.Format("2006-01-02T15:04:05.000Z")
			}
			second := func(text string) string { return text[:min(len(text), len("2006-01-02T15:04:05"))] } // an answer takes its time
			if got := format(s.Battery.DataAge); second(got) != second(c.wantAge) {
				t.Errorf("%+v: data age %s", c, got)
			}
			if got := format(s.Battery.FetchedAt); second(got) != second(c.wantFetched) {
				t.Errorf("%+v: fetched at %s", c, got)
			}
			want := 100.0
			if c.unit == "imperial" {
				want = 160.9344
			}
			switch got := s.Battery.Value.RangeKm; {
			case c.unit == "furlongs":
				if got != nil {
					t.Errorf("%+v: range %v km of a unit that is not known", c, *got)
				}
			case *got != want:
				t.Errorf("%+v: range %v km", c, *got)
			}
			if _, err := uuid.Parse(s.RequestID); err != nil {
				t.Errorf("request id %q is not a UUID", s.RequestID)
			}
		}
	})
}

// TestRequests: what goes out.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		var lines []string
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			var b bytes.Buffer
			if r.Body != nil {
				body, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				_, _ = b.ReadFrom(body)
			}
			for _, name := range []string{"Sc-Unit-System", "User-Agent", "Content-Type"} {
				lines = append(lines, r.Header.Get(name))
			}
			lines = append(lines, r.Method+" "+strings.ReplaceAll(r.URL.Path, w.vehicles[0].Native, "ID")+" "+b.String())
			return nil, nil
		})
		for _, paths := range []vehicle.Paths{all, charge} {
			if _, f := w.read(t, paths); f != nil {
				t.Fatal(f)
			}
		}
		want := []string{
			"metric", "plugbeat", "application/json", `POST /v2.0/vehicles/ID/batch {"requests":[{"path":"/charge"},{"path":"/battery"},{"path":"/location"}]}`,
			"metric", "plugbeat", "", "GET /v2.0/vehicles/ID/charge ",
		}
		if d := cmp.Diff(want, lines); d != "" {
			t.Errorf("requests (-want +got):\n%s", d)
		}
	})
}

// TestOptions: what cannot work is refused with the option's name.
func TestOptions(t *testing.T) {
	good := smartcar.Options{ClientID: "a", ClientSecret: "b", Tokens: &memory{}}
	for want, change := range map[string]func(*smartcar.Options){
		"":                func(*smartcar.Options) {},
		"api_origin":      func(o *smartcar.Options) { o.APIOrigin = "http://api.example" },
		"auth_origin":     func(o *smartcar.Options) { o.AuthOrigin = "auth.example" },
		"api_origin \"xx": func(o *smartcar.Options) { o.APIOrigin = "https://u:hunter2@api.example" },
		"api_origin \"":   func(o *smartcar.Options) { o.APIOrigin = "https://u:hunter2%zz@api.example" },
		"client_id":       func(o *smartcar.Options) { o.ClientID = "" },
		"client_secret":   func(o *smartcar.Options) { o.ClientSecret = "" },
		"tokens":          func(o *smartcar.Options) { o.Tokens = nil },
		"mode":            func(o *smartcar.Options) { o.Mode = "dead" },
	} {
		o := good
		change(&o)
		s, err := smartcar.New(o)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v", want, err)
		}
		if s != nil {
			s.Close()
		}
	}
	for _, origin := range []string{"http://127.0.0.1:80", "http://[::1]:1/", "http://localhost", "https://x.example/base"} {
		o := good
		o.APIOrigin = origin
		if _, err := smartcar.New(o); err != nil {
			t.Errorf("%s: %v", origin, err)
		}
	}
}
