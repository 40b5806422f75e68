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
	// ObservedAt is the time that State speaks of. Battery is the last known level, with its own;
	// absent before the first. Both stay after a read that failed.
	ObservedAt time.Time                        `json:"observed_at,omitzero"`
	Battery    vehicle.Reading[vehicle.Battery] `json:"battery,omitzero"`
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
type StoreInfo = webhook.DataFile

// Backups are the scheduled backups, and how they stand.
type Backups = health.BackupFacts

// Source is a vehicle source at work, or one that has vehicles and is not in the config.
type Source = health.SourceFacts

// Cost is what reading the vehicles of a source costs.
type Cost = health.CostFacts

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
