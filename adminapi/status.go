package adminapi

import (
	"time"

	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Status is the answer to GET /status: the whole daemon at a glance.
type Status struct {
	Version   Version   `json:"version"`
	Now       time.Time `json:"now"`
	StartedAt time.Time `json:"started_at"`
	// Conditions are what is wrong now, the most urgent first, each with what to do.
	// Empty, never null, when all is well.
	Conditions []health.Condition `json:"conditions"`
	// Ready is what /readyz says: no condition is one that is unready.
	Ready bool `json:"ready"`
	// Stopping is true while the daemon waits for what is in flight, to end then.
	Stopping bool      `json:"stopping"`
	Store    StoreInfo `json:"store"`
	// Backup is how the scheduled backups stand; absent when none are scheduled.
	Backup *Backups `json:"backup,omitempty"`
	// ManagementToken is who has which; absent while no rotation is going on.
	ManagementToken *ManagementToken `json:"management_token,omitempty"`
	// Alerts are the targets of alerts; absent when there are none.
	Alerts   []AlertTarget   `json:"alerts,omitempty"`
	Sources  []Source        `json:"sources"`
	Webhooks []WebhookStatus `json:"webhooks"`
	Vehicles VehicleSummary  `json:"vehicles"`
	// FirstVehicles are at most 10 vehicles: those in trouble first, then
	// the ones that are due next, then any.
	FirstVehicles []VehicleGlance `json:"first_vehicles"`
	// Clock is what the clocks of receivers and vendors say of this machine's.
	Clock         Clock `json:"clock"`
	Subscriptions int   `json:"subscriptions"` // as Store.Subscriptions
	// NextReading is when the first subscription comes due; it may have passed. Absent
	// when none does.
	NextReading time.Time `json:"next_reading,omitzero"`
}

// MaxGlances bounds the vehicles in a status.
const MaxGlances = 10

// VehicleGlance is a vehicle in the status.
type VehicleGlance struct {
	Vehicle vehicle.Vehicle `json:"vehicle"`
	// State is its plug state, Since when it last changed, ReadAt when it was last
	// read; absent before the first.
	State  vehicle.State `json:"state"`
	Since  time.Time     `json:"since,omitzero"`
	ReadAt time.Time     `json:"read_at,omitzero"`
	// Subscriptions counts its webhooks; NextDue is when it is read next for one of
	// them, absent when none fires.
	Subscriptions int       `json:"subscriptions"`
	NextDue       time.Time `json:"next_due,omitzero"`
	// NeedsOwner is true when somebody must do something for it to be read. Trouble
	// says in words why it cannot be read; empty when it can.
	NeedsOwner bool   `json:"needs_owner"`
	Trouble    string `json:"trouble,omitempty"`
}

// StoreInfo describes the data file.
type StoreInfo struct {
	Path       string `json:"path"`
	InstanceID string `json:"instance_id"`
	Schema     int    `json:"schema"`
	// FileBytes is the file's size, LiveBytes what is used of it, MaxBytes the
	// max_size above which waiting deliveries expire; 0 where not known.
	FileBytes int64 `json:"file_bytes"`
	LiveBytes int64 `json:"live_bytes"`
	MaxBytes  int64 `json:"max_bytes,omitempty"`
	// FreePages is how many pages of the file hold nothing.
	FreePages int `json:"free_pages"`
	// Commits and Operations since start; their ratio is the group size.
	Commits    uint64 `json:"commits"`
	Operations uint64 `json:"operations"`
	// Vehicles, Subscriptions and Waiting count the records of those kinds.
	Vehicles      int    `json:"vehicles"`
	Subscriptions int    `json:"subscriptions"`
	Waiting       uint64 `json:"waiting"`
	// State is what the disk lets be done: ok, full or read_only.
	State webhook.DiskState `json:"state"`
	// DiskFreeBytes and DiskTotalBytes are the file system's, 0 where not known;
	// MinFreeBytes is what should be free of it.
	DiskFreeBytes  int64 `json:"disk_free_bytes"`
	DiskTotalBytes int64 `json:"disk_total_bytes"`
	MinFreeBytes   int64 `json:"min_free_bytes"`
}

// Backups are the scheduled backups, and how they stand.
type Backups = health.BackupFacts

// Source is a vehicle source at work, or one that has vehicles and is not in the
// config.
type Source struct {
	Name       string `json:"name"`
	Configured bool   `json:"configured"`
	Vehicles   int    `json:"vehicles"`
	InFlight   int    `json:"in_flight"`
	// Due is when the first of its subscriptions comes due; it may have passed.
	// Absent when none does.
	Due time.Time `json:"due,omitzero"`
	// Reads, PathReads and Faults since start: calls, the paths asked for in them,
	// and the paths that came back without a value.
	Reads     uint64 `json:"reads"`
	PathReads uint64 `json:"path_reads"`
	Faults    uint64 `json:"faults"`
	// LastAnswer is when it last answered at all, with a value or a fault. Silent is
	// true when its newest call brought no answer.
	LastAnswer time.Time `json:"last_answer,omitzero"`
	Silent     bool      `json:"silent"`
	// LastOK is when a read last brought a value.
	LastOK time.Time `json:"last_ok,omitzero"`
	// NotBefore is the earliest time the source allows the next read.
	NotBefore time.Time `json:"not_before,omitzero"`
	// LastFault is the newest fault in words and LastFaultAt when it came;
	// empty when there was none since start.
	LastFault   string    `json:"last_fault,omitempty"`
	LastFaultAt time.Time `json:"last_fault_at,omitzero"`
	// Cost is what reading costs; absent where nobody counts.
	Cost *Cost `json:"cost,omitempty"`
}

// Cost is what reading the vehicles of a source costs. A call is one path of one
// vehicle that is asked for, alone or in a batch.
type Cost struct {
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

// WebhookStatus is a webhook with its queue.
type WebhookStatus struct {
	Webhook webhook.Webhook `json:"webhook"`
	Derived
	Queue Queue `json:"queue"`
}

// Queue is a webhook's queue as it stands.
type Queue = webhook.Queue

// VehicleSummary counts vehicles.
type VehicleSummary struct {
	Total     int `json:"total"`
	PluggedIn int `json:"plugged_in"`
	Unplugged int `json:"unplugged"`
	Unknown   int `json:"unknown"`
	// Restricted vehicles answer with a fault of account, permission or billing.
	Restricted int `json:"restricted"`
	// Unread vehicles answered the last read with another fault.
	Unread int `json:"unread"`
}
