package delivery

import (
	"slices"
	"time"

	"plugbeat/webhook"
)

// For provenFor after a success Settings.InFlight requests leave at a time. Before the first
// success, and later than that after the last, only slowStart do, so that a receiver that died
// meanwhile gets few requests.
const (
	provenFor = time.Minute
	slowStart = 2
)

// ownFaultWait is how long nothing leaves after a fault of our own, and how long a probe
// waits that a stop may have interrupted: 10 s, or a schedule's first wait if shorter.
func (r Rules) ownFaultWait() time.Duration { return min(10*time.Second, r.Schedule[0]) }

// departure says which delivery may leave now, and whether as a probe.
func (r Rules) departure(w *webhook.Webhook, q *queue, inFlight int, now time.Time) (webhook.Queued, Probe, bool) {
	b := &w.Breaker
	switch {
	case w.Status == webhook.Active && b.Open(), exhausted(w) && b.Owed != "":
		return r.probe(w, q, now)
	case w.Status == webhook.Active && w.Recovery == nil:
		window := min(slowStart, inFlight)
		if b.LastSuccess.After(now.Add(-provenFor)) && !b.LastSuccess.After(now) {
			window = inFlight
		}
		it, ok := q.next(window, now)
		return it, noProbe, ok
	}
	return webhook.Queued{}, noProbe, false
}

// probe says which probe may leave now.
//
// A step probe is due when the step's wait is over. A free probe is owed, after a right
// challenge or by an operator, and spends no step. A third kind needs no waiting: the free
// probe of a vehicle that was not tried, while at most maxBadVehicles deliveries in a row
// were answered with errors.
//
// The probe is the newest delivery where the backlog is not to be delivered whole, since the
// others are superseded or cancelled once it has arrived. Otherwise queue.probe chooses.
// A delivery that was set aside is a probe only while nothing else waits, and only if a probe
// is owed or the step has found nothing to send for an hour. It is a free probe, so that one
// bad payload disables no webhook.
func (r Rules) probe(w *webhook.Webhook, q *queue, now time.Time) (it webhook.Queued, p Probe, ok bool) {
	b := &w.Breaker
	switch {
	case q.probing() || now.Before(b.NotBefore):
		return it, noProbe, false
	case !b.NextProbe.IsZero() && !now.Before(b.NextProbe):
		p = stepProbe
	case b.Owed != "":
		p = freeProbe
	case w.Recovery == nil && b.FailuresInRow >= maxFailuresInRow && b.FailuresInRow <= maxBadVehicles:
		it, ok = q.probe(b.Tried, false)
		return it, freeProbe, ok && !slices.ContainsFunc(b.Tried, func(t webhook.Tried) bool { return t.Vehicle == it.Vehicle })
	default:
		return it, noProbe, false
	}
	if w.Recovery != nil || exhausted(w) && r.policy(w) != webhook.RecoverAll {
		it, ok = q.newest()
	}
	if !ok {
		it, ok = q.probe(b.Tried, p == freeProbe || !now.Before(r.idle(b)))
	}
	if !it.RetryAt.IsZero() {
		p = freeProbe
	}
	return it, p, ok
}

// idle is when a step that has found nothing to send takes what was set aside.
func (r Rules) idle(b *webhook.Breaker) time.Time {
	return b.NextProbe.Add(challengeEvery * r.ChallengeAfter)
}

// nextWake is when the time alone makes something due; zero for never. Times that have passed
// do not count: what was due then waits for an event, which wakes the worker.
func (r Rules) nextWake(w *webhook.Webhook, q *queue, now time.Time) (at time.Time) {
	b := &w.Breaker
	for _, t := range []time.Time{b.NextProbe, r.idle(b), b.NotBefore, b.NextChallenge, q.nextRetry(now)} {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}
