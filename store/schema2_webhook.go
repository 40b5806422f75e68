package store

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
)

// health1 is what schema 1 kept of how a webhook's deliveries fare.
type health1 struct {
	Seq           uint64    `json:"seq"`
	Round         uint32    `json:"round"`
	FailingSince  time.Time `json:"failing_since"`
	Rung          int       `json:"rung"`
	NextTrial     time.Time `json:"next_trial"`
	NotBefore     time.Time `json:"not_before"`
	Trial         int       `json:"trial"`
	Forwarded     bool      `json:"forwarded"`
	Hollow        int       `json:"hollow"`
	Tried         []tried1  `json:"tried"`
	LastAttempt   time.Time `json:"last_attempt"`
	LastSuccess   time.Time `json:"last_success"`
	LastAnswer    string    `json:"last_answer"`
	NextChallenge time.Time `json:"next_challenge"`
	HealedAt      time.Time `json:"healed_at"`
	Heals         int       `json:"heals"`
}

type tried1 struct {
	Delivery uuid.UUID `json:"delivery"`
	Vehicle  uuid.UUID `json:"vehicle"`
}

// webhook1 is what the step reads of a webhook of schema 1.
type webhook1 struct {
	Name     string  `json:"name"`
	Status   string  `json:"status"`
	Reason   string  `json:"reason"`
	Recover  string  `json:"recover"`
	Health   health1 `json:"health"`
	Recovery *struct {
		Policy string `json:"policy"`
	} `json:"recovery"`
	Replay *replay1 `json:"replay"`
}

func (w *webhook1) failing() bool { return w.Status == "active" && !w.Health.FailingSince.IsZero() }

