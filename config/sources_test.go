package config

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"plugbeat/vehicle"
	"plugbeat/vehicle/all"
	"plugbeat/vehicle/httpjson"
	"plugbeat/vehicle/mqtt"
)

// TestSourcesBesideAGoodOne: one run tells of every source that is wrong, and nothing of
// the one that is right; of secrets as well.
func TestSourcesBesideAGoodOne(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	fields := func(err error) (names []string) {
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Fatal(err)
		}
		for _, c := range wrong.Complaints {
			names = append(names, c.Field)
		}
		return names
	}
	_, err := Parse([]byte(`sources:
  good: {type: simulator}
  none: {type: simulator, vehicles: 0, hour: soon}
  account: {type: smartcar, api_origin: "http://example.com"}
  newer: {type: tesla}
  odd: {type: smartcar, client_id: x, seed: 4}
`), "/etc/plugbeat")
	want := []string{"sources.none.hour", "sources.none.vehicles", "sources.account.api_origin", "sources.account.client_id", "sources.newer.type", "sources.odd.seed"}
	if diff := cmp.Diff(want, fields(err)); diff != "" {
		t.Error(diff)
	}
	cfg := parse(t, "sources: {good: {type: simulator}, one: {type: smartcar, client_id: x}, two: {type: smartcar, client_id: y}}")
	got := fields(cfg.CheckFiles())
	for _, name := range []string{"sources.one.client_secret_file", "sources.two.client_secret_file"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is not told: %q", name, got)
		}
	}
}

// local is a kind of source as tests have it.
type local struct {
	File string `yaml:"file" path:"yes"`
}

func (*local) Check() []vehicle.Complaint { return nil }
func (*local) Open(context.Context, vehicle.Deps) (vehicle.Source, error) {
	return nil, errors.ErrUnsupported
}

// TestPathsOfSources: a path among a source's settings counts from the config's folder,
// and the config that was resolved stays as it was.
func TestPathsOfSources(t *testing.T) {
	c := Default()
	c.Sources = map[string]Source{"a": {Type: "local", Settings: &local{File: "vehicles.json"}}, "b": {Type: "local", Settings: &local{}}}
	r := c.Resolve("/etc/plugbeat")
	if got := []string{c.Sources["a"].Settings.(*local).File, r.Sources["a"].Settings.(*local).File, r.Sources["b"].Settings.(*local).File}; !slices.Equal(got, []string{"vehicles.json", "/etc/plugbeat/vehicles.json", ""}) {
		t.Errorf("got %q", got)
	}
}

// TestStructuredSettings: a setting of a type that a source has of its own is decoded by the
// YAML library, and a key that the type does not have is a complaint with its line.
func TestStructuredSettings(t *testing.T) {
	type topic struct {
		Name string `yaml:"name"`
	}
	var settings struct {
		Topics []topic `yaml:"topics"`
	}
	topics := field{"topics", reflect.TypeOf(settings).Field(0).Tag, reflect.ValueOf(&settings).Elem().Field(0)}
	at := settingOfField(topics, entries("# The topics.\n# Allowed: a list of topics.\ntopics: []\n")[0])
	for text, good := range map[string]bool{"[{name: a}, {name: b}]": true, "[{nam: a}]": false, "soon": false} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		p := newComplaints()
		if got := (reader{p, nil}).value(&at, n.Content[0], "sources.a.topics"); got != good {
			t.Errorf("%s: %v", text, p.err())
		}
	}
}

// TestMapsOfSources: what does not fit into a vehicle's map is told in plain words, without the
// names of types.
func TestMapsOfSources(t *testing.T) {
	for text, want := range map[string]string{
		"{id: a}":                              "line 5: a mapping stands where a list belongs",
		"[a]":                                  `line 5: "a" stands where a mapping belongs`,
		"[{id: a, plug: x/y}]":                 `line 5: "x/y" stands where a mapping belongs`,
		"[{id: a, plug: {from: x}}]":           "line 5: there is no key from, but topic, at, where, time, unit, plugged, unplugged, charging, full, not_charging",
		"[{id: a, plug: {topic: x, at: [1]}}]": "line 5: a list stands where text belongs",
		"[{id: a, plug: {topic: x, plugged: 1}}]": `line 5: "1" stands where a list belongs`,
		"[{id: a, year: x}]":                      `line 5: "x" stands where a number belongs`,
		"[{id: a, max_age: 30}]":                  `line 5: "30" stands where a duration with its unit, like 45s, 30m or 1h30m belongs`,
		"[{id: a, id: b}]":                        "line 5: the key id is there twice, first on line 5",
		"[{id: “a”, plug: {topic: x}}]":           `vehicles "“a”": its quotes are typographic`,
	} {
		_, err := Parse([]byte("sources:\n  car:\n    type: mqtt\n    broker: mqtt://127.0.0.1\n    vehicles: "+text+"\n"), "/etc/plugbeat")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "mapping.") {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
	for _, url := range []string{"http://h:0/", "http://h:65536/x"} {
		if c := vehicle.CheckURL("url", url, "a URL"); c == nil || c.Why != "its port is not from 1 to 65535" {
			t.Errorf("%s: %+v", url, c)
		}
	}
}

// TestDefaultIsOnesOwn holds that whoever changes what Default returns changes it for nobody else.
func TestDefaultIsOnesOwn(t *testing.T) {
	c := Default()
	c.Cadence.Makes["KIA"] = Make{}
	c.Delivery.Retries[0] = 0
	if d := Default(); d.Cadence.Makes["KIA"].Fastest == 0 || d.Delivery.Retries[0] == 0 {
		t.Error("the default was changed")
	}
}

// TestReferencesOfKinds: a kind's reference documents each of its settings and nothing else,
// with the default as the value.
func TestReferencesOfKinds(t *testing.T) {
	for _, k := range append(all.Kinds(), mqtt.Kind(), httpjson.Kind()) {
		documented := map[string]entry{}
		for _, e := range entries(k.Reference) {
			documented[e.path] = e
		}
		for f := range fields(k.Settings()) {
			e, ok := documented[f.key]
			if s := settingOfField(f, e); !ok || s.Default != e.value || s.Doc == "" || s.Allowed == "" && f.value.Kind() != reflect.Struct {
				t.Errorf("%s: %s: documented %t, the default is %q, in the reference %q; %q, %q", k.Name, f.key, ok, s.Default, e.value, s.Doc, s.Allowed)
			}
			delete(documented, f.key)
		}
		for path := range documented {
			t.Errorf("%s: %s is in the reference and is no setting", k.Name, path)
		}
	}
}
