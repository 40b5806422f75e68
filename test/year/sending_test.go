package year

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/delivery"
	"plugbeat/store"
	"plugbeat/webhook"
)

// This file holds the rules of sending at each request, on what the store has committed by
// then. It asks the circuit breaker itself what it waits for, and holds that exactly that
// leaves, and in time.

// retryWaits is the retry schedule.
var retryWaits = [...]time.Duration{
	10 * time.Second, 50 * time.Second, 250 * time.Second, 1250 * time.Second, 6250 * time.Second, 31250 * time.Second,
}

const (
	inFlight     = 8
	inFlightIdle = 2                     // where nothing was delivered within a minute
	perDelivery  = 20 * time.Millisecond // of a backlog
	ownPause     = 10 * time.Second      // before an interrupted probe is made again
	stepSlack    = timeout + time.Second // of a probe or a challenge and its commit
	queueSlack   = 5 * time.Minute       // of what waits at a closed breaker
	mostRetries  = 6
	badVehicles  = 5 // that delay no other

	firstChallenge = 15 * time.Minute // after the last attempt
)

var rules = delivery.Rules{Schedule: retryWaits[:], ChallengeAfter: firstChallenge, Recover: webhook.RecoverAll}

// waiting is a delivery that waits.
type waiting struct {
	id      uuid.UUID
	made    time.Time
	retryAt time.Time // zero unless it is set aside
}

// line is what waits at a webhook and what is in flight.
type line struct {
	name string
	// as is the webhook as it was last committed, at at; was is how it stood before that moment.
	as, was   webhook.Webhook
	at        time.Time
	waits     map[uuid.UUID][]*waiting // by vehicle, the oldest first
	vehicleOf map[uuid.UUID]uuid.UUID
	flying    map[uuid.UUID]time.Time // by vehicle, when the request left

	up, closed time.Time // when the daemon started, and the breaker closed
	willEnd    time.Time // when the webhook is disabled if every probe fails; zero unless known

	requests, challenges, probes, closings, disablings int
}

func newLine(name string) *line {
	return &line{name: name, waits: map[uuid.UUID][]*waiting{}, vehicleOf: map[uuid.UUID]uuid.UUID{}, flying: map[uuid.UUID]time.Time{}}
}

func exhausted(x *webhook.Webhook) bool {
	return x.Status == webhook.Disabled && x.Reason == webhook.Exhausted
}

func sends(x *webhook.Webhook) bool { return x.Status == webhook.Active && !x.Breaker.Open() }

// produced takes deliveries that were committed, and passes them on.
func (w *world) produced(ds []webhook.Delivery) {
	w.mu.Lock()
	for _, d := range ds {
		l := w.lines[w.index[d.Webhook]]
		l.vehicleOf[d.ID] = d.Vehicle
		l.waits[d.Vehicle] = append(l.waits[d.Vehicle], &waiting{id: d.ID, made: d.CreatedAt})
		w.overdue(l)
	}
	w.mu.Unlock()
	w.dispatcher.Produced(ds)
}

// find returns a delivery that waits, and whether it is its vehicle's oldest that is not set aside.
func (l *line) find(id uuid.UUID) (found *waiting, first bool) {
	first = true
	for _, d := range l.waits[l.vehicleOf[id]] {
		if d.id == id {
			return d, first
		}
		first = first && !d.retryAt.IsZero()
	}
	return nil, false
}

// leaves holds a request against the rules. The end of the request calls the function
// that it returns.
func (w *world) leaves(h int, id uuid.UUID) (ended func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, now := w.lines[h], time.Now()
	w.overdue(l)
	vehicle, delivery := l.vehicleOf[id]
	if !delivery {
		l.challenges++
		return func() {}
	}
	l.requests++
	// What was committed at this very moment may not have reached the queue yet.
	if why := l.forbidden(&l.as, id, now); why != "" && (!l.at.Equal(now) || l.forbidden(&l.was, id, now) != "") {
		w.t.Errorf("after %s: %s to %s left, though %s", w.since(), id, l.name, why)
	}
	if _, flying := l.flying[vehicle]; flying || len(l.flying) >= inFlight {
		w.t.Errorf("after %s: %s to %s left beside %d others, one of its vehicle: %v", w.since(), id, l.name, len(l.flying), flying)
	}
	l.flying[vehicle] = now
	return func() {
		w.mu.Lock()
		delete(l.flying, vehicle)
		w.mu.Unlock()
	}
}

// forbidden says why a delivery may not leave a webhook that stands so.
func (l *line) forbidden(x *webhook.Webhook, id uuid.UUID, now time.Time) string {
	d, first := l.find(id)
	b := &x.Breaker
	switch {
	case d == nil:
		return "it does not wait"
	case sends(x):
		switch {
		case !d.retryAt.IsZero() && d.retryAt.After(now):
			return "it is set aside"
		case d.retryAt.IsZero() && !first:
			return "an older one of its vehicle waits"
		case len(l.flying) >= inFlightIdle && b.LastSuccess.Before(now.Add(-time.Minute)):
			return "too many are in flight for a receiver that has not taken anything for a minute"
		}
		return ""
	case x.Status != webhook.Active && !exhausted(x):
		return "the webhook is " + string(x.Status) + " " + string(x.Reason)
	case now.Before(b.NotBefore):
		return "the receiver asked for a wait"
	case b.Owed == "" && (b.NextProbe.IsZero() || now.Before(b.NextProbe)) && !untried(b, l.vehicleOf[id]):
		return "no probe is due"
	}
	for _, left := range l.flying {
		if left.After(b.OpenSince) && left.After(x.StatusSince) {
			return "a probe is in flight"
		}
	}
	l.probes++
	return ""
}

