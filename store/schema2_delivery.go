package store

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
)

// keptBody is how much of an answer's body an attempt keeps, in bytes.
const keptBody = 512

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

// delivery2 is what the step reads of a delivery of schema 2.
type delivery2 struct {
	RetryAt time.Time `json:"retry_at"`
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
