// Package health says what is wrong now: conditions, each with a severity, a subject, the
// time since when it has stood, a text and a remedy.
//
// It guarantees that what is wrong is judged and worded once. [Judge] is pure: it looks at
// the [Facts] that it is handed, and at nothing else. `plugbeat status`, alerts, /readyz, the
// service manager's status line, `plugbeat doctor`, metrics and the rules for Prometheus show
// its conditions and judge nothing themselves. Every threshold is a constant here. No remedy
// destroys anything, and every name in a command is quoted for a shell.
package health

import (
	"slices"
	"time"

	"plugbeat/words"
)

// Code names what is wrong. The set is closed. Where the log has an event of the same
// matter, the event has the same name.
type Code string

// The codes. docs/health.md has a row for each.
const (
	DaemonStopping    Code = "daemon.stopping"
	DaemonNotReady    Code = "daemon.not_ready"
	StoreFailed       Code = "store.failed"
	StoreNoSpace      Code = "store.no_space"
	StoreReadOnly     Code = "store.read_only"
	StoreNearlyFull   Code = "store.nearly_full"
	StoreMaxSize      Code = "store.max_size"
	ClockOff          Code = "clock.off"
	ClockDoubted      Code = "clock.doubted"
	WebhookPaused     Code = "webhook.paused"
	WebhookDisabled   Code = "webhook.disabled"
	WebhookOpened     Code = "webhook.opened"
	WebhookUnverified Code = "webhook.unverified"
	WebhookStuck      Code = "webhook.stuck"
	WebhookTwoKeys    Code = "webhook.two_keys"
	DeliveryDead      Code = "delivery.dead"
	DeliveryExpired   Code = "delivery.expired"
	BackupFailed      Code = "backup.failed"
	BackupLate        Code = "backup.late"
	AlertFailed       Code = "alert.failed"
	AlertSharedHost   Code = "alert.shared_host"
	TokenRotating     Code = "token.rotating"
	SourceMissing     Code = "source.missing"
	SourceDown        Code = "source.down"
	SourceHeld        Code = "source.held"
	SourceSpent       Code = "source.spent"
	SourceLate        Code = "source.late"
	SourceSilent      Code = "source.silent"
	SourceRefused     Code = "source.refused"
	VehicleOwner      Code = "vehicle.needs_owner"
	VehicleHeld       Code = "vehicle.held"
	SubscriptionNone  Code = "subscription.none"
)

// Severity says how much of a hurry a condition is in.
type Severity string

// The severities. Info is what somebody wished for, or what has just begun and may pass.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Severities lists every severity, the least first.
var Severities = [...]Severity{Info, Warning, Error}

// Reaches reports whether the severity is at least the other one.
func (s Severity) Reaches(least Severity) bool {
	return slices.Index(Severities[:], s) >= slices.Index(Severities[:], least)
}

// Kind is the kind of thing that a condition is about.
type Kind string

// The kinds. There are several parts, webhooks, sources, vehicles and targets of alerts, and
// one of each other kind.
const (
	Daemon      Kind = "daemon"
	DaemonPart  Kind = "part"
	Store       Kind = "store"
	ClockKind   Kind = "clock"
	Backup      Kind = "backup"
	Token       Kind = "token"
	AlertTarget Kind = "alert"
	Webhook     Kind = "webhook"
	Source      Kind = "source"
	Vehicle     Kind = "vehicle"
	Fleet       Kind = "fleet"
)

// kindWords is how a kind is spoken of: before a name, or alone where there is one of it.
var kindWords = map[Kind]string{
	Daemon: "plugbeat", DaemonPart: "the part", Store: "the data file", ClockKind: "the clock", Backup: "the backup",
	Token: "the management token", AlertTarget: "alerts to", Webhook: "webhook", Source: "source", Vehicle: "vehicle", Fleet: "vehicles",
}

