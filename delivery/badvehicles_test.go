package delivery

import (
	"testing"

	"plugbeat/webhook"
)

// Three vehicles whose deliveries were answered with errors opened the breaker. Probes of
// two more that are, too, spend no step and make no wait longer; a sixth does, and so does a
// vehicle that was tried before, and a probe that got no answer.
func TestBadVehiclesSpendNoStep(t *testing.T) {
	open := func() *machine {
		m := newMachine(t)
		for range 3 {
			m.attempt(m.delivery(), webhook.OutcomeFailed)
		}
		m.open(0, m.wait(0))
		return m
	}
	m := open()
	for _, o := range []webhook.Outcome{webhook.OutcomeFailed, webhook.OutcomeRefused} {
		m.now = m.w.Breaker.NextProbe
		m.attempt(m.delivery(), o)
		m.open(0, m.wait(0))
	}
	m.now = m.w.Breaker.NextProbe
	m.attempt(m.delivery(), webhook.OutcomeFailed)
	m.open(1, m.wait(1))

	m = open()
	again := m.delivery()
	again.Vehicle = m.w.Breaker.Tried[0].Vehicle
	m.now = m.w.Breaker.NextProbe
	m.attempt(again, webhook.OutcomeFailed)
	m.open(1, m.wait(1))

	for _, o := range []webhook.Outcome{webhook.OutcomeUnavailable, webhook.OutcomeUnreachable} {
		m = open()
		m.now = m.w.Breaker.NextProbe
		m.attempt(m.delivery(), o)
		m.open(1, m.wait(1))
	}
}
