package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
)

// This file makes a data file of schema 1 one of schema 2. In schema 1 a webhook had a
// ladder with rungs and trials (health) where schema 2 has a circuit breaker with steps and
// probes. A delivery could have a rung of its own, an attempt had all headers of its answer,
// the queue was bucket lane, and bucket changes told what happened to deliveries. The step
// changes records as raw JSON and has types of its own, so that package webhook may change
// without it.

// The buckets that schema 1 had and schema 2 does not.
const (
	bucketLane1    = "lane"    // became waiting
	bucketChanges1 = "changes" // what happened is told from memory now
)

const (
	// keptBody is how much of an answer's body an attempt keeps, in bytes.
	keptBody = 512
	// migrateRows is how many rows one transaction of a migration writes.
	migrateRows = 1000
)

// waits2 is the retry schedule: the wait before each of the six retries.
var waits2 = [...]time.Duration{
	10 * time.Second, 50 * time.Second, 250 * time.Second, 1250 * time.Second, 6250 * time.Second, 31250 * time.Second,
}

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

// delivery1 is what the step reads of a delivery of schema 1.
type delivery1 struct {
	Webhook       uuid.UUID `json:"webhook"`
	State         string    `json:"state"`
	Attempts      int       `json:"attempts"`
	Round         uint32    `json:"round"`
	RoundAttempts int       `json:"round_attempts"`
	NextAttempt   time.Time `json:"next_attempt"`
	LastOutcome   string    `json:"last_outcome"`
	LastAnswer    string    `json:"last_answer"`
	Cause         string    `json:"cause"`
}

// attempt1 is what the step reads of an attempt of schema 1.
type attempt1 struct {
	StartedAt time.Time           `json:"started_at"`
	Duration  time.Duration       `json:"duration"`
	Outcome   string              `json:"outcome"`
	Status    int                 `json:"status"`
	Error     string              `json:"error"`
	Cause     string              `json:"cause"`
	Header    map[string][]string `json:"header"`
	Body      []byte              `json:"body"`
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

// delivery2 is what the step reads of a delivery of schema 2.
type delivery2 struct {
	RetryAt time.Time `json:"retry_at"`
}

// toSchema2 makes a file of schema 1 one of schema 2.
func toSchema2(db *bolt.DB) (notes []note, err error) {
	hooks := make(map[uuid.UUID]*webhook1)
	err = rewriteRows(db, bucketWebhooks, func(tx *bolt.Tx, k, v []byte) ([]byte, error) {
		id, err := parseID(k)
		if err != nil {
			return nil, &unreadable{fmt.Errorf("webhook %x: %w", k, err)}
		}
		w, value, told, err := webhookTo2(tx, v)
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %w", id, err)
		}
		hooks[id] = w
		for _, text := range told {
			notes = append(notes, note{id, w.Name, text})
		}
		return value, nil
	})
	if err != nil {
		return nil, err
	}
	err = rewriteRows(db, bucketDeliveries, func(tx *bolt.Tx, k, v []byte) ([]byte, error) {
		value, err := deliveryTo2(tx, hooks, k, v)
		if err != nil {
			return nil, fmt.Errorf("delivery %x: %w", k, err)
		}
		return value, nil
	})
	if err != nil {
		return nil, err
	}
	err = rewriteRows(db, bucketAttempts, func(_ *bolt.Tx, k, v []byte) ([]byte, error) {
		value, err := attemptTo2(v)
		if err != nil {
			return nil, fmt.Errorf("attempt %x: %w", k, err)
		}
		return value, nil
	})
	if err != nil {
		return nil, err
	}
	if err := queuesTo2(db); err != nil {
		return nil, err
	}
	return notes, db.Update(func(tx *bolt.Tx) error {
		if err := tx.DeleteBucket([]byte(bucketLane1)); err != nil {
			return err
		}
		for _, name := range []string{bucketConsents, bucketConsentsByHash} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		if tx.Bucket([]byte(bucketChanges1)) == nil {
			return nil // no delivery was made yet, or none since that bucket came
		}
		return tx.DeleteBucket([]byte(bucketChanges1))
	})
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

// attemptOf reads a delivery's nth attempt; found is false where none is kept.
func attemptOf(tx *bolt.Tx, id uuid.UUID, n int, a *attempt1) (found bool, err error) {
	v := tx.Bucket([]byte(bucketAttempts)).Get(attemptKey(id, n))
	if v == nil {
		return false, nil
	}
	if err := decode(v, a); err != nil {
		return false, fmt.Errorf("attempt %d of delivery %s: %w", n, id, err)
	}
	return true, nil
}

// deliveryTo2 turns a delivery's rung into a retry time. A rung counted only while the
// webhook was active and not failing, and in the round that it was set in: such a
// delivery is set aside, and its attempts of that round count as retries. Every other
// waiting delivery leaves in its turn, with all its retries ahead of it.
func deliveryTo2(tx *bolt.Tx, hooks map[uuid.UUID]*webhook1, k, v []byte) ([]byte, error) {
	var d delivery1
	rec, err := fieldsOf(v, &d)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"round", "round_attempts", "next_attempt"} {
		delete(rec, name)
	}
	set := make(map[string]any)
	if d.Cause == "grid" {
		set["cause"] = "due"
	}
	if d.LastOutcome != "" {
		set["last_outcome"] = outcomeTo2(d.LastOutcome, d.LastAnswer)
	}
	if d.Attempts > 0 && len(k) == idLen {
		var first attempt1
		found, err := attemptOf(tx, uuid.UUID(k), 1, &first)
		if err != nil {
			return nil, err
		}
		if found {
			set["first_attempt_at"] = first.StartedAt
		}
	}
	w := hooks[d.Webhook]
	if d.State == "waiting" && !d.NextAttempt.IsZero() && w != nil && w.Status == "active" && !w.failing() && d.Round == w.Health.Round {
		set["retry_at"] = d.NextAttempt
		if retries := min(d.RoundAttempts, len(waits2)) - 1; retries > 0 {
			set["retries"] = retries
		}
	}
	return rec.encode(set)
}

