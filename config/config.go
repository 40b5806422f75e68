// Package config turns a YAML file into a valid [Config], or into an [Error] whose
// every complaint names the setting, its value and what is allowed.
//
// It is strict: unknown keys, keys given twice, a second document, and durations
// without a unit stop the start. Defaults come first, so an empty file is a valid text; to serve, a key and a token
// are needed as well ([Config.CheckFiles]). The
// file holds the daemon, the application, the sources and the defaults; webhooks,
// vehicles, subscriptions and tokens live in the data file, and nothing is in both.
//
// The doc tags below are the text of config.example.yaml, which [Describe] prints.
package config

import (
	"time"

	"plugbeat/scheduler/cadence"
	"plugbeat/webhook"
)

// Config is all that the config file sets. Every number has the default that its
// documentation describes; paths are absolute once loaded.
type Config struct {
	DataDir     string            `yaml:"data_dir" doc:"Folder of the data file plugbeat.db. Relative paths in this file count from the folder this file is in."`
	Socket      string            `yaml:"socket" doc:"Unix socket of the local commands; its file permissions are the access control. Empty: /run/plugbeat/plugbeat.sock when data_dir is /var/lib/plugbeat, else plugbeat.sock in data_dir."`
	KeyFile     string            `yaml:"key_file" doc:"File with the 32-byte key that seals tokens and signing keys in the data file: raw, in hex or in base64. Empty: the systemd credential sealing_key. Keep a copy apart from the data file's backups."`
	Grace       time.Duration     `yaml:"grace" min:"1s" max:"10m" doc:"How long a stop waits for requests in flight before it cuts them off. Longer than delivery.timeout, so that none needs cutting."`
	Log         Log               `yaml:"log" doc:"The log goes to standard error, one event a line."`
	HTTP        HTTP              `yaml:"http" doc:"The two listeners, host:port, both plain HTTP: put a reverse proxy with TLS in front of what leaves this machine. Empty switches a listener off."`
	Application Application       `yaml:"application" doc:"The one application this daemon serves."`
	Sources     map[string]Source `yaml:"sources" doc:"Where vehicles come from, by a name of your choosing: 1 to 16 characters of a-z, 0-9 and '-'. The name is stored with each vehicle, so keep it."`
	Cadence     Cadence           `yaml:"cadence" doc:"How often a subscription is due. A webhook may have its own unplugged, plugged_in and zone. Each is a duration, counted from the subscription's moment, or a cron expression of five fields, in calendar time. Never faster than one minute."`
	Reading     Reading           `yaml:"reading" doc:"How a vehicle is read."`
	Delivery    Delivery          `yaml:"delivery" doc:"How payloads get to their webhooks, and what happens when they do not."`
	Webhooks    Webhooks          `yaml:"webhooks" doc:"Defaults of new webhooks, and of every payload."`
	Retention   Retention         `yaml:"retention" doc:"What is kept how long. Deliveries that wait are never dropped for their age."`

	// Floor is the fastest cadence taken. It is no key of the file: only the demo
	// and tests lower it from one minute, through [Config.Scaled].
	Floor time.Duration `yaml:"-"`
}

// Log chooses what is logged and how it looks.
type Log struct {
	Level  string `yaml:"level" oneof:"debug info warn error" doc:"Events below this level are left out."`
	Format string `yaml:"format" oneof:"auto json text" doc:"auto writes text on a terminal and JSON elsewhere."`
}

// HTTP holds the two listeners.
type HTTP struct {
	API   Listener `yaml:"api" doc:"/v2.0 as Smartcar's SDKs call it, and /healthz."`
	Admin Listener `yaml:"admin" doc:"/readyz; for monitoring, not for applications."`
}

// Listener is one address to serve on.
type Listener struct {
	Listen string `yaml:"listen"`
}

