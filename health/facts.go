package health

import (
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Facts are what there is to judge: plain values, as they stand at Now. A judge of a part of
// the daemon gets the facts of that part, and zero values for the rest, which are well.
type Facts struct {
	Now time.Time
	// Stopping is true while the daemon waits for what is in flight, to end then.
	Stopping bool
	// Parts are the parts of the daemon that must work.
	Parts  []PartFacts
	Store  StoreFacts
	Clocks []ClockHost
	// ClockDoubt is why this machine's clock cannot be believed; empty when it can.
	ClockDoubt string
	// Backup is nil where none are scheduled.
	Backup *BackupFacts
	// Rotation is nil while the management token is not being replaced.
	Rotation *RotationFacts
	Alerts   []AlertFacts
	Webhooks []WebhookFacts
	Sources  []SourceFacts
	// NeedsOwner counts the vehicles that need their owner. Owners are the first of them.
	NeedsOwner int
	Owners     []VehicleFacts
	// Held are vehicles that their source refuses for a while.
	Held []VehicleFacts
	// Vehicles and Subscriptions count those there are.
	Vehicles, Subscriptions int
}

// PartFacts is one part of the daemon.
type PartFacts struct {
	Name string // "scheduler"
	// Err is why it does not work; nil when it does.
	Err error
}

// MinFree is what should be free on the disk of the data file, in bytes, but at most a tenth
// of the disk: room for some days of deliveries, so that there is time to mend it.
const MinFree = 256 << 20

// StoreFacts is the data file and the disk it is on.
type StoreFacts struct {
	Path string
	// State is what the last write and the file system let be done.
	State webhook.DiskState
	// FreeBytes is what is free on the disk and MinFreeBytes what should be; both are 0 where
	// that is not known.
	FreeBytes, MinFreeBytes int64
	// LiveBytes is what of the data file is in use, MaxBytes what may be: retention.max_size,
	// 0 for no bound.
	LiveBytes, MaxBytes int64
}

// BackupFacts are the scheduled backups, and how they stand.
type BackupFacts struct {
	Folder   string `json:"folder"`
	Schedule string `json:"schedule"` // a duration or a cron expression
	// Kept is how many there are, Keep how many there are at most.
	Kept int `json:"kept"`
	Keep int `json:"keep"`
	// Last is when the newest good one was made; absent when there is none.
	Last      time.Time `json:"last,omitzero"`
	LastFile  string    `json:"last_file,omitempty"`
	LastBytes int64     `json:"last_bytes,omitempty"`
	// Next is when the next one is made; it may have passed, which is soon.
	Next time.Time `json:"next,omitzero"`
	// Failed says what went wrong since Last, and FailedAt when; empty when
	// nothing did.
	Failed   string    `json:"failed,omitempty"`
	FailedAt time.Time `json:"failed_at,omitzero"`
}

// RotationFacts is a management token that is being replaced.
type RotationFacts struct {
	// Without names the webhooks whose receivers have not answered with the next token.
	Without []string
}

// AlertFacts is a target of alerts, and how it fares.
type AlertFacts struct {
	Name     string `json:"name"`
	Template string `json:"template"` // ntfy, slack or json
	Severity string `json:"severity"` // the least that is sent
	// Host is where it is, host:port; the rest of its URL is a secret.
	Host string `json:"host"`
	// Waiting counts the alerts that wait to be sent, or for the target.
	Waiting int `json:"waiting"`
	// Sent and Failed count messages since the start, Told the alerts in those that
	// arrived, Folded those left out because what they told was over.
	Sent     uint64    `json:"sent"`
	Failed   uint64    `json:"failed"`
	Told     uint64    `json:"told"`
	Folded   uint64    `json:"folded"`
	LastSent time.Time `json:"last_sent,omitzero"`
	// LastError is why the newest message did not arrive; empty when it did.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// NextTry is when the next message leaves; absent when none waits.
	NextTry time.Time `json:"next_try,omitzero"`
}

// WebhookFacts is a webhook with its queue.
type WebhookFacts struct {
	webhook.Webhook
	InFlight int
	// Oldest is when the oldest waiting delivery was made; zero for none.
	Oldest time.Time
	// DisabledAt is when a failing webhook is disabled if every probe fails; zero for never.
	DisabledAt time.Time
	// Paused is the trouble of this machine's own that holds the queue; empty for none.
	Paused string
	// DeadToday and ExpiredToday count the deliveries lost in the last 24 hours.
	DeadToday, ExpiredToday int
}

// SourceFacts is a source, or the name of one that has vehicles and is not in the config.
type SourceFacts struct {
	Name       string
	Configured bool
	Vehicles   int
	Reading    int // calls in flight
	// Silent is true when its newest call brought no answer.
	Silent bool
	// LastOK is when it last gave a value, LastFault its newest fault, at LastFaultAt; zero
	// and empty for none since the start.
	LastOK, LastFaultAt time.Time
	LastFault           string
	// NotBefore is when it may be asked again; zero for now. Due is when the first of its
	// subscriptions is due; zero for none.
	NotBefore, Due time.Time
	// Budget is nil where nobody counts calls.
	Budget *BudgetFacts
}

// BudgetFacts is what a metered source's vehicles may cost in a period.
type BudgetFacts struct {
	// Calls is what all its vehicles may cost together; 0 for no limit. Spent is what they did.
	Calls, Spent uint64
	Per          string // "month" or "day"
	From, Until  time.Time
}

// VehicleFacts is a vehicle with what is known of it.
type VehicleFacts struct {
	vehicle.Vehicle
	vehicle.Status
}
