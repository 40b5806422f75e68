package app

import (
	"plugbeat/config"
	"plugbeat/delivery"
	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// schedulerSettings maps the config's sections to the scheduler's settings.
func schedulerSettings(cfg config.Config) scheduler.Settings {
	c, r := cfg.Cadence, cfg.Reading
	return scheduler.Settings{
		FirstDelivery: true, Gap: c.Gap, Freshness: c.Freshness, UnknownAfter: c.UnknownAfter,
		ClockBack: c.ClockBack, ReadTries: r.Tries, ReadTime: r.Time, Drain: cfg.Grace,
	}
}

// deliverySettings maps the config's section to the delivery loop's settings.
func deliverySettings(cfg config.Config) delivery.Settings {
	d := cfg.Delivery
	return delivery.Settings{
		Schedule: delivery.Schedule(d.Retries), Timeout: d.Timeout, InFlight: d.InFlight, ChallengeAfter: d.ChallengeAfter,
		Recover: webhook.Policy(d.Recover), RecoverRate: d.RecoverRate, UserAgent: d.UserAgent, Drain: cfg.Grace,
	}
}

// sourceConfig is a source as the scheduler takes it.
func sourceConfig(cfg config.Config, name string, src vehicle.Source) scheduler.SourceConfig {
	c := scheduler.SourceConfig{Source: src, MaxReads: cfg.Sources[name].MaxReads}
	if m, ok := src.(vehicle.Metering); ok {
		l := m.Allowance()
		calls := uint64(max(0, l.Budget.Calls)) //nolint:gosec // not negative
		c.Plan = cadence.Plan{Metered: l.Metered, Calls: calls, Per: cadence.Period(l.Budget.Per)}
		c.Bucket = l.Bucket
	}
	return c
}