// Application is the program that this daemon serves.
type Application struct {
	ClientID            string   `yaml:"client_id" doc:"Its client id, as it will present it to plugbeat. Not used until plugbeat serves OAuth; neither are the next two."`
	ClientSecretFile    string   `yaml:"client_secret_file" doc:"File with its client secret. Empty: the systemd credential client_secret."`
	RedirectURIs        []string `yaml:"redirect_uris" doc:"The URIs a login may return to, absolute http or https."`
	ManagementTokenFile string   `yaml:"management_token_file" doc:"File with the application management token, at least 32 characters: the key of SC-Signature and of challenges, known to your receivers. Empty: the systemd credential management_token. Make one: plugbeat init."`
}

// Source is one place that vehicles come from.
type Source struct {
	Type     string `yaml:"type" oneof:"simulator smartcar" doc:"simulator or smartcar."`
	MaxReads int    `yaml:"max_reads" min:"0" max:"1000" doc:"Reads of this source at a time; 0 takes reading.max_reads."`

	Simulator Simulator `yaml:",inline" when:"simulator"`
	Smartcar  Smartcar  `yaml:",inline" when:"smartcar"`
}

// Simulator is a seeded fleet that drives, plugs in and charges, in this process.
type Simulator struct {
	Vehicles int           `yaml:"vehicles" min:"1" max:"100000" doc:"Number of cars."`
	Seed     uint64        `yaml:"seed" doc:"Chooses the cars and their lives; the same seed gives the same."`
	Hour     time.Duration `yaml:"hour" min:"1ms" max:"24h" doc:"How long one hour of a car's life takes; 1m makes a day pass in 24 minutes."`
}

// Smartcar reads cars through Smartcar's API v2.0.
type Smartcar struct {
	ClientID         string `yaml:"client_id" doc:"Your application's client id at Smartcar."`
	ClientSecretFile string `yaml:"client_secret_file" doc:"File with your client secret at Smartcar. Empty: the systemd credential NAME_client_secret, NAME being the source's name with '-' as '_'."`
	Mode             string `yaml:"mode" oneof:"live simulated test" doc:"What payloads say of these cars: live, simulated or test."`
	APIOrigin        string `yaml:"api_origin" doc:"Where the vendor's API is, without /v2.0. Plain http only to this machine."`
	AuthOrigin       string `yaml:"auth_origin" doc:"Where tokens are exchanged, without /oauth/token."`
	ConnectOrigin    string `yaml:"connect_origin" doc:"Where owners sign in again; appears in error objects only."`
	RedirectURI      string `yaml:"redirect_uri" doc:"Where owners return to after that; may be empty."`
}

// Cadence is how often subscriptions are due.
type Cadence struct {
	Unplugged     string          `yaml:"unplugged" doc:"While a car is unplugged, or its plug has been unknown for unknown_after."`
	PluggedIn     string          `yaml:"plugged_in" doc:"While a car is plugged in."`
	Zone          string          `yaml:"zone" doc:"Time zone of cron expressions, as in Europe/Amsterdam."`
	FirstDelivery bool            `yaml:"first_delivery" doc:"Whether the first delivery goes out at once on subscribing. Without it the first is one cadence later."`
	Gap           time.Duration   `yaml:"gap" max:"1h" doc:"Two deliveries of one subscription are at least this far apart; a change in between is sent at its end. So a loose plug cannot storm."`
	Freshness     time.Duration   `yaml:"freshness" max:"1h" doc:"One read of a car serves all its subscriptions due within this time."`
	UnknownAfter  time.Duration   `yaml:"unknown_after" doc:"A plug that cannot be read keeps its last state this long."`
	ClockBack     time.Duration   `yaml:"clock_back" doc:"When the clock went back further than this, what is due later than one cadence from now is due one cadence from now."`
	MaxSleep      time.Duration   `yaml:"max_sleep" max:"1h" doc:"The clock is looked at again at least this often."`
	Makes         map[string]Make `yaml:"makes" doc:"What a make stands: fastest is the shortest sensible interval while plugged in, which webhooks added with --fastest use, and unplugged the one while unplugged; a cadence faster than these is warned of, with the note. Only the letters of a make count. Entries change or extend this table, which stands without them."`
}

// Make is what a make's cars and servers stand.
type Make struct {
	Fastest   time.Duration `yaml:"fastest" max:"24h"`
	Unplugged time.Duration `yaml:"unplugged" min:"0s" max:"24h"`
	Note      string        `yaml:"note"`
}

