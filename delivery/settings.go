package delivery

import (
	"cmp"
	"time"

	"plugbeat/webhook"
)

// Settings are the rules of delivery. A zero field takes its default; see
// [DefaultSettings] for them.
type Settings struct {
	// Schedule is the retry schedule.
	Schedule Schedule
	// Timeout bounds a request up to the last header of its answer.
	Timeout time.Duration
	// InFlight is how many requests of one webhook may be under way, 1 to 64.
	InFlight int
	// ChallengeAfter is how long after the last attempt the first challenge comes.
	ChallengeAfter time.Duration
	// Recover is what of a backlog leaves when a webhook comes back that says
	// nothing of its own; RecoverRate is how many deliveries a second leave then.
	Recover     webhook.Policy
	RecoverRate int
	// UserAgent is the User-Agent header.
	UserAgent string
	// Drain is how long Run waits, once its context has ended, for requests in
	// flight before it cuts them off.
	Drain time.Duration
}

// DefaultSettings returns the settings that stand where nothing is configured.
func DefaultSettings() Settings {
	schedule, _ := Preset("default")
	return Settings{
		Schedule: schedule, Timeout: 15 * time.Second, InFlight: 8, ChallengeAfter: 15 * time.Minute,
		Recover: webhook.RecoverAll, RecoverRate: 50, UserAgent: "Smartcar/2.0", Drain: 20 * time.Second,
	}
}

// complete fills zero fields with their defaults. What a setting may be is the
// configuration's to check.
func (s Settings) complete() Settings {
	d := DefaultSettings()
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
