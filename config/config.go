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
	"plugbeat/vehicle"
	"plugbeat/vehicle/all"
	"plugbeat/webhook"
)

// Config is all that the config file sets. Every number has the default that its
// documentation describes; paths are absolute once loaded.
//
// The tags of a field: doc says what it does and when to change it; min, max and
// oneof are held by [Config.Check]; takes puts into words what no other tag says; a
// value with secret is not shown; required is said of one without a default. The
// settings of sources have the same tags ([vehicle.Settings]).
type Config struct {
	DataDir     string            `yaml:"data_dir" takes:"a folder on a local disk; it is made, with mode 0700, when it is not there" doc:"Folder of the data file plugbeat.db: webhooks, vehicles, subscriptions, due times and waiting deliveries. It needs locks and memory mapping, which network file systems lack. Relative paths in this file count from the folder of this file."`
	Socket      string            `yaml:"socket" takes:"a path of at most 103 bytes, or empty" doc:"Unix socket of the local commands (plugbeat status and the others). Whoever may open it is the operator: its file permissions are the only access control. Empty: /run/plugbeat/plugbeat.sock when data_dir is /var/lib/plugbeat, else plugbeat.sock in data_dir."`
	KeyFile     string            `yaml:"key_file" takes:"a file of 32 bytes, raw, in hex or in base64, mode 0600; or empty" doc:"File with the key that seals vendors' tokens and signing keys in the data file. No data file can be opened without it, so keep a copy, apart from the backups of the data. Empty: the systemd credential sealing_key, which is the file secrets/sealing_key beside this one. plugbeat init makes one."`
	Grace       time.Duration     `yaml:"grace" min:"1s" max:"10m" doc:"How long a stop waits for requests in flight before it cuts them off. A delivery that is cut off is sent again at the next start. The default is longer than delivery.timeout, so that no request is cut off."`
	Log         Log               `yaml:"log" doc:"The log goes to standard error, one event a line; docs/log.md lists the events."`
	HTTP        HTTP              `yaml:"http" doc:"The two listeners. Both speak plain HTTP and are meant for this machine: put a reverse proxy with TLS in front of a listener that other machines reach."`
	Application Application       `yaml:"application" doc:"The one application this daemon serves."`
	Sources     map[string]Source `yaml:"sources" takes:"entries by name, 1 to 16 characters of a-z, 0-9 and '-'" doc:"Where vehicles come from, each source by a name of your choosing. The name is stored with each vehicle: if you rename or remove a source, its vehicles are no longer read."`
	Cadence     Cadence           `yaml:"cadence" doc:"How often a subscription is due, and so how often a vehicle is read and a payload sent. A webhook may have its own unplugged, plugged_in and zone."`
	Reading     Reading           `yaml:"reading" doc:"How a vehicle is read."`
	Delivery    Delivery          `yaml:"delivery" doc:"How payloads get to their receivers, and what happens when a receiver fails."`
	Webhooks    Webhooks          `yaml:"webhooks" doc:"Defaults of new webhooks, and of every payload."`
	Retention   Retention         `yaml:"retention" doc:"What is kept how long. A waiting delivery is never dropped for its age."`
	Backup      Backup            `yaml:"backup" doc:"Scheduled backups. The sealing key (key_file) is not in them, and they are of no use without it: keep a copy of the key elsewhere."`
	Alerts      map[string]Alert  `yaml:"alerts" takes:"entries by name, 1 to 32 characters of a-z, 0-9 and '-'" doc:"Who is told when something is wrong and when it is well again, each target by a name of your choosing. docs/alerts.md has examples; plugbeat alert test tries them."`

	// Floor is the fastest cadence taken. It is no key of the file: only the demo
	// and tests lower it from one minute, through [Config.Scaled].
	Floor time.Duration `yaml:"-"`
	// Dir is the folder the file lies in.
	Dir string `yaml:"-"`
}

// Log chooses what is logged and how it looks.
type Log struct {
	Level  string `yaml:"level" oneof:"debug info warn error" doc:"Events below this level are left out. debug adds every read and every attempt that succeeded."`
	Format string `yaml:"format" oneof:"auto json text" doc:"auto writes lines for a person on a terminal, events with fields to systemd's journal, and JSON elsewhere."`
}

