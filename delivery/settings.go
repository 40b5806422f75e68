package delivery

import (
	"fmt"
	"strconv"
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

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// complete fills zero fields with their defaults and refuses what makes no
// sense, naming the field as the configuration spells it.
func (s Settings) complete() (Settings, error) {
	d := DefaultSettings()
	if len(s.Schedule) == 0 {
		s.Schedule = d.Schedule
	}
	orDefault(&s.Timeout, d.Timeout)
	orDefault(&s.InFlight, d.InFlight)
	orDefault(&s.ChallengeAfter, d.ChallengeAfter)
	orDefault(&s.Recover, d.Recover)
	orDefault(&s.RecoverRate, d.RecoverRate)
	orDefault(&s.UserAgent, d.UserAgent)
	orDefault(&s.Drain, d.Drain)

	bad := func(field string, value any, allowed string) error {
		return &webhook.Invalid{Field: "delivery." + field, Value: fmt.Sprint(value), Allowed: allowed}
	}
	if len(s.Schedule) > 20 {
		return s, bad("retries", len(s.Schedule), "1 to 20 waits")
	}
	for i, w := range s.Schedule {
		if w < time.Millisecond || w > 30*24*time.Hour {
			return s, bad("retries["+strconv.Itoa(i)+"]", w, "1ms to 720h")
		}
	}
	switch {
	case s.Timeout < time.Millisecond:
		return s, bad("timeout", s.Timeout, "a positive duration")
	case s.InFlight < 1 || s.InFlight > 64:
		return s, bad("in_flight", s.InFlight, "1 to 64")
	case s.ChallengeAfter < time.Millisecond:
		return s, bad("challenge_after", s.ChallengeAfter, "a positive duration")
	case webhook.CheckPolicy(s.Recover) != nil:
		return s, bad("recover", s.Recover, "all, latest or none")
	case s.RecoverRate < 1 || s.RecoverRate > 100000:
		return s, bad("recover_rate", s.RecoverRate, "1 to 100000 a second")
	}
	return s, nil
}