// replay1 is a replay under way.
type replay1 struct {
	Vehicle uuid.UUID `json:"vehicle"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	After   uuid.UUID `json:"after"`
	Upto    uuid.UUID `json:"upto"`
	Total   uint64    `json:"total"`
	Made    uint64    `json:"made"`
	Passed  uint64    `json:"passed"`
}

// breaker2 is a webhook's circuit breaker.
type breaker2 struct {
	OpenSince     time.Time `json:"open_since,omitzero"`
	Step          int       `json:"step"`
	NextProbe     time.Time `json:"next_probe,omitzero"`
	NotBefore     time.Time `json:"not_before,omitzero"`
	Owed          string    `json:"owed,omitempty"`
	Tried         []tried2  `json:"tried,omitempty"`
	FailuresInRow int       `json:"failures_in_row"`
	LastAttempt   time.Time `json:"last_attempt,omitzero"`
	LastSuccess   time.Time `json:"last_success,omitzero"`
	LastAnswer    string    `json:"last_answer,omitempty"`
	NextChallenge time.Time `json:"next_challenge,omitzero"`
	FailedAnswers int       `json:"failed_answers"`
}

type tried2 struct {
	Vehicle  uuid.UUID `json:"vehicle"`
	Delivery uuid.UUID `json:"delivery"`
	At       time.Time `json:"at"`
	Reached  bool      `json:"reached,omitempty"`
}

// waits2 is the retry schedule: the wait before each of the six retries.
var waits2 = [...]time.Duration{
	10 * time.Second, 50 * time.Second, 250 * time.Second, 1250 * time.Second, 6250 * time.Second, 31250 * time.Second,
}

// webhookTo2 turns a webhook's health into its circuit breaker. told says what of it
// could not be kept.
func webhookTo2(tx *bolt.Tx, v []byte) (w *webhook1, value []byte, told []string, err error) {
	w = new(webhook1)
	rec, err := fieldsOf(v, w)
	if err != nil {
		return nil, nil, nil, err
	}
	b, err := breakerOf(tx, w)
	if err != nil {
		return nil, nil, nil, err
	}
	delete(rec, "health")
	set := map[string]any{"seq": w.Health.Seq, "breaker": b}
	if counts, ok := rec["firings"]; ok {
		set["due_times"] = counts
		delete(rec, "firings")
	}
	word := func(policy string) bool { return slices.Contains([]string{"", "all", "latest", "none"}, policy) }
	if !word(w.Recover) {
		set["recover"] = "all"
		told = append(told, fmt.Sprintf("its recover was %q, a time, and is all now: when it comes back, all that waits leaves", w.Recover))
	}
	if r := w.Recovery; r != nil && !word(r.Policy) {
		delete(rec, "recovery")
		told = append(told, fmt.Sprintf("a recovery by time (%s) was under way and has ended: what it had not cancelled yet leaves", r.Policy))
	}
	if r := w.Replay; r != nil {
		told = append(told, r.told())
	}
	delete(rec, "replay")
	value, err = rec.encode(set)
	return w, value, told, err
}

// told says what a replay that was under way leaves undone.
func (r *replay1) told() string {
	which := []string{"finished deliveries"}
	if r.State != "" {
		which[0] = r.State + " deliveries"
	}
	if r.Vehicle != uuid.Nil {
		which = append(which, "of vehicle "+r.Vehicle.String())
	}
	for _, t := range []struct {
		word string
		at   time.Time
	}{{"since", r.Since}, {"until", r.Until}} {
		if !t.at.IsZero() {
			which = append(which, t.word+" "+t.at.UTC().Format(time.RFC3339))
		}
	}
	if r.After != uuid.Nil {
		which = append(which, "after "+r.After.String())
	}
	left := r.Total - min(r.Made+r.Passed, r.Total)
	return fmt.Sprintf("a replay was under way and has ended with %d of %d deliveries made; the other %d are not sent again unless you "+
		"resend them: %s, up to %s", r.Made, r.Total, left, strings.Join(which, " "), r.Upto)
}

// breakerOf is the circuit breaker that goes on from what schema 1 had: open for an
// active webhook that was failing, closed for every other.
func breakerOf(tx *bolt.Tx, w *webhook1) (breaker2, error) {
	h := &w.Health
	b := breaker2{
		LastAttempt: h.LastAttempt, LastSuccess: h.LastSuccess, LastAnswer: h.LastAnswer,
		FailedAnswers: h.Hollow,
	}
	if !h.HealedAt.IsZero() && !h.LastSuccess.After(h.HealedAt) {
		b.FailedAnswers = max(b.FailedAnswers, h.Heals)
	}
	exhausted := w.Status == "disabled" && w.Reason == "exhausted"
	if exhausted || w.failing() {
		b.NotBefore, b.NextChallenge = h.NotBefore, h.NextChallenge
	}
	if !w.failing() {
		return b, nil
	}
	// The last rung's trial had not failed yet, and a ladder may have been set to more
	// rungs than there are steps: either has one probe left.
	b.OpenSince, b.Step = h.FailingSince, min(h.Rung, len(waits2)-1)
	last := h.FailingSince
	if h.LastAttempt.After(last) {
		last = h.LastAttempt
	}
	switch {
	case h.Forwarded && h.Trial == 0:
		// The challenge overwrote next_trial with its own time. The step's wait counts from the
		// last attempt.
		b.Owed = "challenge"
		b.NextProbe = last.Add(waits2[b.Step])
		if b.NextProbe.Before(h.NotBefore) {
			b.NextProbe = h.NotBefore
		}
	case h.NextTrial.IsZero():
		b.NextProbe = last // due at once
	default:
		b.NextProbe = h.NextTrial
	}
	var err error
	b.Tried, err = triedOf(tx, h)
	return b, err
}

// triedOf lists the vehicles that were tried, in the order of their last attempts.
func triedOf(tx *bolt.Tx, h *health1) ([]tried2, error) {
	newest := make(map[uuid.UUID]tried2)
	for _, t := range h.Tried {
		if n, ok := newest[t.Vehicle]; ok && bytes.Compare(t.Delivery[:], n.Delivery[:]) <= 0 {
			continue
		}
		row := tried2{Vehicle: t.Vehicle, Delivery: t.Delivery, At: h.LastAttempt}
		if v := tx.Bucket([]byte(bucketDeliveries)).Get(t.Delivery[:]); v != nil {
			var d delivery1
			if err := decode(v, &d); err != nil {
				return nil, named("delivery", t.Delivery, err)
			}
			var a attempt1
			found, err := attemptOf(tx, t.Delivery, d.Attempts, &a)
			if err != nil {
				return nil, err
			}
			if found {
				row.At = a.StartedAt.Add(a.Duration)
			}
			row.Reached = outcomeTo2(d.LastOutcome, d.LastAnswer) != "unreachable"
		}
		newest[t.Vehicle] = row
	}
	rows := slices.Collect(maps.Values(newest))
	slices.SortFunc(rows, func(a, b tried2) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return bytes.Compare(a.Delivery[:], b.Delivery[:])
	})
	return rows, nil
}
