package delivery

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// machine plays outcomes to the breaker of an active webhook, in a time of its own.
type machine struct {
	*testing.T
	Rules
	w    webhook.Webhook
	now  time.Time
	made byte
}

func newMachine(t *testing.T) *machine {
	s := defaultSettings()
	return &machine{
		T: t, Rules: Rules{Schedule: s.Schedule, ChallengeAfter: s.ChallengeAfter, Recover: s.Recover}, now: epoch,
		w: webhook.Webhook{ID: uuid.UUID{1}, Type: webhook.TypeDynamic, CallbackURI: "http://receiver.test/", Status: webhook.Active},
	}
}

// delivery makes a delivery of a vehicle of its own.
func (m *machine) delivery() *webhook.Delivery {
	m.made++
	id := uuid.UUID{0: 1, 15: m.made}
	m.w.Ledger.Count(webhook.Waiting)
	return &webhook.Delivery{ID: id, MessageID: id, Webhook: m.w.ID, Vehicle: uuid.UUID{0: 0xca, 15: m.made}, State: webhook.Waiting}
}

// leaves is an attempt that begins now, of the kind that may leave.
func (m *machine) leaves() Ended {
	e := Ended{Attempt: webhook.Attempt{StartedAt: m.now}, Callback: m.w.CallbackURI}
	switch b := m.w.Breaker; {
	case b.Owed != "":
		e.Probe = freeProbe
	case b.Open():
		e.Probe = stepProbe
	}
	return e
}

// ends takes an outcome to the breaker, twice, as a transaction that is tried again.
func (m *machine) ends(d *webhook.Delivery, e Ended, o webhook.Outcome) []Effect {
	m.Helper()
	e.Outcome, e.Error = o, string(o)
	was, of := m.w, *d
	text := fmt.Sprintf("%+v %+v", was, of)
	w, after, effects := m.Apply(was, of, e, m.now)
	w2, after2, _ := m.Apply(was, of, e, m.now)
	if !reflect.DeepEqual(w, w2) || !reflect.DeepEqual(after, after2) || fmt.Sprintf("%+v %+v", was, of) != text {
		m.Errorf("the same outcome led to %+v %+v and to %+v %+v, and changed %s to %+v %+v", w, after, w2, after2, text, was, of)
	}
	m.w, *d = w, after
	return effects
}

// attempt is an attempt of a second with its outcome.
func (m *machine) attempt(d *webhook.Delivery, o webhook.Outcome) []Effect {
	m.Helper()
	e := m.leaves()
	m.pass(time.Second)
	return m.ends(d, e, o)
}

// wait is that of a step.
func (m *machine) wait(step int) time.Duration { return m.Schedule.wait(m.w.ID, step, 0) }

func (m *machine) pass(d time.Duration) { m.now = m.now.Add(d) }

// opened is a machine whose breaker has just been opened by a delivery.
func opened(t *testing.T) (*machine, *webhook.Delivery) {
	m := newMachine(t)
	d := m.delivery()
	m.attempt(d, webhook.OutcomeUnreachable)
	m.open(0, m.wait(0))
	return m, d
}

// exhaustedMachine is one whose webhook was disabled by six failing probes.
func exhaustedMachine(t *testing.T) (*machine, *webhook.Delivery) {
	m, d := opened(t)
	for range 6 {
		m.now = m.w.Breaker.NextProbe
		m.attempt(d, webhook.OutcomeUnreachable)
	}
	m.disabled(webhook.Exhausted)
	return m, d
}

func (m *machine) closed() {
	m.Helper()
	if b := m.w.Breaker; m.w.Status != webhook.Active || b.Open() || b.Step != 0 || !b.NextProbe.IsZero() || !b.NextChallenge.IsZero() || b.Owed != "" || b.Tried != nil {
		m.Errorf("not closed: %s, %+v", m.w.Status, b)
	}
}

// open fails the test unless the breaker is open at a step, the next probe due after
// a wait.
func (m *machine) open(step int, wait time.Duration) {
	m.Helper()
	if b := m.w.Breaker; m.w.Status != webhook.Active || !b.Open() || b.Step != step || b.NextProbe.Sub(m.now) != wait {
		m.Errorf("%s, open %v, step %d, the next probe in %s; want step %d, in %s", m.w.Status, b.Open(), b.Step, b.NextProbe.Sub(m.now), step, wait)
	}
}

func (m *machine) disabled(r webhook.Reason) {
	m.Helper()
	if b := m.w.Breaker; m.w.Status != webhook.Disabled || m.w.Reason != r || m.w.ReasonText == "" || b.Open() || b.Step != 0 || !b.NextProbe.IsZero() {
		m.Errorf("%s %s %q, %+v, want disabled as %s", m.w.Status, m.w.Reason, m.w.ReasonText, b, r)
	}
}

// aside fails the test unless a delivery waits for its own retry after a wait.
func (m *machine) aside(d *webhook.Delivery, wait time.Duration) {
	m.Helper()
	if d.State != webhook.Waiting || !d.SetAside() || d.RetryAt.Sub(m.now) != wait {
		m.Errorf("%s, retried in %s, want in %s", d.State, d.RetryAt.Sub(m.now), wait)
	}
}

func (m *machine) is(d *webhook.Delivery, s webhook.State) {
	m.Helper()
	if d.State != s || d.State == webhook.Waiting && d.SetAside() {
		m.Errorf("%s, set aside %v, want %s", d.State, d.SetAside(), s)
	}
}
