package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
	"plugbeat/webhook"
)

// TestComplaints holds the exact words of what an operator reads.
func TestComplaints(t *testing.T) {
	const duration = "a duration with its unit, like 45s, 30m or 1h30m"
	const cadenceAllowed = `a duration with its unit from 1m to 8760h, such as 30m, words such as daily or "2 weeks", or a cron expression of five fields, such as "0 * * * *"`
	types := strings.Join(kindNames(), ", ")
	const deliveryKeys = "retries, timeout, in_flight, challenge_after, recover, recover_rate, user_agent, allow"
	for _, c := range []struct{ name, text, want string }{
		// Keys.
		{"unknown key", "grase: 5s\n", `line 1: grase: this version has no such key (did you mean grace?); allowed: data_dir, socket, key_file, grace, log, http, application, sources, cadence, reading, delivery, webhooks, retention, backup, alerts`},
		{"unknown key below", "reading:\n  retries: 3\n", `line 2: reading.retries: this version has no such key (did you mean tries?); allowed: tries`},
		{"key under another heading", "log:\n  in_flight: 3\n", `line 2: log.in_flight: this version has no such key here (did you mean delivery.in_flight?); allowed: level, format`},
		{"a secret in the file", "application:\n  management_token: hunter2hunter2hunter2hunter2hunter2\n", `line 2: application.management_token: this version has no such key (did you mean management_token_file?); allowed: client_id, client_secret_file, redirect_uris, management_token_file, management_token_next_file`},
		{"key of another type", "sources:\n  fleet:\n    type: simulator\n    client_id: x\n", `line 4: sources.fleet.client_id: this version has no such key for type simulator; allowed: type, max_reads, budget, vehicles, seed, hour`},
		{"key twice", "grace: 5s\nsocket: a\ngrace: 6s\n", `line 3: grace: the key is there twice, first on line 1; allowed: each key once`},
		{"key twice below", "log: {level: info, level: warn}\n", `line 1: log.level: the key is there twice, first on line 1; allowed: each key once`},
		{"merge key", "log:\n  <<: {level: info}\n", `line 2: log.? "<<": the key is not plain text; allowed: a key written out`},
		{"floor is no key", "Floor: 1s\n", `line 1: Floor: this version has no such key (was the file written for a newer one?); allowed: data_dir, socket, key_file, grace, log, http, application, sources, cadence, reading, delivery, webhooks, retention, backup, alerts`},
		{"key of a newer version", "telemetry: {endpoint: x}\n", `line 1: telemetry: this version has no such key (was the file written for a newer one?); allowed: data_dir, socket, key_file, grace, log, http, application, sources, cadence, reading, delivery, webhooks, retention, backup, alerts`},
		{"key of a newer version below", "delivery: {compress: true}\n", `line 1: delivery.compress: this version has no such key (was the file written for a newer one?); allowed: ` + deliveryKeys},
		// Shape.
		{"second document", "grace: 5s\n---\ngrace: 6s\n", `there is a second document; allowed: one document`},
		{"a backup's schedule", "backup: {schedule: \"61 * * * *\"}\n", `line 1: backup.schedule "61 * * * *": minutes are 0 to 59, and 61 is not; allowed: a duration with its unit from 1m to 8760h, such as 30m, words such as daily or "2 weeks", or a cron expression of five fields, such as "0 * * * *"`},
		{"not a mapping", "- a\n", `it is not a mapping; allowed: keys: data_dir, socket, key_file, grace, log, http, application, sources, cadence, reading, delivery, webhooks, retention, backup, alerts`},
		{"not a mapping below", "log: info\n", `line 1: log "info": it is not a mapping; allowed: keys: level, format`},
		{"not a list", "delivery: {allow: loopback}\n", `line 1: delivery.allow "loopback": it is not a list; allowed: a list in [brackets] or with a dash before each entry`},
		{"not a table", "sources: [vehicles]\n", `line 1: sources "[...]": it is not a mapping; allowed: entries by name`},
		{"not one value", "grace: [5s]\n", `line 1: grace "[...]": it is not a single value; allowed: ` + duration},
		{"no value", "grace:\n", `line 1: grace "": it is not a single value; allowed: ` + duration},
		{"not YAML", "log: {level: info\n", `line 1: a brace is not closed, or a comma is missing; allowed: {key: value, key: value}`},
		{"a star without quotes", "cadence:\n  unplugged: */30 * * * *\n", `line 2: YAML reads a value that begins with * as something else; allowed: the value in quotes: "*/30 * * * *"`},
		{"a star between braces", "cadence: {unplugged: */5 1,2 * * *, zone: UTC}\n", `line 1: YAML reads a value that begins with * as something else; allowed: the value in quotes: "*/5 1,2 * * *"`},
		{"a word with an at between braces", "cadence: {unplugged: @daily}\n", `line 1: YAML reads a value that begins with @ as something else; allowed: the value in quotes: "@daily"`},
		{"a bracket that is not closed", "delivery:\n  allow: [loopback\ngrace: 5s\n", `line 2: a bracket is not closed, or a comma is missing; allowed: [value, value]`},
		{"a quote that is not closed", "log:\n  level: \"info\n", `line 2: a quote is not closed; allowed: the same quote at both ends`},
		{"a quote within quotes", "grace: 5s\nsocket: 'it's'\n", `line 2: the line does not go on from those above it; allowed: keys of one section in the same column, and nothing behind a closing quote`},
		{"a path of Windows", "socket: \"C:\\data\\x\"\n", "line 1: between double quotes a backslash begins an escape; allowed: single quotes, or \\\\ for a backslash"},
		{"indented less than the key above", "cadence:\n    unplugged: 30m\n  plugged_in: 30m\n", `line 3: the line does not go on from those above it; allowed: keys of one section in the same column, and nothing behind a closing quote`},
		{"indented more than the key above", "cadence:\n  unplugged: 30m\n    plugged_in: 30m\n", `line 3: it is indented more deeply than the key above it, which has a value; allowed: keys of one section in the same column`},
		{"two keys on a line", "cadence: unplugged: 30m\n", `line 1: there are two colons with a blank behind them; allowed: one key a line, and a value that has a colon in quotes`},
		{"a key without a colon", "log\ngrace: 5s\n", `line 2: the line above it has no colon; allowed: key: value`},
		{"a key without a colon at the end", "grace: 5s\nlog\n", `line 2: there is no colon behind the key; allowed: key: value`},
		{"no blank behind the colon", "log:\n  level:info\n", `line 1: log "level:info": it is not a mapping: there is no blank behind the colon; allowed: keys: level, format`},
		{"no blank behind the only colon", "grace:30s\n", `it is not a mapping: there is no blank behind the colon; allowed: keys: data_dir, socket, key_file, grace, log, http, application, sources, cadence, reading, delivery, webhooks, retention, backup, alerts`},
		{"a control character", "grace: 5s\nsocket: a\x00b\n", `line 2: there is a control character in it; allowed: plain text`},
		{"quotes of a word processor", "socket: “/run/x”\n", `line 1: socket "“/run/x”": its quotes are typographic; allowed: straight quotes, " or '`},
		{"a tab", "log:\n\tlevel: info\n", `line 2: there is a tab before "level: info"; allowed: spaces: YAML indents with nothing else`},
		{"a unit in words", "grace: 30 seconds\n", `line 1: grace "30 seconds": its unit is a word: write 30s; allowed: ` + duration},
		{"a blank before the unit", "delivery: {timeout: 2 m}\n", `line 1: delivery.timeout "2 m": its unit is a word: write 2m; allowed: ` + duration},
		{"not UTF-8", "socket: \xff\n", `the file is not UTF-8; allowed: UTF-8 text`},
		{"alias", "grace: &g 5s\n", `line 1: grace "5s": anchors and aliases are not read; allowed: the value itself, in quotes where it begins with * or &`},
		{"tag", "grace: !!str 5s\n", `line 1: grace "!!str": tags are not read; allowed: a value without one`},
		// Durations.
		{"no unit", "grace: 30\n", `line 1: grace "30": it has no unit; allowed: ` + duration},
		{"zero without unit", "grace: 0\n", `line 1: grace "0": it has no unit; allowed: ` + duration},
		{"zero", "retention: {payloads: 0s}\n", `line 1: retention.payloads "0s"; allowed: 1ms to 87600h, as ` + duration},
		{"negative", "grace: -5m\n", `line 1: grace "-5m": it is negative; allowed: ` + duration},
		{"days", "retention: {payloads: 7d}\n", `line 1: retention.payloads "7d": the longest unit is the hour; allowed: ` + duration},
		{"no duration", "grace: soon\n", `line 1: grace "soon": it is not a duration; allowed: ` + duration},
		{"too long", "grace: 11m\n", `line 1: grace "11m"; allowed: 1s to 10m, as ` + duration},
		// Other values.
		{"size without unit", "retention: {max_size: 1000000}\n", `line 1: retention.max_size "1000000": it has no unit; allowed: a size with its unit, like 512KiB, 64MiB or 1GiB`},
		{"size too small", "retention: {max_size: 1KiB}\n", `line 1: retention.max_size "1KiB"; allowed: 1MiB or more, as a size with its unit, like 512KiB, 64MiB or 1GiB`},
		{"size too large", "retention: {max_size: 9999999999TiB}\n", `line 1: retention.max_size "9999999999TiB": it is too large; allowed: a size with its unit, like 512KiB, 64MiB or 1GiB`},
		{"truth", "alerts: {p: {url: \"https://a.example/\", allow_private: yes}}\n", `line 1: alerts.p.allow_private "yes": it is not true or false; allowed: true or false`},
		{"whole", "reading: {tries: 2.5}\n", `line 1: reading.tries "2.5": it is not a whole number; allowed: a whole number`},
		{"out of range", "delivery: {in_flight: 65}\n", `line 1: delivery.in_flight "65"; allowed: 1 to 64`},
		{"one of", "log: {level: loud}\n", `line 1: log.level "loud"; allowed: debug, info, warn, error`},
		{"signing", "webhooks: {signing: none}\n", `line 1: webhooks.signing "none"; allowed: smartcar, standard, both`},
		// Listeners.
		{"no port", "http: {api: {listen: localhost}}\n", `line 1: http.api.listen "localhost": it is not host:port; allowed: host:port with a port from 0 to 65535, like 127.0.0.1:8765, or empty for no listener`},
		{"wrong port", "http: {api: {listen: \"localhost:http\"}}\n", `line 1: http.api.listen "localhost:http": "http" is no port; allowed: host:port with a port from 0 to 65535, like 127.0.0.1:8765, or empty for no listener`},
		{"same port", "http: {api: {listen: \":80\"}, admin: {listen: \":80\"}}\n", `line 1: http.admin.listen ":80": http.api.listen has the same; allowed: another address or port`},
		{"socket", "socket: /" + strings.Repeat("x", 107) + "\n", `line 1: socket "/` + strings.Repeat("x", 107) + `": its path has 108 bytes; allowed: a path of at most 103 bytes, which is what every system takes; without one it is plugbeat.sock in data_dir`},
		// Application.
		{"half an application", "application:\n  client_secret_file: s\n", `line 1: application.client_id "": it is empty, and client_secret_file is not, so no application could log in; allowed: the client id that the application presents, or neither`},
		{"redirect", "application:\n  redirect_uris:\n    - https://app.example/cb\n    - app.example/cb\n", `line 4: application.redirect_uris[1] "app.example/cb": it is not absolute; allowed: an absolute URI without fragment: http, https, or an app's own scheme such as com.example.app://exchange`},
		{"password in a URI", "application: {redirect_uris: [\"https://me:secret@app.example\"]}\n", `line 1: application.redirect_uris[0] "https://xxxxx@app.example": it carries a user name or password; allowed: an absolute URI without fragment: http, https, or an app's own scheme such as com.example.app://exchange`},
		{"password in what is no URI", "application: {redirect_uris: [\"https://me:secret%zz@app.example\"]}\n", `line 1: application.redirect_uris[0] "https://xxxxx@app.example": it is not absolute; allowed: an absolute URI without fragment: http, https, or an app's own scheme such as com.example.app://exchange`},
		// Sources.
		{"no type", "sources:\n  fleet:\n    vehicles: 3\n", `line 2: sources.fleet.type "": it is missing; allowed: ` + types},
		{"wrong type", "sources:\n  fleet:\n    type: tesla\n    vehicles: 3\n", `line 3: sources.fleet.type "tesla": this version has no such type (was the file written for a newer one?); allowed: ` + types},
		{"empty source", "sources:\n  fleet:\n", `line 2: sources.fleet.type "": it is missing; allowed: ` + types},
		{"source name", "sources:\n  My Vehicles:\n    type: simulator\n", `line 2: sources.My Vehicles: it is no name for a source; allowed: 1 to 16 characters of a-z, 0-9 and '-'`},
		{"no vehicles", "sources: {fleet: {type: simulator, vehicles: 0}}\n", `line 1: sources.fleet.vehicles "0"; allowed: 1 to 100000`},
		{"no client id", "sources: {s: {type: smartcar}}\n", `line 1: sources.s.client_id "": it is empty; allowed: your application's client id at Smartcar`},
		{"tokens in the clear", "sources: {s: {type: smartcar, client_id: x, api_origin: \"http://example.com\"}}\n", `line 1: sources.s.api_origin "http://example.com": tokens would go over the network in the clear; allowed: an absolute https URL without path, or http to this machine`},
		{"origin with a path", "sources: {s: {type: smartcar, client_id: x, api_origin: \"https://api.smartcar.com/v2.0\"}}\n", `line 1: sources.s.api_origin "https://api.smartcar.com/v2.0": it has a path or a query; allowed: an absolute https URL without path, or http to this machine`},
		{"origin with a query", "sources: {s: {type: smartcar, client_id: x, auth_origin: \"https://auth.smartcar.com/?a=b\"}}\n", `line 1: sources.s.auth_origin "https://auth.smartcar.com/?a=b": it has a path or a query; allowed: an absolute https URL without path, or http to this machine`},
		{"budget", "sources: {s: {type: simulator, budget: {calls: 2}}}\n", `line 1: sources.s.budget.calls "2": a read of a vehicle is three calls; allowed: 0 for no limit, or 3 to 1000000000`},
		{"negative budget", "sources: {s: {type: simulator, budget: {calls: -5}}}\n", `line 1: sources.s.budget.calls "-5"; allowed: 0 to 1000000000`},
		{"budget of a year", "sources:\n  s:\n    type: simulator\n    budget:\n      per: year\n", `line 5: sources.s.budget.per "year"; allowed: month, day`},
		{"bucket", "sources: {s: {type: smartcar, client_id: x, bucket: 1}}\n", `line 1: sources.s.bucket "1": a read of a vehicle is three calls; allowed: 0 for no bound, or a whole number from 3 to 1000000`},
		{"bucket that never fills", "sources: {s: {type: smartcar, client_id: x, bucket_refill: 0s}}\n", `line 1: sources.s.bucket_refill "0s"; allowed: 1ms to 24h, as ` + duration},
		// Cadence.
		{"cadence without unit", "cadence: {unplugged: 30}\n", `line 1: cadence.unplugged "30": it has no unit; allowed: ` + cadenceAllowed},
		{"cadence in words", "cadence: {unplugged: 30 minutes}\n", `line 1: cadence.unplugged "30 minutes": its unit is a word: write 30m; allowed: ` + cadenceAllowed},
		{"cadence too fast", "cadence: {plugged_in: 59s}\n", `line 1: cadence.plugged_in "59s": it is faster than 1m; allowed: ` + cadenceAllowed},
		{"cadence negative", "cadence: {plugged_in: -5m}\n", `line 1: cadence.plugged_in "-5m": an interval is more than nothing; allowed: ` + cadenceAllowed},
		{"a day that never comes", "cadence: {unplugged: \"0 0 31 2 *\"}\n", `line 1: cadence.unplugged "0 0 31 2 *": no such day ever comes; allowed: ` + cadenceAllowed},
		{"a zone in the expression", "cadence: {unplugged: TZ=0}\n", `line 1: cadence.unplugged "TZ=0": a zone does not belong in it; set the zone field; allowed: ` + cadenceAllowed},
		{"zone", "cadence:\n  zone: Mars/Base\n", `line 2: cadence.zone "Mars/Base"; allowed: a zone of the IANA time zone database such as Europe/Berlin, or empty for UTC`},
		{"make twice", "cadence: {makes: {Land Rover: {fastest: 5m}, LAND_ROVER: {fastest: 6m}}}\n", `line 1: cadence.makes.LAND_ROVER: it is the same make as Land Rover; allowed: each make once`},
		{"make without interval", "cadence: {makes: {Trabant: {note: slow}}}\n", `line 1: cadence.makes.TRABANT.fastest "0s"; allowed: 1ms to 24h, as ` + duration},
		// Delivery.
		{"preset", "delivery: {retries: svix}\n", `line 1: delivery.retries "svix": there is no such preset; allowed: default, smartcar, or a list of durations`},
		{"empty retry schedule", "delivery: {retries: []}\n", `line 1: delivery.retries "[]"; allowed: default, smartcar, or a list of 1 to 20 durations`},
		{"recover", "delivery: {recover: some}\n", `line 1: delivery.recover "some"; allowed: all, latest, none`},
		{"a wait", "delivery:\n  retries:\n    - 10s\n    - 50\n", `line 4: delivery.retries[1] "50": it has no unit; allowed: ` + duration},
		{"recover by time", "delivery: {recover: 24h}\n", `line 1: delivery.recover "24h": recovery by time has left: choose all, latest or none; plugbeat delivery resend --since sends a part of the past again; allowed: all, latest, none`},
		{"a setting that left", "delivery:\n  jitter: 0\n", `line 2: delivery.jitter: each wait is lengthened by up to 20 %, at most 10 minutes; that is fixed now: delete the line; allowed: ` + deliveryKeys},
		{"a heading that left", "delivery:\n  challenge:\n", `line 2: delivery.challenge: delivery.challenge_after gives all times of challenges: set that instead, and delete the section; allowed: ` + deliveryKeys},
		{"an unknown key below it", "delivery: {challenge: {frm: 1m}}\n", `line 1: delivery.challenge: delivery.challenge_after gives all times of challenges: set that instead, and delete the section; allowed: ` + deliveryKeys},
		{"a mapping below a setting that left", "delivery: {jitter: {max: 1m}}\n", `line 1: delivery.jitter: each wait is lengthened by up to 20 %, at most 10 minutes; that is fixed now: delete the line; allowed: ` + deliveryKeys},
		{"allow", "delivery: {allow: [10.0.0.0/8, 10.1.2.3/8]}\n", `line 1: delivery.allow[1] "10.1.2.3/8"; allowed: an address (192.168.1.7), host:port (nas.local:8099), a network (10.1.0.0/16), loopback or private; none that is link-local, multicast or unspecified`},
		{"user agent", "delivery: {user_agent: \"a\\nb\"}\n", `line 1: delivery.user_agent "a\nb": it cannot be a header's value; allowed: printable ASCII text`},
		// Retention.
		{"records before payloads", "retention: {records: 1h}\n", `line 1: retention.records "1h": it is shorter than retention.payloads; allowed: 168h or longer`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := Parse([]byte(c.text), "/etc/plugbeat")
			if err == nil {
				t.Fatalf("parsed as %+v", cfg)
			}
			if err.Error() != c.want {
				t.Errorf("got\n%s\nwant\n%s", err, c.want)
			}
			var bad *webhook.Invalid
			if !errors.As(err, &bad) || bad.Field == "" || bad.Allowed == "" {
				t.Errorf("no field or nothing allowed: %#v", bad)
			}
			if diff := cmp.Diff(Config{}, cfg); diff != "" {
				t.Errorf("a wrong config is returned: %s", diff)
			}
		})
	}
}