// Reading is how a vehicle is read.
type Reading struct {
	Tries       int           `yaml:"tries" min:"1" max:"10" doc:"Tries in all within one slot, only for paths that failed with something temporary."`
	Time        time.Duration `yaml:"time" doc:"Tries end this long after the slot's first. What still fails goes into the payload as that path's error object."`
	Backoff     time.Duration `yaml:"backoff" doc:"The wait before the second try; it grows five-fold. A wait that the source asks for is never undercut."`
	ReadTime    time.Duration `yaml:"read_time" min:"10ms" max:"1h" doc:"How long one call of a source may take. Some makes answer after 300 s."`
	SourcePause time.Duration `yaml:"source_pause" doc:"How long a source rests after a rate limit of the whole application that names no time."`
	MaxReads    int           `yaml:"max_reads" min:"1" max:"1000" doc:"Reads of one source at a time; a source may have its own."`
}

// Delivery is how payloads get to their webhooks.
type Delivery struct {
	Retries      Ladder        `yaml:"retries" max:"720h" doc:"The ladder: the wait before each retry. default is 10s, 50s, 4m10s, 20m50s, 1h44m10s, 8h40m50s, 10h51m in all; smartcar is 25s, 50s, 1m40s, 3m20s, 6m40s, 13m20s; or a list of your own, 1 to 20 waits."`
	Jitter       float64       `yaml:"jitter" min:"0" max:"1" doc:"A wait is lengthened by up to this share of itself, so that webhooks do not retry in step,"`
	JitterMax    time.Duration `yaml:"jitter_max" doc:"but by no more than this."`
	Timeout      time.Duration `yaml:"timeout" min:"10ms" max:"5m" doc:"2xx headers within this time are success, whatever the body does."`
	BodyTime     time.Duration `yaml:"body_time" min:"10ms" max:"1m" doc:"An answer's body is read for at most this long,"`
	BodyBytes    Size          `yaml:"body_bytes" min:"1B" max:"1MiB" doc:"and this far; it is shown by delivery show."`
	InFlight     int           `yaml:"in_flight" min:"1" max:"64" doc:"Requests of one webhook at a time, never two of one vehicle."`
	TrialSize    int           `yaml:"trial_size" min:"1" max:"20" doc:"Deliveries that a failing webhook is tried with at each rung, at most."`
	EarlyMax     int           `yaml:"early_max" min:"0" max:"20" doc:"First deliveries of vehicles not yet tried that a failing webhook gets between rungs, at most."`
	RecoverRate  int           `yaml:"recover_rate" min:"1" max:"10000" doc:"Requests a second to a webhook that came back."`
	OwnFaultWait time.Duration `yaml:"own_fault_wait" doc:"After a fault of this machine's own (no network, no resolver, disk full), which spends no rung, the first wait is this; each doubles the one before,"`
	OwnFaultMax  time.Duration `yaml:"own_fault_max" doc:"up to this."`
	UserAgent    string        `yaml:"user_agent" doc:"User-Agent of every request to a webhook."`
	Allow        []string      `yaml:"allow" doc:"Private or loopback addresses that any webhook may be on: addresses (192.168.1.7), host:port (nas.local:8099), networks (10.1.0.0/16), or the words loopback and private. Webhooks added with --allow-private need none. Metadata, link-local, multicast and reserved addresses stay refused."`
	Challenge    Challenge     `yaml:"challenge" doc:"A webhook whose next rung is far away, or that was disabled because its ladder was spent, is sent challenges. A right answer brings the rung forward or enables it again."`
}

// Challenge is when failing and exhausted webhooks are challenged.
type Challenge struct {
	From       time.Duration `yaml:"from" doc:"A next rung further away than this is far."`
	After      []Wait        `yaml:"after" doc:"The first challenges come this long after the last attempt, growing."`
	Every      time.Duration `yaml:"every" doc:"Then one in each of these."`
	HealWindow time.Duration `yaml:"heal_window" doc:"Disabled again within this time of healing doubles that interval,"`
	Max        time.Duration `yaml:"max" doc:"up to this."`
}