// HTTP holds the two listeners.
type HTTP struct {
	PublicURL string `yaml:"public_url" takes:"an absolute http or https URL without query and fragment; or empty" doc:"Where browsers and the application reach http.api from outside: the reverse proxy's address, as https://cars.example.com. A vendor sends owners back to /oauth/callback below it: add that to the redirect URIs of your application at the vendor. Empty: http:// with the address of http.api, which browsers on this machine reach."`

	API   Listener `yaml:"api" doc:"For the application: /v2.0 as Smartcar's SDKs call it, and /healthz."`
	Admin Listener `yaml:"admin" doc:"For operators and monitoring, not for applications: /api/v1 and /metrics, which need an operator's token, /readyz and /healthz."`
}

// Listener is one address to serve on.
type Listener struct {
	Listen string `yaml:"listen" takes:"host:port, like 127.0.0.1:8765 or [::1]:8765; port 0 takes a free one; empty switches it off" doc:"The address to listen on."`
}

// Application is the program that this daemon serves.
type Application struct {
	ClientID            string   `yaml:"client_id" takes:"text, or empty" doc:"The client id that the application sends to /oauth/authorize and /oauth/token: any text; an application that moves here keeps its own. Empty: no application can log in, and plugbeat token add --access makes access tokens."`
	ClientSecretFile    string   `yaml:"client_secret_file" takes:"a file, mode 0600; or empty" doc:"File with the application's client secret. client_id needs it. Empty: secrets/client_secret, as with key_file."`
	RedirectURIs        []string `yaml:"redirect_uris" takes:"a list of absolute URIs without fragment: http, https, or an app's own scheme with a dot or beginning with sc" doc:"The URIs that a login may return to. The application's redirect_uri must equal one of them, character by character."`
	ManagementTokenFile string   `yaml:"management_token_file" takes:"a file with one line of at least 32 printable characters without spaces, mode 0600; or empty" doc:"File with the application management token: the key of SC-Signature and of challenges. Your receivers need the same token, else they refuse every delivery. Empty: secrets/management_token, as with key_file. plugbeat init makes one."`

	ManagementTokenNextFile string `yaml:"management_token_next_file" takes:"a file like management_token_file; or empty" doc:"File with the token that is to replace the management token. While the file exists both tokens are good: SC-Signature-Next is signed with this one, and so is SC-Signature for receivers that answered a challenge with it. Without the file no rotation is going on. Empty: the file of management_token_file with _next after its name. plugbeat token rotate-management makes the file and ends the rotation."`
}

// Source is one place that vehicles come from.
type Source struct {
	Type     string `yaml:"type" required:"yes"`
	MaxReads int    `yaml:"max_reads" min:"1" max:"1000" doc:"How many reads of this source run at a time. Each read keeps a connection busy, some for minutes."`

	// Settings are those of the type's kind, whose keys stand beside these; nil where
	// there is no such kind.
	Settings vehicle.Settings `yaml:"-"`
}

// Cadence is how often subscriptions are due.
type Cadence struct {
	Unplugged     string          `yaml:"unplugged" takes:"a duration, 1m to 8760h, or words such as daily or 2 weeks, counted from the moment of subscribing or of the last change of the plug; or a cron expression of five fields in quotes, in calendar time, never twice within a minute" doc:"While a vehicle is unplugged, or its plug has been unknown for unknown_after."`
	PluggedIn     string          `yaml:"plugged_in" takes:"as unplugged" doc:"While a vehicle is plugged in."`
	Zone          string          `yaml:"zone" takes:"a name of the IANA time zone database, like Europe/Amsterdam, or empty for UTC" doc:"Time zone of cron expressions. A time that the clock change of spring skips comes at the first moment after the gap; a time that autumn brings twice comes once. An expression for every hour goes by real hours."`
	FirstDelivery bool            `yaml:"first_delivery" doc:"Whether the first delivery is made at once on subscribing. With false it is made one cadence later."`
	Gap           time.Duration   `yaml:"gap" max:"1h" doc:"The least time between two deliveries of one subscription. A change of the plug within it is delivered at its end, so that a loose plug does not flood the receiver."`
	Freshness     time.Duration   `yaml:"freshness" max:"1h" doc:"For this long one reading of a vehicle serves all its subscriptions, so that two webhooks do not cost two reads."`
	UnknownAfter  time.Duration   `yaml:"unknown_after" doc:"A plug that cannot be read keeps its last known state this long; then the unplugged cadence applies."`
	ClockBack     time.Duration   `yaml:"clock_back" doc:"If this machine's clock was set back by more than this, a subscription that is due later than one cadence from now becomes due one cadence from now. Otherwise vehicles would not be read until the clock has caught up."`
	Makes         map[string]Make `yaml:"makes" takes:"entries by make, of which only the letters count, each with fastest (1ms to 24h), unplugged (0s to 24h) and a note" doc:"The shortest sensible interval of each make: fastest while plugged in, which webhooks added with --fastest use, and unplugged while unplugged. plugbeat warns of a faster cadence, with the note. The table below is built in: your entries change or extend it."`
}

