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
	Store  webhook.DataFile
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

// AlertTested is what one target of alerts made of a test.
type AlertTested struct {
	Target string `json:"target"`
	Host   string `json:"host"`
	// Arrived is true when the target answered with 2xx.
	Arrived bool `json:"arrived"`
	// Status is the HTTP status, 0 where there was no answer.
	Status   int           `json:"status"`
	Duration time.Duration `json:"duration"`
	// Error says why it did not arrive.
	Error string `json:"error,omitempty"`
}

// WebhookFacts is a webhook with its queue.
type WebhookFacts struct {
	webhook.Webhook
	webhook.Queue
	// DeadToday and ExpiredToday count the deliveries lost in the last 24 hours.
	DeadToday, ExpiredToday int
}

// SourceFacts is a source at work, or one that has vehicles and is not in the config.
type SourceFacts struct {
	Name       string `json:"name"`
	Configured bool   `json:"configured"`
	Vehicles   int    `json:"vehicles"`
	// Due is when the first of its subscriptions comes due; it may have passed. Absent when
	// none does.
	Due time.Time `json:"due,omitzero"`
	vehicle.Activity
	// Problems are what the source itself says is wrong with its far side.
	Problems []vehicle.Problem `json:"problems,omitempty"`
	// Cost is what reading costs; absent where nobody counts.
	Cost *CostFacts `json:"cost,omitempty"`
}

// CostFacts is what reading the vehicles of a source costs. A call is one path of one
// vehicle that is asked for, alone or in a batch.
type CostFacts struct {
	// Metered is true where the vendor counts calls.
	Metered bool `json:"metered"`
	// Budget is how many calls each vehicle may cost in a period; 0 for no limit. Per
	// is that period, "month" or "day", UTC.
	Budget uint64 `json:"budget"`
	Per    string `json:"per"`
	// Spent is what all its vehicles together have cost in the period, which ends at
	// Until.
	Spent uint64    `json:"spent"`
	Until time.Time `json:"until"`
	// Lines say in words what the webhooks' cadences cost and what the budget reaches
	// for; only in the status.
	Lines []string `json:"lines,omitempty"`
	// BucketLeft is how many calls of BucketSize the whole application may make at
	// once, BucketHour how many come back in an hour; all 0 where there is no bound.
	BucketLeft int     `json:"bucket_left"`
	BucketSize int     `json:"bucket_size"`
	BucketHour float64 `json:"bucket_hour"`
}

// VehicleFacts is a vehicle with what is known of it.
type VehicleFacts struct {
	vehicle.Vehicle
	vehicle.Status
}
