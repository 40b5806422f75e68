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
	DataDir     string            `yaml:"data_dir" takes:"a folder on a local disk; it is made, with mode 0700, when it is not there" doc:"Folder of the data file plugbeat.db: webhooks, vehicles, subscriptions, schedule and what waits. Network file systems lack the locks and the memory mapping that it needs. Relative paths in this file count from the folder this file is in."`
	Socket      string            `yaml:"socket" takes:"a path of at most 103 bytes, or empty" doc:"Unix socket of the local commands (plugbeat status and the others). Whoever may open it is the operator: its file permissions are the only access control. Empty: /run/plugbeat/plugbeat.sock when data_dir is /var/lib/plugbeat, else plugbeat.sock in data_dir."`
	KeyFile     string            `yaml:"key_file" takes:"a file of 32 bytes, raw, in hex or in base64, mode 0600; or empty" doc:"File with the key that seals vendors' tokens and signing keys in the data file. Without it a data file cannot be opened, so keep a copy, apart from the backups of the data. Empty: the systemd credential sealing_key, which is the file secrets/sealing_key beside this one. plugbeat init makes one."`
	Grace       time.Duration     `yaml:"grace" min:"1s" max:"10m" doc:"How long a stop waits for requests in flight before it cuts them off; what is cut off is sent again at the next start. Longer than delivery.timeout, so that none needs cutting."`
	Log         Log               `yaml:"log" doc:"The log goes to standard error, one event a line; docs/log.md lists the events."`
	HTTP        HTTP              `yaml:"http" doc:"The two listeners. Both speak plain HTTP and are meant for this machine: put a reverse proxy with TLS in front of what other machines shall reach."`
	Application Application       `yaml:"application" doc:"The one application this daemon serves."`
	Sources     map[string]Source `yaml:"sources" takes:"entries by name, 1 to 16 characters of a-z, 0-9 and '-'" doc:"Where vehicles come from, each by a name of your choosing. The name is stored with each vehicle: under another one, or without it, its vehicles are not read."`
	Cadence     Cadence           `yaml:"cadence" doc:"How often a subscription is due, and so how often a car is read and a payload sent. A webhook may have its own unplugged, plugged_in and zone."`
	Reading     Reading           `yaml:"reading" doc:"How a vehicle is read."`
	Delivery    Delivery          `yaml:"delivery" doc:"How payloads get to their webhooks, and what happens when they do not."`
	Webhooks    Webhooks          `yaml:"webhooks" doc:"Defaults of new webhooks, and of every payload."`
	Retention   Retention         `yaml:"retention" doc:"What is kept how long. Deliveries that wait are never dropped for their age."`
	Backup      Backup            `yaml:"backup" doc:"The backups that the daemon makes by itself. The sealing key (key_file) is not in them and they are of no use without it: keep a copy of it elsewhere."`
	Alerts      map[string]Alert  `yaml:"alerts" takes:"entries by name, 1 to 32 characters of a-z, 0-9 and '-'" doc:"Where people are told what went wrong and that it is well again, each target by a name of your choosing; docs/alerts.md has examples. plugbeat alert test tries them."`

	// Floor is the fastest cadence taken. It is no key of the file: only the demo and
	// tests lower it from one minute.
	Floor time.Duration `yaml:"-"`
	// Dir is the folder the file lies in.
	Dir string `yaml:"-"`
}

// Log chooses what is logged and how it looks.
type Log struct {
	Level  string `yaml:"level" oneof:"debug info warn error" doc:"Events below this level are left out. debug adds every read and every attempt that succeeded."`
	Format string `yaml:"format" oneof:"auto json text" doc:"auto writes lines for a person on a terminal and JSON elsewhere; under systemd events with their fields, which journalctl matches."`
}

// HTTP holds the two listeners.
type HTTP struct {
	PublicURL string `yaml:"public_url" takes:"an absolute http or https URL without query and fragment; or empty" doc:"Where browsers and the application reach http.api from outside, as https://cars.example.com: the reverse proxy's address. The pages of /oauth lie below it, and a vendor sends owners back to /oauth/callback there, which has to be among the redirect URIs of your application at the vendor. Empty: http:// with the address of http.api, which browsers on this machine reach."`

	API   Listener `yaml:"api" doc:"For the application: /v2.0 as Smartcar's SDKs call it, and /healthz."`
	Admin Listener `yaml:"admin" doc:"For operators and monitoring, not for applications: /api/v1 and /metrics, which need an operator's token, /readyz and /healthz."`
}

// Listener is one address to serve on.
type Listener struct {
	Listen string `yaml:"listen" takes:"host:port, like 127.0.0.1:8765 or [::1]:8765; port 0 takes a free one; empty switches it off" doc:"The address to listen on."`
}