// TestAllComplaints holds that one run tells everything, in the order of the file.
func TestAllComplaints(t *testing.T) {
	_, err := Parse([]byte(`grace: 30
nonsense: 1
delivery:
  in_flight: 0
  retries: [10s, soon]
log: {level: loud}
cadence:
  unplugged: 5
`), "/")
	var all *Error
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	var got []string
	for _, c := range all.Complaints {
		got = append(got, c.Field)
	}
	want := []string{"grace", "nonsense", "delivery.in_flight", "delivery.retries[1]", "log.level", "cadence.unplugged"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(err.Error(), "6 settings are wrong:\n  line 1: grace \"30\"") {
		t.Errorf("got %s", err)
	}
}

func TestParse(t *testing.T) {
	cfg, err := Parse([]byte(`
data_dir: data
key_file: /keys/sealing
application: {management_token_file: token, redirect_uris: ["https://app.example/cb"]}
sources:
  fleet: {type: simulator, vehicles: 5}
  my-fleet: {type: smartcar, client_id: 1234, client_secret_file: ../secret, mode: test, api_origin: "http://127.0.0.1:9000"}
cadence:
  unplugged: "0 * * * *"
  zone: Europe/Amsterdam
  gap: 5s
  makes: {Kia: {fastest: 72m}, Trabant: {fastest: 3h}}
delivery:
  retries: smartcar
  challenge_after: 1m
  allow: [loopback, "::1", 10.0.0.0/8, "127.0.0.1:8099"]
retention: {max_size: 512MiB}
reading:
`), "/etc/plugbeat")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.DataDir, want.Socket, want.KeyFile = "/etc/plugbeat/data", "/etc/plugbeat/data/plugbeat.sock", "/keys/sealing"
	want.Application.ManagementTokenFile = "/etc/plugbeat/token"
	want.Application.RedirectURIs = []string{"https://app.example/cb"}
	vehicles, mine := DefaultSource("simulator"), DefaultSource("smartcar")
	vehicles.Settings.(*simulator.SourceSettings).Vehicles = 5
	account := mine.Settings.(*smartcar.Settings)
	account.ClientID, account.ClientSecretFile, account.Mode, account.APIOrigin = "1234", "/etc/secret", "test", "http://127.0.0.1:9000"
	want.Sources = map[string]Source{"fleet": vehicles, "my-fleet": mine}
	want.Cadence.Unplugged, want.Cadence.Zone, want.Cadence.Gap = "0 * * * *", "Europe/Amsterdam", 5*time.Second
	kia := want.Cadence.Makes["KIA"]
	kia.Fastest = 72 * time.Minute
	want.Cadence.Makes["KIA"] = kia
	want.Cadence.Makes["TRABANT"] = Make{Fastest: 3 * time.Hour}
	want.Delivery.Retries = presetSchedule("smartcar")
	want.Delivery.ChallengeAfter, want.Delivery.Allow = time.Minute, []string{"loopback", "::1", "10.0.0.0/8", "127.0.0.1:8099"}
	want.Retention.MaxSize = 512 << 20
	want.Dir, want.Given = "/etc/plugbeat", cfg.Given
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Error(diff)
	}
	if got := cfg.DataFile(); got != "/etc/plugbeat/data/plugbeat.db" {
		t.Errorf("data file %s", got)
	}
	if diff := cmp.Diff([]string{"fleet", "my-fleet"}, cfg.SourceNames()); diff != "" {
		t.Error(diff)
	}
}

