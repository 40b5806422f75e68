package app

import (
	"plugbeat/delivery"
	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// schedulerSettings maps the config's sections to the scheduler's settings.
func (a *App) schedulerSettings() scheduler.Settings {
	c, r := a.cfg.Cadence, a.cfg.Reading
	return scheduler.Settings{
		FirstDelivery: c.FirstDelivery, Gap: c.Gap, Freshness: c.Freshness, UnknownAfter: c.UnknownAfter,
		ClockBack: c.ClockBack, ReadTries: r.Tries, ReadTime: r.Time, Drain: a.cfg.Grace,
	}
}

// deliverySettings maps the config's section to the delivery loop's settings.
func (a *App) deliverySettings() delivery.Settings {
	d := a.cfg.Delivery
	return delivery.Settings{
		Schedule: delivery.Schedule(d.Retries), Timeout: d.Timeout, InFlight: d.InFlight, ChallengeAfter: d.ChallengeAfter,
		Recover: webhook.Policy(d.Recover), RecoverRate: d.RecoverRate, UserAgent: d.UserAgent, Drain: a.cfg.Grace,
	}
}

// sourceConfig is a source as the scheduler takes it.
func (a *App) sourceConfig(name string, src vehicle.Source) scheduler.SourceConfig {
	c := scheduler.SourceConfig{Source: src, MaxReads: a.cfg.Sources[name].MaxReads}
	if m, ok := src.(vehicle.Metering); ok {
		l := m.Allowance()
		calls := uint64(max(0, l.Budget.Calls)) //nolint:gosec // not negative
		c.Plan = cadence.Plan{Metered: l.Metered, Calls: calls, Per: cadence.Period(l.Budget.Per)}
		c.Bucket = l.Bucket
	}
	return c
}