// untried reports whether a vehicle leaves beside the steps: it was not tried since the
// breaker opened, and a few deliveries in a row were answered with errors.
func untried(b *webhook.Breaker, vehicle uuid.UUID) bool {
	return b.FailuresInRow >= 3 && b.FailuresInRow <= badVehicles &&
		!slices.ContainsFunc(b.Tried, func(t webhook.Tried) bool { return t.Vehicle == vehicle })
}

// overdue holds that what was due has left, while the daemon ran.
func (w *world) overdue(l *line) {
	now, b := time.Now(), &l.as.Breaker
	if !w.running {
		return
	}
	late := func(what string, slack time.Duration, dues ...time.Time) {
		if now.Sub(slices.MaxFunc(dues, time.Time.Compare)) > slack {
			w.t.Errorf("after %s: %s of %s was due, and nothing left", w.since(), what, l.name)
		}
	}
	ready := l.up.Add(ownPause)
	if !b.NextChallenge.IsZero() {
		late("a challenge", stepSlack, b.NextChallenge, ready)
	}
	for _, ds := range l.waits {
		for _, d := range ds {
			switch {
			case sends(&l.as):
				late("a delivery", queueSlack, d.made, d.retryAt, l.closed, l.up)
			case !d.retryAt.IsZero():
			case b.Owed != "":
				late("an owed probe", stepSlack, l.at, b.NotBefore, d.made, ready)
			case !b.NextProbe.IsZero():
				late("a probe", stepSlack, b.NextProbe, b.NotBefore, d.made, ready)
			}
		}
	}
}

// watched is the store, and notes what is committed.
type watched struct {
	*store.WebhookRecords
	*store.DeliveryRecords
	*store.Schedules
	*store.VehicleRecords
	w *world
}

// CompleteRead notes the commit of a reading.
func (s watched) CompleteRead(ctx context.Context, vehicle uuid.UUID, decide webhook.Decide) ([]webhook.Delivery, error) {
	ds, err := s.Schedules.CompleteRead(ctx, vehicle, decide)
	if err == nil {
		s.w.mu.Lock()
		s.w.commits[vehicle] = append(s.w.commits[vehicle], readCommit{s.w.since().Truncate(time.Millisecond), len(s.w.asks[vehicle])})
		s.w.mu.Unlock()
	}
	return ds, err
}

// Settle notes an attempt's outcome.
func (s watched) Settle(ctx context.Context, hook, delivery uuid.UUID, a webhook.Attempt,
	settle func(webhook.Webhook, webhook.Delivery) (webhook.Webhook, webhook.Delivery, error),
) (webhook.Webhook, webhook.Delivery, error) {
	x, d, err := s.DeliveryRecords.Settle(ctx, hook, delivery, a, settle)
	if err == nil {
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		l := s.w.lines[s.w.index[x.ID]]
		switch waits, _ := l.find(d.ID); {
		case waits == nil || d.Retries > mostRetries:
			s.w.t.Errorf("after %s: an outcome of %s is committed: %+v", s.w.since(), d.ID, d)
		case d.State.Final():
			l.drop(d.ID)
		default:
			waits.retryAt = d.RetryAt
		}
		s.w.stands(l, x)
	}
	return x, d, err
}

// UpdateWebhook notes what a challenge or the operator did to the webhook.
func (s watched) UpdateWebhook(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) error) (webhook.Webhook, error) {
	x, err := s.WebhookRecords.UpdateWebhook(ctx, id, change)
	if err == nil {
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		s.w.stands(s.w.lines[s.w.index[id]], x)
	}
	return x, err
}

func (l *line) drop(id uuid.UUID) {
	v := l.vehicleOf[id]
	l.waits[v] = slices.DeleteFunc(l.waits[v], func(d *waiting) bool { return d.id == id })
}

// stands takes a webhook as it was committed, and holds what stands to the rules.
func (w *world) stands(l *line, x webhook.Webhook) {
	now := time.Now()
	if x.Seq < l.as.Seq {
		return
	}
	w.overdue(l)
	was := l.as
	if !l.at.Equal(now) {
		l.was = was
	}
	l.as, l.at = x, now
	if b := &x.Breaker; b.Step >= len(rules.Schedule) || b.Open() && b.NextProbe.IsZero() && b.Owed == "" || exhausted(&x) && b.NextChallenge.IsZero() && b.Owed == "" {
		w.t.Errorf("after %s: nothing comes next at %s: %+v", w.since(), l.name, b)
	}
	switch {
	case sends(&x) && !sends(&was):
		l.closed = now
		l.closings++
	case x.Breaker.Open() && !was.Breaker.Open():
		l.willEnd = rules.DisabledAt(&x)
	case exhausted(&x) && !exhausted(&was):
		l.disablings++
		if was.Breaker.Open() && !l.willEnd.IsZero() && (now.Before(l.willEnd) || now.Sub(l.willEnd) > time.Hour && l.up.Before(was.Breaker.OpenSince)) {
			w.t.Errorf("after %s: %s is disabled, and was to be after %s", w.since(), l.name, l.willEnd.Sub(w.t0))
		}
	}
}