// Application is the program that this daemon serves.
type Application struct {
	ClientID            string   `yaml:"client_id" takes:"text, or empty" doc:"Its client id, as it presents it at /oauth/authorize and /oauth/token. Any text will do; an application that moves here keeps the one it has. Empty: no application can log in, and access tokens are made by plugbeat token add --access."`
	ClientSecretFile    string   `yaml:"client_secret_file" takes:"a file, mode 0600; or empty" doc:"File with its client secret, which is needed with client_id. Empty: secrets/client_secret, as with key_file."`
	RedirectURIs        []string `yaml:"redirect_uris" takes:"a list of absolute URIs without fragment: http, https, or an app's own scheme with a dot or beginning with sc" doc:"The URIs that a login may return to. What the application sends has to be one of them, character by character."`
	ManagementTokenFile string   `yaml:"management_token_file" takes:"a file with one line of at least 32 printable characters without spaces, mode 0600; or empty" doc:"File with the application management token: the key of SC-Signature and of challenges. Your receivers have it too; with another one they refuse what plugbeat sends. Empty: secrets/management_token, as with key_file. plugbeat init makes one."`

	ManagementTokenNextFile string `yaml:"management_token_next_file" takes:"a file like management_token_file; or empty" doc:"File with the token that is to replace it. While there is such a file both tokens are good: SC-Signature-Next is signed with this one, and so is SC-Signature for receivers that answered a challenge with it. A file that is not there is no fault: no rotation is going on then. Empty: the file of management_token_file with _next after its name. plugbeat token rotate-management makes it, and ends the rotation."`
}

// Source is one place that vehicles come from.
type Source struct {
	Type     string `yaml:"type" required:"yes"`
	MaxReads int    `yaml:"max_reads" min:"1" max:"1000" doc:"Reads of this source at a time. Each keeps one connection busy, some for minutes."`

	// Settings are those of the type's kind, whose keys stand beside these; nil where
	// there is no such kind.
	Settings vehicle.Settings `yaml:"-"`
}

// Cadence is how often subscriptions are due.
type Cadence struct {
	Unplugged     string          `yaml:"unplugged" takes:"a duration, 1m to 8760h, or words such as daily or 2 weeks, counted from the moment of subscribing or of the last change of the plug; or a cron expression of five fields in quotes, in calendar time, never twice within a minute" doc:"While a car is unplugged, or its plug has been unknown for unknown_after."`
	PluggedIn     string          `yaml:"plugged_in" takes:"as unplugged" doc:"While a car is plugged in."`
	Zone          string          `yaml:"zone" takes:"a name of the IANA time zone database, like Europe/Amsterdam, or empty for UTC" doc:"Time zone of cron expressions. Durations have none."`
	FirstDelivery bool            `yaml:"first_delivery" doc:"Whether the first delivery goes out at once on subscribing. Without it the first comes one cadence later."`
	Gap           time.Duration   `yaml:"gap" max:"1h" doc:"Two deliveries of one subscription are at least this far apart; a change in between is sent at its end, so that a loose plug cannot storm the receiver."`
	Freshness     time.Duration   `yaml:"freshness" max:"1h" doc:"One read of a car serves all its subscriptions that are due within this time of it, so that two webhooks do not cost two reads."`
	UnknownAfter  time.Duration   `yaml:"unknown_after" doc:"A plug that cannot be read keeps its last known state this long; then the unplugged cadence applies."`
	ClockBack     time.Duration   `yaml:"clock_back" doc:"When this machine's clock was set back by more than this, what is due later than one cadence from now is due one cadence from now. Without it cars would not be read until the clock has caught up."`
	Makes         map[string]Make `yaml:"makes" takes:"entries by make, of which only the letters count, each with fastest (1ms to 24h), unplugged (0s to 24h) and a note" doc:"How often the cars of a make stand to be read. fastest is the shortest sensible interval while plugged in, which webhooks added with --fastest use, and unplugged the one while unplugged; a cadence that is faster than these is warned of, with the note. The table below is built in: your entries change or extend it."`
}

// Make is what a make's cars and servers stand.
type Make struct {
	Fastest   time.Duration `yaml:"fastest" required:"yes" max:"24h" doc:"The shortest sensible interval while plugged in."`
	Unplugged time.Duration `yaml:"unplugged" min:"0s" max:"24h" doc:"The shortest sensible interval while unplugged; 0s for no limit."`
	Note      string        `yaml:"note" takes:"text, or empty" doc:"Why, for the warning."`
}

// Reading is how a vehicle is read.
type Reading struct {
	Tries int           `yaml:"tries" min:"1" max:"10" doc:"How often a car that is due is tried, in all. Only what failed for a reason that may pass is tried again, and each try counts where a vendor bills calls. The second comes 2s after the first, and each later wait is five times as long; a wait that the source asks for is never undercut."`
	Time  time.Duration `yaml:"time" doc:"No such try begins later than this after the first. What still fails goes into the payload as an error object in the value's place."`
}

