package config

import (
	"time"
)

// The least that transport times are scaled to: real sockets and real readers do
// not get faster because the demo's clock does.
const (
	leastTimeout = 2 * time.Second
	leastSlot    = 2 * time.Second
)

// Scaled returns the config with time running faster by the factor: every duration
// of cadence, reading, delivery, retention and the sources' own settings is divided by
// it, the one-minute floor too, and the rate of recovery multiplied. Cron
// expressions are calendar time and stay. Times of the transport (delivery.timeout,
// reading.time) do not go below what a real exchange needs. A factor of 1 or less
// changes nothing.
func (c Config) Scaled(factor float64) Config {
	c = c.clone()
	if !(factor > 1) {
		return c
	}
	scaled := func(d time.Duration) time.Duration {
		if d <= 0 {
			return d
		}
		return max(time.Duration(float64(d)/factor).Round(time.Millisecond), time.Millisecond)
	}
	atLeast := func(d, least time.Duration) time.Duration { return max(scaled(d), min(d, least)) }
	spec := func(s string) string {
		d, err := time.ParseDuration(s)
		if err != nil {
			return s
		}
		return formatDuration(scaled(d))
	}

	c.Floor = scaled(c.Floor)
	ca := &c.Cadence
	ca.Unplugged, ca.PluggedIn = spec(ca.Unplugged), spec(ca.PluggedIn)
	for _, d := range []*time.Duration{&ca.Gap, &ca.Freshness, &ca.UnknownAfter, &ca.ClockBack} {
		*d = scaled(*d)
	}
	for name, m := range ca.Makes {
		m.Fastest, m.Unplugged = scaled(m.Fastest), scaled(m.Unplugged)
		ca.Makes[name] = m
	}
	c.Reading.Time = atLeast(c.Reading.Time, leastSlot)

	de := &c.Delivery
	for i, w := range de.Retries {
		de.Retries[i] = scaled(w)
	}
	de.ChallengeAfter = scaled(de.ChallengeAfter)
	de.Timeout = atLeast(de.Timeout, leastTimeout)
	de.RecoverRate = int(min(float64(de.RecoverRate)*factor, 10000))

	for _, d := range []*time.Duration{&c.Retention.Payloads, &c.Retention.Records} {
		*d = scaled(*d)
	}
	for _, s := range c.Sources {
		for _, x := range s.settings() {
			if x.Type() == durationType {
				x.SetInt(int64(scaled(time.Duration(x.Int()))))
			}
		}
	}
	return c
}