// attemptTo2 keeps of an answer's headers the content type and of its body the
// beginning.
func attemptTo2(v []byte) ([]byte, error) {
	var a attempt1
	rec, err := fieldsOf(v, &a)
	if err != nil {
		return nil, err
	}
	text := a.Error + ": " + a.Cause
	if a.Status != 0 {
		text = strconv.Itoa(a.Status)
	}
	set := map[string]any{"outcome": outcomeTo2(a.Outcome, text)}
	if t := a.Header["Content-Type"]; len(t) > 0 && t[0] != "" {
		set["content_type"] = t[0]
	}
	delete(rec, "header")
	if len(a.Body) > keptBody {
		set["body"] = a.Body[:keptBody]
	}
	return rec.encode(set)
}

// outcomeTo2 is the outcome that an attempt of schema 1 has now. text is its status, or
// its error with the likely cause.
func outcomeTo2(outcome, text string) string {
	switch outcome {
	case "blamed":
		return "refused"
	case "throttled":
		return "unavailable"
	case "redirect":
		return "failed"
	case "denied":
		return "unreachable"
	case "refused":
		if strings.HasPrefix(text, "502") || strings.HasPrefix(text, "504") {
			return "unavailable"
		}
		return "failed"
	case "no_answer":
		if connected1(text) {
			return "unavailable"
		}
		return "unreachable"
	}
	return outcome
}

// connected1 reports whether the text of an attempt without an answer says that there
// was a connection.
func connected1(text string) bool {
	if strings.Contains(text, "no answer within") {
		return !strings.Contains(text, "no connection came about")
	}
	for _, s := range []string{
		"the receiver closed the connection", "the receiver takes too long", "does not speak HTTP", "more than 64 KiB of headers",
	} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// queuesTo2 fills bucket waiting from bucket lane: each row gets the retry time of its
// delivery, which is of schema 2 already. A row without a delivery stays for the check
// to find.
func queuesTo2(db *bolt.DB) error {
	return eachSlice(db, bucketLane1, func(tx *bolt.Tx, rows []row) error {
		to, err := tx.CreateBucketIfNotExists([]byte(bucketWaiting))
		if err != nil {
			return err
		}
		for _, r := range rows {
			value := r.value
			if v := tx.Bucket([]byte(bucketDeliveries)).Get(r.key[min(len(r.key), idLen):]); v != nil {
				var d delivery2
				if err := decode(v, &d); err != nil {
					return err
				}
				ms, err := millis(d.RetryAt)
				if err != nil {
					return err
				}
				if ms > 0 {
					value = binary.BigEndian.AppendUint64(value, ms)
				}
			}
			if err := to.Put(r.key, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// row is a copy of a row of a bucket.
type row struct{ key, value []byte }

// eachSlice hands the rows of a bucket to do, some a transaction; to an empty bucket's
// too, with none.
func eachSlice(db *bolt.DB, bucket string, do func(tx *bolt.Tx, rows []row) error) error {
	var after []byte
	for {
		var rows []row
		err := db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte(bucket))
			if b == nil {
				return fmt.Errorf("bucket %s is missing", bucket)
			}
			c := b.Cursor()
			k, v := c.Seek(after)
			if after != nil && bytes.Equal(k, after) {
				k, v = c.Next()
			}
			for ; k != nil && len(rows) < migrateRows; k, v = c.Next() {
				rows = append(rows, row{bytes.Clone(k), bytes.Clone(v)})
			}
			return do(tx, rows)
		})
		if err != nil || len(rows) < migrateRows {
			return err
		}
		after = rows[len(rows)-1].key
	}
}

// rewriteRows replaces every value of a bucket by what change makes of it.
func rewriteRows(db *bolt.DB, bucket string, change func(tx *bolt.Tx, k, v []byte) ([]byte, error)) error {
	return eachSlice(db, bucket, func(tx *bolt.Tx, rows []row) error {
		for _, r := range rows {
			v, err := change(tx, r.key, r.value)
			if err != nil {
				return err
			}
			if err := tx.Bucket([]byte(bucket)).Put(r.key, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// fields is a record's JSON, of which only what a step names changes.
type fields map[string]json.RawMessage

// fieldsOf reads a record as it is, and what a step needs of it into known.
func fieldsOf(v []byte, known any) (fields, error) {
	var f fields
	if err := decode(v, &f); err != nil {
		return nil, err
	}
	if f == nil {
		return nil, &unreadable{errors.New("the record is null")}
	}
	return f, decode(v, known)
}

// encode writes the record with some fields set anew.
func (f fields) encode(set map[string]any) ([]byte, error) {
	for name, v := range set {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		f[name] = b
	}
	return json.Marshal(f)
}