// Make is what a make's cars and servers stand.
type Make struct {
	Fastest   time.Duration `yaml:"fastest" required:"yes" max:"24h" doc:"The shortest sensible interval while plugged in."`
	Unplugged time.Duration `yaml:"unplugged" min:"0s" max:"24h" doc:"The shortest sensible interval while unplugged; 0s for no limit."`
	Note      string        `yaml:"note" takes:"text, or empty" doc:"Why, for the warning."`
}

// Reading is how a vehicle is read.
type Reading struct {
	Tries int           `yaml:"tries" min:"1" max:"10" doc:"How often a due vehicle is read at most, the first read included. Only paths that failed for a reason that may pass are tried again. A try counts where a vendor counts calls. The second try comes 2s after the first, and each later wait is five times as long, or longer if the source asks for it."`
	Time  time.Duration `yaml:"time" doc:"No try begins later than this after the first. A path that still fails goes into the payload as an error object."`
}

// Delivery is how payloads get to their webhooks.
type Delivery struct {
	Retries        RetrySchedule `yaml:"retries" max:"720h" takes:"default, smartcar, or a list of 1 to 20 durations, each 1ms to 720h" doc:"The retry schedule: the wait before each retry. Each wait is lengthened at random by up to 20 %, at most 10m, so that the webhooks of one receiver do not retry at the same moment. default is 10s, 50s, 4m10s, 20m50s, 1h44m10s, 8h40m50s, 10h51m in all; smartcar is 25s, 50s, 1m40s, 3m20s, 6m40s, 13m20s. A delivery that the receiver answered with an error is retried on this schedule. An open circuit breaker sends a probe at each of its steps, and the webhook is disabled when the last probe fails."`
	Timeout        time.Duration `yaml:"timeout" min:"10ms" max:"5m" doc:"How long a receiver has to answer. 2xx headers within this time are success, whatever the body does."`
	InFlight       int           `yaml:"in_flight" min:"1" max:"64" doc:"How many requests of one webhook are made at a time, never two of one vehicle. A slow receiver needs more to keep up."`
	ChallengeAfter time.Duration `yaml:"challenge_after" max:"24h" doc:"A challenge is the verification request; it has no data of a vehicle. plugbeat sends challenges while a circuit breaker is open and the next probe is further away than this, and while a webhook is disabled as exhausted. The first comes this long after the last attempt, the next ones after twice and four times this, then every four times this. After a right answer a probe is sent at once, so that a receiver that is back does not wait for the next step. If that probe fails, the next challenge comes after twice this time, then four times, and so on, up to 96 times."`
	Recover        string        `yaml:"recover" oneof:"all latest none" doc:"What of a webhook's backlog is sent when the webhook comes back, unless the webhook has a setting of its own. all: everything. latest: each vehicle's newest delivery, which supersedes the older ones. none: only the newest delivery; the others are cancelled."`
	RecoverRate    int           `yaml:"recover_rate" min:"1" max:"10000" doc:"How many requests a second a webhook that came back gets, so that its backlog does not overrun the receiver."`
	UserAgent      string        `yaml:"user_agent" takes:"printable ASCII text" doc:"User-Agent of every request to a webhook. Receivers of Smartcar's webhooks may look for the default."`
	Allow          []string      `yaml:"allow" takes:"a list of addresses (192.168.1.7), host:port (nas.local:8099), networks (10.1.0.0/16), and the words loopback and private" doc:"Private or loopback addresses, or public ones of this machine and its networks, to which every webhook may send. A webhook added with --allow-private needs no entry here. Metadata, link-local, multicast and reserved addresses stay refused (docs/security.md)."`
}

// Webhooks are the defaults of new webhooks.
type Webhooks struct {
	Signing    string `yaml:"signing" oneof:"smartcar standard both" doc:"Signature headers of new webhooks: SC-Signature (smartcar), those of Standard Webhooks (standard), or both."`
	UnitSystem string `yaml:"unit_system" oneof:"metric imperial" doc:"Unit of the range in payloads, unless a webhook has its own: kilometres (metric) or miles (imperial)."`
}