// Delivery is how payloads get to their webhooks.
type Delivery struct {
	Retries        RetrySchedule `yaml:"retries" max:"720h" takes:"default, smartcar, or a list of 1 to 20 durations, each 1ms to 720h" doc:"The retry schedule: the wait before each retry, which is lengthened by up to 20 %, at most 10m, so that webhooks of one receiver do not retry in step. default is 10s, 50s, 4m10s, 20m50s, 1h44m10s, 8h40m50s, 10h51m in all; smartcar is 25s, 50s, 1m40s, 3m20s, 6m40s, 13m20s. A delivery that was answered with an error is retried on it. An open circuit breaker sends a probe at each of its steps, and disables the webhook when the last one fails."`
	Timeout        time.Duration `yaml:"timeout" min:"10ms" max:"5m" doc:"How long a receiver has to answer. 2xx headers within this time are success, whatever the body does."`
	InFlight       int           `yaml:"in_flight" min:"1" max:"64" doc:"Requests of one webhook at a time, never two of one vehicle. A receiver that answers slowly needs more of them to keep up."`
	ChallengeAfter time.Duration `yaml:"challenge_after" max:"24h" doc:"A challenge is the verification request, without data of any vehicle. A webhook is sent challenges while its circuit breaker is open and the next probe is further away than this, and while it is disabled because its retry schedule was spent. The first comes so long after the last attempt, the next ones at twice and four times that, then one every four times it. A right answer sends a probe at once, so that a receiver that is back need not wait for the next step. When that probe fails, the next challenge comes after twice challenge_after, then four times it, and so on, up to 96 times it."`
	Recover        string        `yaml:"recover" oneof:"all latest none" doc:"What of a webhook's backlog leaves when it comes back, unless the webhook says otherwise: all; latest, each vehicle's newest, which supersedes the older ones; none, the newest delivery alone, and the others are cancelled."`
	RecoverRate    int           `yaml:"recover_rate" min:"1" max:"10000" doc:"Requests a second to a webhook that came back, so that its backlog does not overrun the receiver."`
	UserAgent      string        `yaml:"user_agent" takes:"printable ASCII text" doc:"User-Agent of every request to a webhook. The default is what receivers of Smartcar's webhooks may look for."`
	Allow          []string      `yaml:"allow" takes:"a list of addresses (192.168.1.7), host:port (nas.local:8099), networks (10.1.0.0/16), and the words loopback and private" doc:"Private or loopback addresses, or public ones of this machine and its networks, that any webhook may be on. A webhook added with --allow-private needs no entry here. Metadata, link-local, multicast and reserved addresses stay refused (docs/security.md)."`
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
	MaxSize  Size          `yaml:"max_size" min:"1MiB" doc:"When the data file holds more than this, finished deliveries are let go of first, and when none is left waiting ones expire, oldest first and loudly. It bounds what a receiver that stays away may cost."`
	MinFree  Size          `yaml:"min_free" min:"0B" doc:"When the data file's file system has less than this free (at most a tenth of it), status and log warn: when nothing is free, nothing is read or delivered. 0B never warns."`
}

// Backup is when the data file is copied, and to where.
type Backup struct {
	Folder   string `yaml:"folder" takes:"a folder that exists; empty for no backups by itself" doc:"Folder that each backup becomes a file in, once it was checked. It has to exist, best on another disk; it is never made, so that a disk that is not mounted is noticed. Empty: no backups by itself."`
	Schedule string `yaml:"schedule" takes:"a duration, 1m to 8760h, words such as daily or 2 weeks, or a cron expression of five fields in quotes" doc:"How long after the last one the next is made, or a cron expression in cadence.zone. One that was missed is made up for at the start."`
	Keep     int    `yaml:"keep" min:"1" max:"10000" doc:"How many of this daemon's backups stay in the folder; older ones go once a new one is good."`
}

// Alert is one target of alerts.
type Alert struct {
	Template     string        `yaml:"template" oneof:"ntfy slack json" doc:"The shape of the request: ntfy for a topic of ntfy; slack for a chat's incoming webhook, as Slack, Mattermost and Discord (its address with /slack at the end) take it; json for a program of your own."`
	URL          string        `yaml:"url" secret:"yes" takes:"an absolute http or https URL; or empty, with url_file set" doc:"Where each message is POSTed to. Whoever knows the URL of a topic or of a chat's webhook may write there: url_file keeps it out of this file."`
	URLFile      string        `yaml:"url_file" takes:"a file with the URL, mode 0600; or empty" doc:"File with the URL, in place of url."`
	TokenFile    string        `yaml:"token_file" takes:"a file with the token, mode 0600; or empty" doc:"File with a token that is sent as Authorization: Bearer; empty for none."`
	Severity     string        `yaml:"severity" oneof:"info warning error" doc:"The least severity that is sent. info adds what somebody did himself, as disabling a webhook."`
	Events       []string      `yaml:"events" takes:"a list of codes of docs/health.md; empty for all" doc:"The conditions that are sent; that a condition is over comes with it."`
	AllowPrivate bool          `yaml:"allow_private" doc:"Whether the target may be at a private or loopback address, or at an address of this machine or its networks. delivery.allow allows single ones."`
	Interval     time.Duration `yaml:"interval" min:"1s" max:"24h" doc:"The least time between two messages; what happens meanwhile comes in one. A message that does not arrive is tried again after a sixth of it, once it, five times it, then every fifteen times it."`
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
