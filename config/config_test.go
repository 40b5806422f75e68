package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle/all"
	"plugbeat/vehicle/simulator"
)

var update = flag.Bool("update", false, "rewrite config.example.yaml")

func parse(t *testing.T, text string) Config {
	t.Helper()
	cfg, err := Parse([]byte(text), "/etc/plugbeat")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestDefaults holds the numbers that the product promises.
func TestDefaults(t *testing.T) {
	c := Default()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Resolve("/etc/plugbeat"), parse(t, "")); diff != "" {
		t.Errorf("an empty file: %s", diff)
	}
	got := fmt.Sprint(c.Cadence.Unplugged, " ", c.Cadence.PluggedIn, " ", c.Cadence.Gap, " ", c.Cadence.Freshness, " ", c.Cadence.UnknownAfter, " ", c.Floor, " ",
		c.Reading.Tries, " ", c.Reading.Time, " ", c.Delivery.Timeout, " ", c.Delivery.InFlight, " ",
		c.Delivery.ChallengeAfter, " ", c.Delivery.Recover, " ", c.Delivery.RecoverRate, " ", c.Retention.Payloads, " ", c.Retention.Records, " ", c.Retention.MaxSize)
	const want = "1h 30m 1m0s 1m0s 24h0m0s 1m0s 3 2m0s 15s 8 15m0s all 50 168h0m0s 720h0m0s 1GiB"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	makes := Makes{}
	for name, m := range cadence.BuiltinMakes() {
		makes[name] = Make(m)
	}
	if diff := cmp.Diff(makes, c.Cadence.Makes); diff != "" {
		t.Errorf("the makes: %s", diff)
	}
	waits, total := []time.Duration{}, time.Duration(0)
	for i, wait := 0, 10*time.Second; i < 6; i, wait = i+1, wait*5 {
		waits, total = append(waits, wait), total+wait
	}
	if diff := cmp.Diff(RetrySchedule(waits), c.Delivery.Retries); diff != "" || total != 10*time.Hour+51*time.Minute {
		t.Errorf("a retry schedule of %s: %s", total, diff)
	}
}

// TestExample holds that the reference in the repository is what the structs say,
// and that taking it as it is changes nothing.
func TestExample(t *testing.T) {
	const file = "../config.example.yaml"
	text := Describe()
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, text) {
		t.Errorf("%s is out of date; run go test ./config -run TestExample -update", file)
	}
	whole := parse(t, string(text))
	whole.Given = nil
	if diff := cmp.Diff(parse(t, ""), whole); diff != "" {
		t.Error(diff)
	}
}

// TestExampleSources takes the comment marks off the example's sources: they give
// the defaults of their types, once what is required is filled in.
func TestExampleSources(t *testing.T) {
	text := string(Describe())
	at := strings.Index(text, "# sources:\n")
	block, _, _ := strings.Cut(text[at:], "\n\n")
	var lines []string
	for line := range strings.Lines(block) {
		lines = append(lines, strings.TrimPrefix(line, "# "))
	}
	text, want := strings.Join(lines, ""), map[string]Source{}
	for _, k := range all.Kinds() {
		s := DefaultSource(k.Name)
		for f := range fields(s.Settings) {
			if example := f.tag.Get("example"); example != "" {
				if err := yaml.Unmarshal([]byte(example), f.value.Addr().Interface()); err != nil {
					t.Error(err)
				}
				continue
			}
			if f.tag.Get("required") != "" {
				text = strings.Replace(text, "\n    "+f.key+`: ""`, "\n    "+f.key+": /x", 1)
				f.value.SetString("/x")
			}
		}
		want[k.Example] = s
	}
	cfg := parse(t, text)
	if diff := cmp.Diff(want, cfg.Sources); diff != "" {
		t.Error(diff)
	}
}

