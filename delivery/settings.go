package delivery

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Settings are the rules of delivery. A zero field takes its default; see
// [DefaultSettings] for them.
type Settings struct {
	// Ladder is the waits before each retry: its length is the number of
	// retries, 1 to 20, each at least 1 ms.
	Ladder []time.Duration
	// Jitter is the largest share of a wait that is added to it, 0 to 1, never
	// more than JitterMax. Negative means none.
	Jitter    float64
	JitterMax time.Duration
	// Timeout bounds a request up to the last header of its answer.
	Timeout time.Duration
	// BodyTime and BodyBytes bound how much of an answer's body is read after
	// its headers.
	BodyTime  time.Duration
	BodyBytes int
	// InFlight is how many requests of one webhook may be under way, 1 to 64.
	InFlight int
	// TrialSize is how many deliveries a trial may send, at least 1. EarlyMax is
	// how many leave outside trials while a webhook is failing; negative means none.
	TrialSize, EarlyMax int
	// ChallengeFrom is how far the next rung must be away for a challenge.
	// ChallengeAfter holds the times of the first challenges, counted from the
	// last attempt and growing; after them one follows every ChallengeEvery.
	ChallengeFrom  time.Duration
	ChallengeAfter []time.Duration
	ChallengeEvery time.Duration
	// HealWindow is how soon after healing a new failure, if it ends in
	// disabling again, doubles the waits between challenges, up to ChallengeMax.
	HealWindow, ChallengeMax time.Duration
	// Recover is what of a backlog leaves when a webhook comes back that says
	// nothing of its own; RecoverRate is how many deliveries a second leave then.
	Recover     webhook.Policy
	RecoverRate int
	// UserAgent is the User-Agent header.
	UserAgent string
	// Allow lists private and loopback addresses every webhook may reach: a
	// CIDR, an IP, host:port, "loopback" or "private".
	Allow []string
	// OwnFaultWait is the first wait after a fault of our own, OwnFaultMax the
	// longest; each doubles the one before. They also pace commits that find the
	// disk full.
	OwnFaultWait, OwnFaultMax time.Duration
	// Drain is how long Run waits, once its context has ended, for requests in
	// flight before it cuts them off.
	Drain time.Duration
}

// Presets of the ladder. Both have six retries.
var (
	ladderDefault  = [...]time.Duration{10 * time.Second, 50 * time.Second, 250 * time.Second, 1250 * time.Second, 6250 * time.Second, 31250 * time.Second}
	ladderSmartcar = [...]time.Duration{25 * time.Second, 50 * time.Second, 100 * time.Second, 200 * time.Second, 400 * time.Second, 800 * time.Second}
)

// Preset returns the ladder of that name: "default" is 10 s × 5ⁿ (10 h 51 min in
// all), "smartcar" 25 s × 2ⁿ (26 min).
func Preset(name string) ([]time.Duration, error) {
	switch name {
	case "default", "":
		return append([]time.Duration(nil), ladderDefault[:]...), nil
	case "smartcar":
		return append([]time.Duration(nil), ladderSmartcar[:]...), nil
	}
	return nil, &webhook.Invalid{Field: "delivery.retries", Value: name, Allowed: "default or smartcar"}
}

