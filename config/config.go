// Package config turns a YAML file into a valid [Config], or into an [Error] whose
// every complaint names the setting, its value and what is allowed.
//
// It is strict: unknown keys, keys given twice, a second document, and durations without a
// unit stop the start. Defaults come first, so an empty file is a valid text; to serve, a key
// and a token are needed as well ([Config.CheckFiles]). The file holds the daemon, the
// application, the sources and the defaults; webhooks, vehicles, subscriptions and tokens
// live in the data file, and nothing is in both.
//
// What there is to set is one table, reference.yaml: it documents each setting, and files are
// read by it. The structs below only say where a value goes.
package config

import (
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Config is all that the config file sets; config.example.yaml says what each setting does.
// Paths are absolute once loaded.
type Config struct {
	DataDir     string            `yaml:"data_dir"`
	Socket      string            `yaml:"socket"`
	KeyFile     string            `yaml:"key_file"`
	Grace       time.Duration     `yaml:"grace"`
	Log         Log               `yaml:"log"`
	HTTP        HTTP              `yaml:"http"`
	Application Application       `yaml:"application"`
	Sources     map[string]Source `yaml:"sources"`
	Cadence     Cadence           `yaml:"cadence"`
	Reading     Reading           `yaml:"reading"`
	Delivery    Delivery          `yaml:"delivery"`
	Webhooks    Webhooks          `yaml:"webhooks"`
	Retention   Retention         `yaml:"retention"`
	Backup      Backup            `yaml:"backup"`
	Alerts      map[string]Alert  `yaml:"alerts"`

	// Floor is the fastest cadence taken. It is no key of the file: only the demo and
	// tests lower it from one minute.
	Floor time.Duration `yaml:"-"`
	// Dir is the folder the file lies in.
	Dir string `yaml:"-"`
	// Given are the settings that the file has, by their dotted paths, in its spelling.
	Given map[string]string `yaml:"-"`
}

// Log chooses what is logged and how it looks.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// HTTP holds the two listeners.
type HTTP struct {
	PublicURL string `yaml:"public_url"`

	API   Listener `yaml:"api"`
	Admin Listener `yaml:"admin"`
}

// Listener is one address to serve on.
type Listener struct {
	Listen string `yaml:"listen"`
}

// Application is the program that this daemon serves.
type Application struct {
	ClientID            string   `yaml:"client_id"`
	ClientSecretFile    string   `yaml:"client_secret_file"`
	RedirectURIs        []string `yaml:"redirect_uris"`
	ManagementTokenFile string   `yaml:"management_token_file"`

	ManagementTokenNextFile string `yaml:"management_token_next_file"`
}

// Source is one place that vehicles come from.
type Source struct {
	Type     string `yaml:"type"`
	MaxReads int    `yaml:"max_reads"`

	// Settings are those of the type's kind, whose keys stand beside these; nil where
	// there is no such kind.
	Settings vehicle.Settings `yaml:"-"`
}

// Cadence is how often subscriptions are due.
type Cadence struct {
	Unplugged string        `yaml:"unplugged"`
	PluggedIn string        `yaml:"plugged_in"`
	Zone      string        `yaml:"zone"`
	Gap       time.Duration `yaml:"gap"`
	Freshness time.Duration `yaml:"freshness"`
	Makes     Makes         `yaml:"makes"`

	// UnknownAfter is how long a plug that cannot be read keeps its last known state; then the
	// unplugged cadence applies. ClockBack is how far this machine's clock may go back before
	// due times are set anew. As Floor they are no keys of the file.
	UnknownAfter time.Duration `yaml:"-"`
	ClockBack    time.Duration `yaml:"-"`
}

// Makes are the makes by the letters of their names.
type Makes map[string]Make

// UnmarshalYAML changes built-in makes and adds others.
func (m *Makes) UnmarshalYAML(n *yaml.Node) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := cadence.NormalMake(n.Content[i].Value)
		entry := (*m)[name]
		if err := n.Content[i+1].Decode(&entry); err != nil {
			return err
		}
		(*m)[name] = entry
	}
	return nil
}