// Subject is the thing that a condition is about.
type Subject struct {
	Kind Kind `json:"kind"`
	// ID tells things of a kind apart: a UUID, or the name where names are unique. It is empty
	// where there is one thing of the kind.
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// String names the subject to a person: "webhook home", "the clock".
func (s Subject) String() string {
	if s.Name == "" {
		return kindWords[s.Kind]
	}
	return kindWords[s.Kind] + " " + words.Line(s.Name)
}

// Condition is something that is wrong now.
type Condition struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	Subject  Subject  `json:"subject"`
	// Since is when it began, or when it was first seen where that is not known.
	Since time.Time `json:"since,omitzero"`
	// Text says what is wrong, in a sentence that names the subject.
	Text string `json:"text"`
	// Remedy says what to do.
	Remedy string `json:"remedy"`
	// Command is the command that the remedy ends with, exactly; empty where there is none.
	Command string `json:"command,omitempty"`
	// Unready is true where nothing is read or delivered while the condition stands: /readyz
	// answers 503.
	Unready bool `json:"unready"`

	// Of is how many things the condition is about, where it stands for several.
	Of int `json:"-"`
	// Stage tells apart what has the same code and is to be told again: a webhook's reason.
	Stage string `json:"-"`
	// Count is how often a loss has happened since the subject's first day; it only grows.
	// It is 0 for what is not counted.
	Count uint64 `json:"-"`
}

// Advice is the remedy with its command.
func (c Condition) Advice() string {
	if c.Command == "" {
		return c.Remedy
	}
	return c.Remedy + ": " + c.Command
}

// String is the whole condition in a line.
func (c Condition) String() string { return c.Text + "; " + c.Advice() }

// Headline is the condition in few words.
func (c Condition) Headline() string { return c.Subject.String() + " (" + string(c.Code) + ")" }

// Key names what the condition is about across time. Of the conditions with one key at most
// one stands.
func (c Condition) Key() string { return keyOf(rules[c.Code].group, c.Subject.ID) }

func keyOf(group, id string) string {
	if id == "" {
		return group
	}
	return group + "/" + id
}

// rule is what all conditions of a code share.
type rule struct {
	// severity is what a judge that says nothing else gives.
	severity Severity
	// after is how long a condition stands before it has its severity. Until then it is Info.
	after time.Duration
	kind  Kind
	// group makes keys: conditions of one group and subject take turns.
	group string
	// over says, after the subject and a colon, that the condition has ended; empty for what does not end.
	over string
	// counted is true for losses, which are told of again whenever there are more.
	counted bool
	unready bool
	// urgency is the place in the order of codes.
	urgency int
}

const (
	// settling is how long trouble stands that often passes by itself before a person should
	// look: a name service that restarts, a rate limit, a queue that a burst of reads made.
	settling = 10 * time.Minute
	// heldFor is how long a source has to refuse one vehicle before it is told. Shorter waits
	// end before the next due time of the default cadence.
	heldFor = time.Hour
	// downAfter is how long a source gives nothing but faults before a person should look.
	// A vendor's hiccup lasts minutes, and readings are at most half-hourly by default.
	downAfter = 15 * time.Minute
)

