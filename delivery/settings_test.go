package delivery

import (
	"cmp"
	"time"

	"plugbeat/webhook"
)

// defaultSettings are the settings of a configuration that says nothing.
func defaultSettings() Settings {
	return Settings{
		Schedule: Schedule{10 * time.Second, 50 * time.Second, 250 * time.Second, 1250 * time.Second, 6250 * time.Second, 31250 * time.Second},
		Timeout:  15 * time.Second, InFlight: 8, ChallengeAfter: 15 * time.Minute,
		Recover: webhook.RecoverAll, RecoverRate: 50, UserAgent: "Smartcar/2.0", Drain: 20 * time.Second,
	}
}

// complete fills zero fields with their defaults.
func (s Settings) complete() Settings {
	d := defaultSettings()
	if len(s.Schedule) == 0 {
		s.Schedule = d.Schedule
	}
	s.Timeout = cmp.Or(s.Timeout, d.Timeout)
	s.InFlight = cmp.Or(s.InFlight, d.InFlight)
	s.ChallengeAfter = cmp.Or(s.ChallengeAfter, d.ChallengeAfter)
	s.Recover = cmp.Or(s.Recover, d.Recover)
	s.RecoverRate = cmp.Or(s.RecoverRate, d.RecoverRate)
	s.UserAgent = cmp.Or(s.UserAgent, d.UserAgent)
	s.Drain = cmp.Or(s.Drain, d.Drain)
	return s
}
