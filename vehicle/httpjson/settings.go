package httpjson

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// Settings are the config's section of a source of this kind.
type Settings struct {
	URL          string            `yaml:"url" required:"yes" example:"http://192.168.1.10:7070"`
	Preset       string            `yaml:"preset"`
	Every        time.Duration     `yaml:"every"`
	Username     string            `yaml:"username"`
	PasswordFile string            `yaml:"password_file" credential:"password" optional:"yes"`
	TokenFile    string            `yaml:"token_file" credential:"token" optional:"yes"`
	HeaderFile   string            `yaml:"header_file" credential:"header" optional:"yes"`
	Settle       time.Duration     `yaml:"settle"`
	Vehicles     []mapping.Vehicle `yaml:"vehicles" required:"yes" example:"[{id: zoe, make: RENAULT, plug: {at: /plug}}]"`
}

var _ vehicle.Endpoints = (*Settings)(nil)

// The presets of a source.
const (
	none = "none"
	evcc = "evcc"
)

// reference documents the settings.
//
//go:embed reference.yaml
var reference string

// Kind is this kind of source.
func Kind() vehicle.Kind {
	return vehicle.Kind{
		Name: "http", Doc: "http reads vehicles from JSON documents of a server of the owner's: evcc, ioBroker, TeslaLogger, WiCAN, or any map",
		Example: "evcc",
		Starts: []vehicle.Start{{
			Name: evcc, Doc: "a vehicle at your chargers, from evcc itself", Source: "evcc",
			Questions: []vehicle.Question{{Key: "url", Ask: "evcc's address, as http://192.168.1.10:7070"},
				{Key: "vehicle", Ask: "evcc's name of the vehicle"},
				{Key: "make", Ask: "its make, as RENAULT", Optional: true}},
			Section: `type: http
preset: evcc
url: {url}
vehicles:
  - id: {vehicle}
    make: {make}
    with:
      vehicle: {vehicle}
`}},
		Presets:   []vehicle.Preset{{Name: evcc, Doc: "evcc, by its REST API", Map: evccMap}},
		Reference: reference,
		Settings: func() vehicle.Settings {
			return &Settings{Preset: none, Every: 30 * time.Second, Settle: 500 * time.Millisecond}
		},
	}
}

// evccMap describes the preset.
const evccMap = `# evcc, by its REST API. The whole source has preset: evcc, and evcc's address as its url.
#
#   vehicle    evcc's name of the vehicle (exactly one of vehicle and loadpoint)
#   loadpoint  a charge point, from 1, where no other vehicle charges

- id: vehicle
  with: {vehicle: "zoe"}

# It asks for these members of each charge point, and joins them in a way that no map can say:
#
#   ` + evccQuery + `
`

// Check implements [vehicle.Settings].
func (s *Settings) Check() (wrong []vehicle.Complaint) {
	if c := vehicle.CheckURL("url", s.URL, "an absolute http or https URL; a user and a password have settings of their own"); c != nil {
		wrong = append(wrong, *c)
	}
	ways := 0
	for _, way := range []string{s.Username, s.TokenFile} {
		if way != "" {
			ways++
		}
	}
	if ways > 1 {
		wrong = append(wrong, vehicle.Complaint{Setting: "token_file", Value: s.TokenFile, Why: "there is a user, too",
			Allowed: "username with password_file, or token_file"})
	}
	if (s.Username == "") != (s.PasswordFile == "") {
		wrong = append(wrong, vehicle.Complaint{Setting: "password_file", Value: s.PasswordFile, Why: "basic authentication is both",
			Allowed: "username and password_file, or neither"})
	}
	if len(s.Vehicles) == 0 {
		wrong = append(wrong, vehicle.Complaint{Setting: "vehicles",
			Allowed: "at least one vehicle, such as {id: zoe, with: {vehicle: zoe}} with preset evcc"})
	}
	for i, v := range s.Vehicles {
		if s.Preset != evcc && v.Preset != "" {
			wrong = append(wrong, vehicle.Complaint{Setting: fmt.Sprintf("vehicles[%d].preset", i), Value: v.Preset,
				Why:     "presets of vehicles are those of a broker",
				Allowed: "leave it out; preset: evcc is the whole source's"})
		}
	}
	return append(wrong, mapping.Check("vehicles", s.maps(), mapping.Documents)...)
}

// maps are the vehicles' maps. A vehicle without fields of its own has the source's preset.
func (s *Settings) maps() []mapping.Vehicle {
	vs := make([]mapping.Vehicle, len(s.Vehicles))
	copy(vs, s.Vehicles)
	if s.Preset == evcc {
		for i := range vs {
			vs[i].Preset = evcc
		}
	}
	return vs
}

// Endpoints implements [vehicle.Endpoints].
func (s *Settings) Endpoints() []vehicle.Endpoint {
	return []vehicle.Endpoint{{Setting: "url", URL: s.URL, Own: true}}
}

// Open implements [vehicle.Settings].
func (s *Settings) Open(ctx context.Context, d vehicle.Deps) (vehicle.Source, error) {
	known, err := d.Known(ctx)
	if err != nil {
		return nil, err
	}
	src := &Source{settings: *s, deps: d, client: d.Client(s.Endpoints()...), header: http.Header{},
		Fleet: mapping.NewFleet(d.Name, s.maps(), s.Settle, known)}
	src.client.Timeout = fetchTime
	if u, err := url.Parse(s.URL); err == nil {
		src.Serves(u.Host, "")
	}
	src.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	src.header.Set("Accept", "application/json")
	for setting, file := range map[string]string{"password_file": s.PasswordFile, "token_file": s.TokenFile, "header_file": s.HeaderFile} {
		if file == "" {
			continue
		}
		secret, err := d.Secret(setting)
		if err != nil {
			return nil, err
		}
		switch setting {
		case "password_file":
			src.password = secret
		case "token_file":
			src.header.Set("Authorization", "Bearer "+secret)
		case "header_file":
			name, value, ok := strings.Cut(secret, ":")
			if !ok || strings.ContainsAny(secret, "\r\n") || strings.TrimSpace(name) == "" {
				return nil, fmt.Errorf("header_file: %s has no line of the form NAME: VALUE", file)
			}
			src.header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	return src, nil
}