// rules has every code, the most urgent first: what stops everything, what loses something,
// what stops a webhook, what stops a source, what stops a vehicle, what is only noted.
var rules = index([]struct {
	code Code
	rule
}{
	{StoreFailed, rule{severity: Error, kind: Store, group: "store", unready: true}},
	{StoreNoSpace, rule{severity: Error, kind: Store, group: "store", over: "it can be written again", unready: true}},
	{StoreReadOnly, rule{severity: Error, kind: Store, group: "store", over: "it can be written again", unready: true}},
	{DaemonNotReady, rule{severity: Error, kind: DaemonPart, group: "part", over: "it works again", unready: true}},
	{DaemonStopping, rule{severity: Info, kind: Daemon, group: "daemon", unready: true}},
	{ClockOff, rule{severity: Error, kind: ClockKind, group: "clock", over: "it agrees with those of others again"}},
	{DeliveryExpired, rule{severity: Error, kind: Webhook, group: "expired", counted: true}},
	{DeliveryDead, rule{severity: Error, kind: Webhook, group: "dead", counted: true}},
	{WebhookDisabled, rule{severity: Error, kind: Webhook, group: "webhook", over: "it takes deliveries again"}},
	{WebhookOpened, rule{severity: Warning, kind: Webhook, group: "webhook", over: "it takes deliveries again"}},
	{ClockDoubted, rule{severity: Warning, after: settling, kind: ClockKind, group: "clock/doubt", over: "it is believed again"}},
	{WebhookPaused, rule{severity: Warning, after: settling, kind: Webhook, group: "paused",
		over: "nothing of this machine's own holds it any more"}},
	{WebhookStuck, rule{severity: Warning, kind: Webhook, group: "stuck", over: "nothing waits for long any more"}},
	{BackupFailed, rule{severity: Error, kind: Backup, group: "backup", over: "one was made"}},
	{BackupLate, rule{severity: Error, kind: Backup, group: "backup", over: "one was made"}},
	{AlertFailed, rule{severity: Warning, after: settling, kind: AlertTarget, group: "alert", over: "they arrive again"}},
	{StoreNearlyFull, rule{severity: Warning, kind: Store, group: "store", over: "the disk has room again"}},
	{StoreMaxSize, rule{severity: Warning, kind: Store, group: "store/size", over: "it is well below retention.max_size again"}},
	{SourceMissing, rule{severity: Error, kind: Source, group: "source", over: "it is in the config again"}},
	{SourceDown, rule{severity: Error, after: downAfter, kind: Source, group: "source", over: "it gives values again"}},
	{SourceHeld, rule{severity: Warning, after: settling, kind: Source, group: "source", over: "it may be asked again"}},
	{SourceSpent, rule{severity: Warning, kind: Source, group: "source", over: "it has calls to spend again"}},
	{SourceLate, rule{severity: Warning, kind: Source, group: "source", over: "its vehicles are read in time again"}},
	{SourceSilent, rule{severity: Warning, after: downAfter, kind: Source, group: "source/silent", over: "its vehicles are heard of again"}},
	{SourceRefused, rule{severity: Warning, after: settling, kind: Source, group: "source/refused", over: "what it hears is taken again"}},
	{VehicleOwner, rule{severity: Error, kind: Vehicle, group: "vehicle", over: "the owner is needed no more"}},
	{VehicleHeld, rule{severity: Warning, kind: Vehicle, group: "held", over: "it may be read again"}},
	{WebhookUnverified, rule{severity: Info, kind: Webhook, group: "webhook", over: "it is verified"}},
	{SubscriptionNone, rule{severity: Info, kind: Daemon, group: "subscription", over: "a vehicle is subscribed"}},
	{TokenRotating, rule{severity: Info, kind: Token, group: "token", over: "its rotation is over"}},
	{WebhookTwoKeys, rule{severity: Info, kind: Webhook, group: "keys", over: "it signs with one key"}},
	{AlertSharedHost, rule{severity: Info, kind: AlertTarget, group: "alert/host", over: "they go to a host of their own"}},
})

func index(list []struct {
	code Code
	rule
}) map[Code]rule {
	all := map[Code]rule{}
	for i, r := range list {
		r.urgency = i
		all[r.code] = r.rule
	}
	return all
}

// Codes lists every code, the most urgent first.
func Codes() []Code {
	codes := make([]Code, len(rules))
	for c, r := range rules {
		codes[r.urgency] = c
	}
	return codes
}

// Over says that a condition of the code has ended with the subject; empty for a code whose
// conditions do not end.
func Over(c Code, s Subject) string {
	if rules[c].over == "" {
		return ""
	}
	if s.Kind == "" { // what was remembered before subjects were
		s.Kind = rules[c].kind
	}
	return s.String() + ": " + rules[c].over
}

// Broken is the one condition that no judge finds, since the process ends with it: the data
// file cannot be trusted any more.
func Broken(cause error) Condition {
	return Condition{Code: StoreFailed, Severity: Error, Subject: Subject{Kind: Store}, Unready: true,
		Text: "the data file cannot be trusted any more: " + words.Line(cause.Error()) +
			"; what was acknowledged before is in it, and the daemon ends",
		Remedy: "look at the disk and at the kernel's log, then start plugbeat again"}
}