// Webhooks are the defaults of new webhooks.
type Webhooks struct {
	Signing    string `yaml:"signing" oneof:"smartcar standard both" doc:"Signature headers of new webhooks: SC-Signature (smartcar), Standard Webhooks (standard), or both."`
	UnitSystem string `yaml:"unit_system" oneof:"metric imperial" doc:"Unit of the range in every payload: kilometres (metric) or miles (imperial)."`
}

// Retention is what is kept how long.
type Retention struct {
	Payloads time.Duration `yaml:"payloads" doc:"Payloads of finished deliveries."`
	Records  time.Duration `yaml:"records" doc:"Records of finished deliveries and their attempts; not shorter than payloads."`
	MaxSize  Size          `yaml:"max_size" min:"1MiB" doc:"When the data file holds more than this, the oldest waiting deliveries expire, loudly."`
	Every    time.Duration `yaml:"every" doc:"How often the rules above are applied."`
	MinFree  Size          `yaml:"min_free" min:"0B" doc:"When the data file's file system has less than this free (at most a tenth of it), status and log warn: when nothing is free, nothing is read or delivered. 0B never warns."`
}

// Default returns the configuration of an empty file, its paths not yet resolved.
func Default() Config {
	return Config{
		DataDir:     standardDataDir,
		Grace:       20 * time.Second,
		Log:         Log{Level: "info", Format: "auto"},
		HTTP:        HTTP{API: Listener{"127.0.0.1:8765"}, Admin: Listener{"127.0.0.1:8766"}},
		Application: Application{RedirectURIs: []string{}},
		Sources:     map[string]Source{},
		Cadence: Cadence{
			Unplugged: "1h", PluggedIn: "30m", Zone: "UTC", FirstDelivery: true,
			Gap: time.Minute, Freshness: time.Minute, UnknownAfter: 24 * time.Hour, ClockBack: time.Minute, MaxSleep: 30 * time.Second,
			Makes: defaultMakes(),
		},
		Reading: Reading{Tries: 3, Time: 2 * time.Minute, Backoff: 2 * time.Second, ReadTime: 310 * time.Second, SourcePause: time.Minute, MaxReads: 8},
		Delivery: Delivery{
			Retries: presetLadder("default"), Jitter: 0.2, JitterMax: 10 * time.Minute,
			Timeout: 15 * time.Second, BodyTime: 2 * time.Second, BodyBytes: 4096,
			InFlight: 8, TrialSize: 3, EarlyMax: 3, RecoverRate: 50, OwnFaultWait: 10 * time.Second, OwnFaultMax: time.Minute,
			UserAgent: "Smartcar/2.0", Allow: []string{},
			Challenge: Challenge{From: 15 * time.Minute, After: []Wait{Wait(15 * time.Minute), Wait(30 * time.Minute), Wait(time.Hour)},
				Every: time.Hour, HealWindow: time.Hour, Max: 24 * time.Hour},
		},
		Webhooks:  Webhooks{Signing: "both", UnitSystem: "metric"},
		Retention: Retention{Payloads: 7 * 24 * time.Hour, Records: 30 * 24 * time.Hour, MaxSize: 1 << 30, Every: 10 * time.Minute, MinFree: 256 << 20},
		Floor:     time.Minute,
	}
}

// defaultMakes is the table of makes that comes with plugbeat.
func defaultMakes() map[string]Make {
	makes := map[string]Make{}
	for name, m := range cadence.BuiltinMakes() {
		makes[name] = Make(m)
	}
	return makes
}

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

// DefaultSource returns a source of the type ("simulator", "smartcar") with nothing
// else said of it.
func DefaultSource(kind string) Source {
	s := Source{Type: kind}
	switch kind {
	case "simulator":
		s.Simulator = Simulator{Vehicles: 3, Seed: 1, Hour: time.Hour}
	case "smartcar":
		s.Smartcar = Smartcar{Mode: "live", APIOrigin: "https://api.smartcar.com", AuthOrigin: "https://auth.smartcar.com", ConnectOrigin: "https://connect.smartcar.com"}
	}
	return s
}