// DefaultSettings returns the settings that stand where nothing is configured.
func DefaultSettings() Settings {
	ladder, _ := Preset("default")
	return Settings{
		Ladder: ladder, Jitter: 0.2, JitterMax: 10 * time.Minute,
		Timeout: 15 * time.Second, BodyTime: 2 * time.Second, BodyBytes: 4096,
		InFlight: 8, TrialSize: 3, EarlyMax: 3,
		ChallengeFrom:  15 * time.Minute,
		ChallengeAfter: []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour},
		ChallengeEvery: time.Hour, HealWindow: time.Hour, ChallengeMax: 24 * time.Hour,
		Recover: webhook.RecoverAll, RecoverRate: 50, UserAgent: "Smartcar/2.0",
		OwnFaultWait: 10 * time.Second, OwnFaultMax: time.Minute,
		Drain: 20 * time.Second,
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
	if len(s.Ladder) == 0 {
		s.Ladder = d.Ladder
	}
	if len(s.ChallengeAfter) == 0 {
		s.ChallengeAfter = d.ChallengeAfter
	}
	orDefault(&s.Jitter, d.Jitter)
	orDefault(&s.JitterMax, d.JitterMax)
	orDefault(&s.Timeout, d.Timeout)
	orDefault(&s.BodyTime, d.BodyTime)
	orDefault(&s.BodyBytes, d.BodyBytes)
	orDefault(&s.InFlight, d.InFlight)
	orDefault(&s.TrialSize, d.TrialSize)
	orDefault(&s.EarlyMax, d.EarlyMax)
	orDefault(&s.ChallengeFrom, d.ChallengeFrom)
	orDefault(&s.ChallengeEvery, d.ChallengeEvery)
	orDefault(&s.HealWindow, d.HealWindow)
	orDefault(&s.ChallengeMax, d.ChallengeMax)
	orDefault(&s.Recover, d.Recover)
	orDefault(&s.RecoverRate, d.RecoverRate)
	orDefault(&s.UserAgent, d.UserAgent)
	orDefault(&s.OwnFaultWait, d.OwnFaultWait)
	orDefault(&s.OwnFaultMax, d.OwnFaultMax)
	orDefault(&s.Drain, d.Drain)
	s.EarlyMax, s.Jitter = max(s.EarlyMax, 0), max(s.Jitter, 0)

	bad := func(field string, value any, allowed string) error {
		return &webhook.Invalid{Field: "delivery." + field, Value: fmt.Sprint(value), Allowed: allowed}
	}
	if len(s.Ladder) > 20 {
		return s, bad("ladder", len(s.Ladder), "1 to 20 waits")
	}
	for i, w := range s.Ladder {
		if w < time.Millisecond || w > 30*24*time.Hour {
			return s, bad("ladder["+strconv.Itoa(i)+"]", w, "1ms to 720h")
		}
	}
	last := time.Duration(0)
	for i, w := range s.ChallengeAfter {
		if w <= last {
			return s, bad("challenge_after["+strconv.Itoa(i)+"]", w, "positive waits, each longer than the one before")
		}
		last = w
	}
	switch {
	case s.Jitter > 1:
		return s, bad("jitter", s.Jitter, "0 to 1")
	case s.JitterMax < 0:
		return s, bad("jitter_max", s.JitterMax, "a positive duration")
	case s.Timeout < time.Millisecond:
		return s, bad("timeout", s.Timeout, "a positive duration")
	case s.BodyTime < 0 || s.BodyBytes < 0:
		return s, bad("body_time", s.BodyTime, "a positive duration")
	case s.InFlight < 1 || s.InFlight > 64:
		return s, bad("in_flight", s.InFlight, "1 to 64")
	case s.TrialSize < 1:
		return s, bad("trial_size", s.TrialSize, "at least 1")
	case s.ChallengeEvery < time.Millisecond || s.ChallengeMax < time.Millisecond || s.ChallengeFrom < 0 || s.HealWindow < 0:
		return s, bad("challenge_every", s.ChallengeEvery, "a positive duration")
	case webhook.CheckPolicy(s.Recover) != nil:
		return s, bad("recover", s.Recover, webhook.Policies)
	case s.RecoverRate < 1 || s.RecoverRate > 100000:
		return s, bad("recover_rate", s.RecoverRate, "1 to 100000 a second")
	case s.OwnFaultWait < time.Millisecond || s.OwnFaultMax < s.OwnFaultWait:
		return s, bad("own_fault_wait", s.OwnFaultWait, "a positive duration, at most the longest one")
	}
	return s, nil
}

// Retries is how many attempts follow the first.
func (s *Settings) retries() int { return len(s.Ladder) }

// longest is the longest wait of the ladder without jitter, which also caps what
// a receiver may ask for.
func (s *Settings) longest() time.Duration {
	l := time.Duration(0)
	for _, w := range s.Ladder {
		l = max(l, w)
	}
	return l
}

// wait returns how long the given rung of the webhook's ladder is: its time,
// plus jitter that only ever lengthens it and is the same each time it is asked
// for, and no less than what the receiver asked for, as far as the longest rung.
func (s *Settings) wait(id uuid.UUID, rung int, asked time.Duration) time.Duration {
	rung = min(max(rung, 0), len(s.Ladder)-1)
	base := s.Ladder[rung]
	var key [20]byte
	copy(key[:], id[:])
	binary.BigEndian.PutUint32(key[16:], uint32(rung)) //nolint:gosec // at most 20
	sum := sha256.Sum256(key[:])
	share := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
	base += min(time.Duration(float64(base)*s.Jitter*share), s.JitterMax)
	return max(base, min(asked, s.longest()))
}

// repair pulls stored times that lie further ahead than their rung can have meant
// back to that: the clock went back since they were written, or the settings
// changed. It reports whether it changed anything.
func (s *Settings) repair(w *webhook.Webhook, now time.Time) bool {
	h := &w.Health
	changed := false
	pull := func(t *time.Time, latest time.Time) {
		if t.After(latest) {
			*t, changed = latest, true
		}
	}
	pull(&h.NotBefore, now.Add(s.longest()))
	pull(&h.NextTrial, later(now.Add(s.wait(w.ID, h.Rung, 0)), h.NotBefore))
	pull(&h.FailingSince, now)
	pull(&h.NextChallenge, now.Add(max(s.ChallengeMax, s.ChallengeEvery, s.longest())))
	if changed {
		h.Seq++
	}
	return changed
}

// ownRung is when the webhook's delivery may leave by its own rung, repaired in
// the same way.
func (s *Settings) ownRung(id uuid.UUID, d *webhook.Delivery, now time.Time) time.Time {
	wait := s.wait(id, d.RoundAttempts-1, 0)
	if d.LastOutcome == webhook.OutcomeThrottled {
		wait = max(wait, s.longest())
	}
	if latest := now.Add(wait); d.NextAttempt.After(latest) {
		return latest
	}
	return d.NextAttempt
}
