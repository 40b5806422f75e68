package app

import (
	"time"

	"plugbeat/delivery"
	"plugbeat/scheduler"
	"plugbeat/webhook"
)

// schedulerSettings maps the config's sections to the scheduler's settings.
func (a *App) schedulerSettings() scheduler.Settings {
	c, r := a.cfg.Cadence, a.cfg.Reading
	return scheduler.Settings{
		FirstDelivery: c.FirstDelivery, Gap: c.Gap, Freshness: c.Freshness, UnknownAfter: c.UnknownAfter,
		ClockBack: c.ClockBack, MaxSleep: c.MaxSleep, SlotTries: r.Tries, SlotTime: r.Time, Backoff: r.Backoff, ReadTime: r.ReadTime, SourcePause: r.SourcePause, Drain: a.cfg.Grace,
	}
}

// deliverySettings maps the config's section to the delivery loop's settings.
func (a *App) deliverySettings() delivery.Settings {
	d := a.cfg.Delivery
	after := make([]time.Duration, len(d.Challenge.After))
	for i, w := range d.Challenge.After {
		after[i] = time.Duration(w)
	}
	jitter, early := d.Jitter, d.EarlyMax
	if jitter == 0 {
		jitter = -1 // nought in the config means none, not the default
	}
	if early == 0 {
		early = -1
	}
	return delivery.Settings{
		Ladder: d.Retries, Jitter: jitter, JitterMax: d.JitterMax, Timeout: d.Timeout,
		InFlight: d.InFlight, TrialSize: d.TrialSize, EarlyMax: early,
		ChallengeFrom: d.Challenge.From, ChallengeAfter: after, ChallengeEvery: d.Challenge.Every, HealWindow: d.Challenge.HealWindow, ChallengeMax: d.Challenge.Max,
		Recover: webhook.Policy(d.Recover), RecoverRate: d.RecoverRate, UserAgent: d.UserAgent, OwnFaultWait: d.OwnFaultWait, OwnFaultMax: d.OwnFaultMax, Drain: a.cfg.Grace,
	}
}

func (a *App) maxReads(name string) int {
	if n := a.cfg.Sources[name].MaxReads; n > 0 {
		return n
	}
	return a.cfg.Reading.MaxReads
}

// sourceConfig is a source as the scheduler takes it.
func (a *App) sourceConfig(name string, src source) scheduler.SourceConfig {
	c := a.cfg.Sources[name]
	return scheduler.SourceConfig{
		Source: src, MaxReads: a.maxReads(name), Plan: c.Plan(),
		Bucket: scheduler.Bucket{Size: c.Smartcar.Bucket, Refill: c.Smartcar.BucketRefill, EachPath: c.Smartcar.BucketCounts != "requests"},
	}
}