// Make is how often the vehicles and servers of a make can be read without harm.
type Make struct {
	Fastest   time.Duration `yaml:"fastest"`
	Unplugged time.Duration `yaml:"unplugged"`
	Note      string        `yaml:"note"`
}

// Reading is how a vehicle is read.
type Reading struct {
	Tries int `yaml:"tries"`

	// Time is how long after the first try another may begin. It is no key of the file.
	Time time.Duration `yaml:"-"`
}

// Delivery is how payloads get to their webhooks.
type Delivery struct {
	Retries        RetrySchedule `yaml:"retries"`
	Timeout        time.Duration `yaml:"timeout"`
	InFlight       int           `yaml:"in_flight"`
	ChallengeAfter time.Duration `yaml:"challenge_after"`
	Recover        string        `yaml:"recover"`
	RecoverRate    int           `yaml:"recover_rate"`
	UserAgent      string        `yaml:"user_agent"`
	Allow          []string      `yaml:"allow"`
}

// Webhooks are the defaults of new webhooks.
type Webhooks struct {
	Signing    string `yaml:"signing"`
	UnitSystem string `yaml:"unit_system"`
}

// Retention is what is kept how long.
type Retention struct {
	Payloads time.Duration `yaml:"payloads"`
	Records  time.Duration `yaml:"records"`
	History  time.Duration `yaml:"history"`
	Places   bool          `yaml:"places"`
	MaxSize  Size          `yaml:"max_size"`
}

// Backup is when the data file is copied, and to where.
type Backup struct {
	Folder   string `yaml:"folder"`
	Schedule string `yaml:"schedule"`
	Keep     int    `yaml:"keep"`
}

// Alert is one target of alerts.
type Alert struct {
	Template     string        `yaml:"template"`
	URL          string        `yaml:"url"`
	URLFile      string        `yaml:"url_file"`
	TokenFile    string        `yaml:"token_file"`
	Severity     string        `yaml:"severity"`
	Events       []string      `yaml:"events"`
	AllowPrivate bool          `yaml:"allow_private"`
	Interval     time.Duration `yaml:"interval"`
}

// DefaultAlert returns a target with the defaults alone.
func DefaultAlert() Alert {
	return Alert{Template: "json", Severity: "warning", Events: []string{}, Interval: time.Minute}
}

// UnmarshalYAML reads a target over the defaults.
func (a *Alert) UnmarshalYAML(n *yaml.Node) error {
	type plain Alert
	*a = DefaultAlert()
	return n.Decode((*plain)(a))
}

// Default returns the configuration of an empty file, its paths not yet resolved: that of
// the reference.
func Default() Config { return loadDefault().clone() }

var loadDefault = sync.OnceValue(func() Config {
	c := Config{
		Sources: map[string]Source{}, Cadence: Cadence{Makes: Makes{}, UnknownAfter: 24 * time.Hour, ClockBack: time.Minute},
		Reading: Reading{Time: 2 * time.Minute}, Alerts: map[string]Alert{}, Floor: time.Minute,
	}
	if err := yaml.Unmarshal([]byte(reference), &c); err != nil {
		panic(err) // the reference is built in, and tested
	}
	return c
})

// Policy is what the cadence section means to the scheduler.
func (c Config) Policy() cadence.Policy {
	makes := make(map[string]cadence.Make, len(c.Cadence.Makes))
	for name, m := range c.Cadence.Makes {
		makes[name] = cadence.Make(m)
	}
	return cadence.Policy{
		Default: webhook.Cadence{Unplugged: c.Cadence.Unplugged, PluggedIn: c.Cadence.PluggedIn, Zone: c.Cadence.Zone},
		Floor:   c.Floor,
		Makes:   makes,
	}
}