// TestTableAndStructs holds that every setting of the table has a place to go, and that every
// place has a setting, which is read as what the place takes.
func TestTableAndStructs(t *testing.T) {
	table := map[string]Setting{}
	for _, s := range Settings() {
		if s.Source == "" {
			table[s.Path] = s
		}
	}
	kinds := map[reflect.Type]kind{
		reflect.TypeFor[string](): text, reflect.TypeFor[bool](): yesNo, reflect.TypeFor[int](): number, reflect.TypeFor[time.Duration](): duration,
		reflect.TypeFor[Size](): size, reflect.TypeFor[[]string](): list, reflect.TypeFor[RetrySchedule](): waits,
	}
	var walk func(typ reflect.Type, at string)
	walk = func(typ reflect.Type, at string) {
		for f := range typ.Fields() {
			key, ft := f.Tag.Get("yaml"), f.Type
			path := join(at, key)
			switch {
			case key == "-":
			case ft.Kind() == reflect.Struct:
				walk(ft, path)
			case ft.Kind() == reflect.Map:
				walk(ft.Elem(), path+"."+anyName)
			default:
				s, ok := table[path]
				if k, known := kinds[ft]; !ok || !known || s.kind != k {
					t.Errorf("%s: in the table %t, read as %d, and the field is %s", path, ok, s.kind, ft)
				}
				delete(table, path)
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	delete(table, "sources.NAME.budget.calls") // of every kind there is
	delete(table, "sources.NAME.budget.per")
	for path := range table {
		t.Errorf("%s is in the table and goes nowhere", path)
	}
}

// simulated is the first way to begin, with its defaults.
func simulated() Begun {
	b := Begun{Start: Starts()[0], Answers: map[string]string{}}
	b.Name = b.Source
	for _, q := range b.Questions {
		b.Answers[q.Key] = q.Default
	}
	return b
}

func TestTemplate(t *testing.T) {
	cfg := parse(t, string(Template(false, simulated().Section(false))))
	if s := cfg.Sources["fleet"]; len(cfg.Sources) != 1 || s.Type != "simulator" || s.Settings.(*simulator.SourceSettings).Vehicles != 3 {
		t.Errorf("sources %+v", cfg.Sources)
	}
	if cfg.KeyFile != "/etc/plugbeat/sealing_key" || cfg.Application.ManagementTokenFile != "/etc/plugbeat/management_token" || cfg.Socket != "/etc/plugbeat/data/plugbeat.sock" {
		t.Errorf("paths %s %s %s", cfg.KeyFile, cfg.Application.ManagementTokenFile, cfg.Socket)
	}
}

// Texts that YAML would read otherwise come back as they were.
func TestQuote(t *testing.T) {
	for _, name := range []string{"a b", "yes", "it's: #1", `back\slash "q"`, "tab\there", "1e3", "~", "-x", "ends ", "é\u2028", "{a}"} {
		got := parse(t, "data_dir: "+quote("/"+name)+"\nkey_file: "+quote(name)+"\n")
		if got.DataDir != "/"+name || got.KeyFile != "/etc/plugbeat/"+name {
			t.Errorf("%q became %q and %q", name, got.DataDir, got.KeyFile)
		}
	}
}

// TestSystemTemplate holds the config of a daemon that systemd runs to the standard
// places and to credentials for its secrets.
func TestSystemTemplate(t *testing.T) {
	text := string(Template(true, simulated().Section(true)))
	cfg := parse(t, text)
	if cfg.DataDir != "/var/lib/plugbeat" || cfg.Socket != "/run/plugbeat/plugbeat.sock" || cfg.KeyFile != "" || cfg.Application.ManagementTokenFile != "" || len(cfg.Sources) != 1 {
		t.Errorf("%+v", cfg)
	}
	if strings.ContainsAny(text, "{}") {
		t.Errorf("a placeholder is left:\n%s", text)
	}
}

func TestPolicy(t *testing.T) {
	c := parse(t, "cadence: {plugged_in: 20m, zone: Europe/Amsterdam, makes: {Kia: {fastest: 72m}}}")
	p, err := c.Policy().Ready()
	if err != nil {
		t.Fatal(err)
	}
	if p.Default.PluggedIn != "20m" || p.Default.Zone != "Europe/Amsterdam" || p.Floor != time.Minute || p.Makes["KIA"].Fastest != 72*time.Minute || p.Makes["TESLA"].Fastest == 0 {
		t.Errorf("%+v", p)
	}
}

func TestDurationAndSizeText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 20 * time.Hour: "20h",
		250 * time.Second: "4m10s", time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
		if back, err := parseDuration(want); err != nil || back != d {
			t.Errorf("%s: read as %s, %v", want, back, err)
		}
	}
	for s, want := range map[Size]string{0: "0B", 1: "1B", 1000: "1000B", 1024: "1KiB", 1 << 30: "1GiB", 3 << 40: "3TiB", 1536: "1536B"} {
		if got := s.String(); got != want {
			t.Errorf("%d: got %s, want %s", int64(s), got, want)
		}
		if back, err := parseSize(want); err != nil || back != s {
			t.Errorf("%s: read as %s, %v", want, back, err)
		}
	}
}
