package delivery

import (
	"slices"
	"time"

	"plugbeat/webhook"
)

// provenFor is how long a success proves the receiver well enough for inFlight
// requests at a time. Before a success, and later than that after one, slowStart leave
// at a time, so that a receiver found dead was not asked much.
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

// probe says which probe may leave now. Where the backlog is not to be delivered whole
// it is the newest delivery: the others are superseded or cancelled once it has arrived.
// What was set aside is a probe only while nothing else waits: where one is owed, and
// once the step has waited for an hour. It spends no step, so a payload that is to blame
// disables no webhook. Neither does a vehicle that was not tried, while no more than
// maxBadVehicles were answered with errors in a row: it need not wait for a step.
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

// idle is when a step that found nothing to send takes what was set aside.
func (r Rules) idle(b *webhook.Breaker) time.Time {
	return b.NextProbe.Add(challengeEvery * r.ChallengeAfter)
}

// nextWake is when something more is due because of the time alone; zero for never. A time
// that has passed is not in it: what is due then waits for something else, and is woken by
// that.
func (r Rules) nextWake(w *webhook.Webhook, q *queue, now time.Time) (at time.Time) {
	b := &w.Breaker
	for _, t := range []time.Time{b.NextProbe, r.idle(b), b.NotBefore, b.NextChallenge, q.nextRetry(now)} {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}