// Retention is what is kept how long.
type Retention struct {
	Payloads time.Duration `yaml:"payloads" doc:"How long the payloads of finished deliveries are kept, for plugbeat delivery show. They are most of the data."`
	Records  time.Duration `yaml:"records" doc:"How long records of finished deliveries and their attempts are kept; not shorter than payloads."`
	MaxSize  Size          `yaml:"max_size" min:"1MiB" doc:"If the data file holds more than this, finished deliveries are deleted first. When there are no more, waiting deliveries expire, oldest first, and you are told. This bounds what an absent receiver can cost."`
	MinFree  Size          `yaml:"min_free" min:"0B" doc:"If the data file's disk has less than this free (at most a tenth of the disk), plugbeat warns. When the disk is full, nothing is read or delivered. 0B never warns."`
}

// Backup is when the data file is copied, and to where.
type Backup struct {
	Folder   string `yaml:"folder" takes:"a folder that exists; empty for no scheduled backups" doc:"Folder of the backups, best on another disk. Each backup is checked before it gets its name. The folder has to exist: plugbeat does not make it, so that you notice a disk that is not mounted. Empty: no scheduled backups."`
	Schedule string `yaml:"schedule" takes:"a duration, 1m to 8760h, words such as daily or 2 weeks, or a cron expression of five fields in quotes" doc:"The time between two backups, or a cron expression in cadence.zone. A backup that was missed is made at the next start."`
	Keep     int    `yaml:"keep" min:"1" max:"10000" doc:"How many of this daemon's backups stay in the folder. Older ones are deleted once a new one is good."`
}

// Alert is one target of alerts.
type Alert struct {
	Template     string        `yaml:"template" oneof:"ntfy slack json" doc:"The shape of the request: ntfy for a topic of ntfy; slack for a chat's incoming webhook, as Slack, Mattermost and Discord (its address with /slack at the end) take it; json for a program of your own."`
	URL          string        `yaml:"url" secret:"yes" takes:"an absolute http or https URL; or empty, with url_file set" doc:"Where each message is POSTed to. Whoever knows the URL of a topic or of a chat's webhook may write there: url_file keeps it out of this file."`
	URLFile      string        `yaml:"url_file" takes:"a file with the URL, mode 0600; or empty" doc:"File with the URL, in place of url."`
	TokenFile    string        `yaml:"token_file" takes:"a file with the token, mode 0600; or empty" doc:"File with a token that is sent as Authorization: Bearer; empty for none."`
	Severity     string        `yaml:"severity" oneof:"info warning error" doc:"The least severity that is sent. info adds what an operator did, as disabling a webhook."`
	Events       []string      `yaml:"events" takes:"a list of codes of docs/health.md; empty for all" doc:"The conditions that are sent. That such a condition is over is sent too."`
	AllowPrivate bool          `yaml:"allow_private" doc:"Whether the target may be at a private or loopback address, or at an address of this machine or its networks. delivery.allow allows single addresses."`
	Interval     time.Duration `yaml:"interval" min:"1s" max:"24h" doc:"The least time between two messages; what happens meanwhile comes in one message. A message that does not arrive is tried again after a sixth of this time, once, five times, and then every fifteen times this time."`
}

// DefaultAlert returns a target of which nothing is said.
func DefaultAlert() Alert {
	return Alert{Template: "json", Severity: "warning", Events: []string{}, Interval: time.Minute}
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
			Gap: time.Minute, Freshness: time.Minute, UnknownAfter: 24 * time.Hour, ClockBack: time.Minute,
			Makes: defaultMakes(),
		},
		Reading: Reading{Tries: 3, Time: 2 * time.Minute},
		Delivery: Delivery{
			Retries: presetSchedule("default"), Timeout: 15 * time.Second, InFlight: 8, ChallengeAfter: 15 * time.Minute,
			Recover: "all", RecoverRate: 50, UserAgent: "Smartcar/2.0", Allow: []string{},
		},
		Webhooks:  Webhooks{Signing: "both", UnitSystem: "metric"},
		Retention: Retention{Payloads: 7 * 24 * time.Hour, Records: 30 * 24 * time.Hour, MaxSize: 1 << 30, MinFree: 256 << 20},
		Backup:    Backup{Schedule: "24h", Keep: 7},
		Alerts:    map[string]Alert{},
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

// DefaultSource returns a source of the type with nothing else said of it.
func DefaultSource(kind string) Source {
	s := Source{Type: kind, MaxReads: 8}
	if k, ok := all.Kind(kind); ok {
		s.Settings = k.Settings()
	}
	return s
}
