package webhook

import (
	"time"

	"github.com/google/uuid"
)

// Health is how a webhook's deliveries fare: the ladder of a failing one, and
// the challenges that shorten it. It is stored with the webhook, so a ladder
// goes on where it was after a restart.
type Health struct {
	// Seq grows by one with every change of the webhook's status, health or
	// settings, so that of two copies the newer is known.
	Seq uint64 `json:"seq"`
	// Round counts the times the webhook came back (healed, enabled, verified).
	// Limits count per round.
	Round uint32 `json:"round"`
	// FailingSince is when the attempt began whose failure made the webhook
	// failing; zero while healthy.
	FailingSince time.Time `json:"failing_since"`
	// Rung is how many rungs of the ladder are spent, 0 to the ladder's length.
	Rung int `json:"rung"`
	// NextTrial is when the next rung is due; zero while healthy or disabled,
	// and while the last rung's trial runs.
	NextTrial time.Time `json:"next_trial"`
	// NotBefore is the end of the longest wait that the receiver asked for with
	// 429 or 503; nothing leaves a failing webhook before it, a challenge
	// neither. Zero when it asked for none.
	NotBefore time.Time `json:"not_before"`
	// Trial counts the attempts with an outcome of the trial that is going on; 0
	// when none is. TrialLast is the outcome of the last of them.
	Trial     int     `json:"trial,omitempty"`
	TrialLast Outcome `json:"trial_last,omitempty"`
	// Forwarded is true once a right answer to a challenge brought the current rung
	// forward; it stays so through that rung's trial.
	Forwarded bool `json:"forwarded"`
	// Hollow counts the right answers to challenges, since the last success, that
	// were followed by a trial in which nothing succeeded. While it is not 0 such an
	// answer is worth one attempt and no more.
	Hollow int `json:"hollow,omitempty"`
	// Early counts the attempts made outside trials since the one that made the
	// webhook failing: first deliveries of untried vehicles sent between rungs,
	// and what was in flight when it began to fail.
	Early int `json:"early"`
	// Tried holds the deliveries tried in this ladder that still wait, in the
	// order they were tried first.
	Tried []Tried `json:"tried,omitempty"`
	// Spared is 1 after a ladder ended with one blamed delivery's death instead
	// of the webhook's disabling, until the next success.
	Spared int `json:"spared"`
	// LastAttempt and LastSuccess are when the last attempt with an outcome, and
	// the last delivered one, ended.
	LastAttempt time.Time `json:"last_attempt"`
	LastSuccess time.Time `json:"last_success"`
	// LastAnswer is the last failure in words, with its likely cause; empty
	// after a success.
	LastAnswer string `json:"last_answer,omitempty"`
	// Challenges counts the challenges since the last attempt; NextChallenge is
	// when the next is due, zero when none is.
	Challenges    int       `json:"challenges"`
	NextChallenge time.Time `json:"next_challenge"`
	// HealedAt is when the webhook last healed itself, Heals how many times in a
	// row it was disabled again for a failure within an hour of healing, at least 1
	// while Hollow is not 0; each doubles the challenge interval.
	HealedAt time.Time `json:"healed_at"`
	Heals    int       `json:"heals"`
	// Warned is the last share of the ladder's time that was announced: 0, 50 or 90.
	Warned int `json:"warned"`
}

// Failing reports whether the ladder is the webhook's.
func (h Health) Failing() bool { return !h.FailingSince.IsZero() }

// Tried is a delivery tried in the current ladder.
type Tried struct {
	Delivery uuid.UUID `json:"delivery"`
	Vehicle  uuid.UUID `json:"vehicle"`
	// Blamed is true when the receiver blamed the payload at its last attempt.
	Blamed bool `json:"blamed"`
	// InTrial is true when it was tried in the trial that is going on.
	InTrial bool `json:"in_trial,omitempty"`
	// Next is the delivery's own rung, which holds once the webhook is healthy.
	Next time.Time `json:"next"`
}