// TestSocket holds where the socket is when nothing is said: a packaged daemon's
// under /run, any other's beside its data.
func TestSocket(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "/run/plugbeat/plugbeat.sock",
		"data_dir: /var/lib/plugbeat/":         "/run/plugbeat/plugbeat.sock",
		"data_dir: d":                          "/srv/d/plugbeat.sock",
		"{data_dir: d, socket: ../run/p.sock}": "/run/p.sock",
	} {
		cfg, err := Parse([]byte(text), "/srv")
		if err != nil || cfg.Socket != want {
			t.Errorf("%q: got %s, %v; want %s", text, cfg.Socket, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte("data_dir: d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	cfg, err := Load("config.yaml")
	if err != nil || cfg.DataDir != filepath.Join(dir, "d") {
		t.Errorf("got %s, %v", cfg.DataDir, err)
	}
	if err := os.WriteFile(file, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}

// FuzzLoad holds that no text makes Parse panic, and that what it takes is valid,
// with paths that are absolute.
func FuzzLoad(f *testing.F) {
	f.Add("data_dir: d\ngrace: 5s\nlog: {level: warn}\nreading: {tries: 2}\nretention: {max_size: 1GiB}")
	f.Add("sources:\n  s: {type: smartcar, client_id: x, api_origin: 'http://[::1]:1'}")
	f.Add("sources: {a: {type: simulator, type: smartcar}}")
	f.Add("delivery: {retries: [1s, 2s], allow: [::1]}\n---\n")
	f.Add("cadence: {makes: {é: {fastest: 1h}}, unplugged: '@daily'}")
	f.Add("? {a: b}\n: - *x\n")
	f.Add("a: 1\r\u0085\r\u2028\r\r\rb: *\r")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := Parse([]byte(text), "/base")
		if err != nil {
			var all *Error
			if !errors.As(err, &all) || len(all.Complaints) == 0 {
				t.Fatalf("not an Error: %v", err)
			}
			for _, c := range all.Complaints {
				if c.Field == "" || c.Allowed == "" {
					t.Fatalf("incomplete complaint %+v", c)
				}
			}
			return
		}
		if err := cfg.Check(); err != nil {
			t.Fatalf("what was taken is wrong: %v", err)
		}
		for _, p := range []string{cfg.DataDir, cfg.Socket} {
			if !filepath.IsAbs(p) {
				t.Fatalf("%q is not absolute", p)
			}
		}
	})
}

func TestAllowable(t *testing.T) {
	for s, want := range map[string]bool{
		"loopback": true, "private": true, "192.168.1.7": true, "::1": true, "10.0.0.0/8": true, "fd00::/8": true, "127.0.0.1:8099": true, "nas.local:80": true, "[::1]:80": true,
		"": false, "any": false, "nas.local": false, "*:80": false, "nas.local:0": false, "nas.local:http": false, ":80": false, "10.0.0.1/8": false, "::ffff:10.0.0.0/104": false,
		"169.254.169.254": false, "169.254.169.254:80": false, "169.254.169.254/32": false, "fe80::1": false, "0.0.0.0": false, "224.0.0.1": false, "http://nas": false,
	} {
		if allowable(s) != want {
			t.Errorf("%q: got %v", s, !want)
		}
	}
}
