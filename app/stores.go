package app

import "plugbeat/store"

// What the other packages get of the store: the parts that each works with.
type (
	schedulerStore struct {
		*store.Schedules
		*store.VehicleRecords
	}
	deliveryStore struct {
		*store.WebhookRecords
		*store.DeliveryRecords
	}
	serverStore struct {
		*store.WebhookRecords
		*store.Schedules
		*store.VehicleRecords
		*store.DeliveryRecords
		*store.Access
		*store.Maintenance
	}
)
