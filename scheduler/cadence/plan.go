package cadence

import (
	"fmt"
	"net/http"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Period is what the calls of a plan are for: calendar days or months, UTC.
type Period string

// The periods.
const (
	Day   Period = "day"
	Month Period = "month"
)

// Plan is how a source counts its calls, and how many of them one vehicle may cost
// in a period. A call is one path asked for, alone or in a batch.
type Plan struct {
	// Metered is true for a source whose vendor counts every call; others are free.
	Metered bool
	// Calls is the budget of each vehicle; 0 is no limit.
	Calls uint64
	// Per is the period; empty is Month.
	Per Period
	// Doubted is true while the clock cannot be believed: what is spent counts in the period
	// that it counted in before, and no due time is skipped.
	Doubted bool
}

// Counts reports whether spending is noted: for a metered source, and for any that has a budget.
func (p Plan) Counts() bool { return p.Metered || p.Limited() }

// Limited reports whether there is a budget.
func (p Plan) Limited() bool { return p.Calls > 0 }

// Span returns the period that now is in: its first moment, and that of the next.
func (p Plan) Span(now time.Time) (from, until time.Time) {
	y, m, d := now.UTC().Date()
	if p.Per == Day {
		from = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
		return from, from.AddDate(0, 0, 1)
	}
	from = time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	return from, from.AddDate(0, 1, 0)
}

// Book adds calls to a vehicle's spending. A new period begins at zero. A period that comes again
// continues with what was spent meanwhile, so a clock that jumped and came back, or jumped into
// the past, gives nothing back.
func (p Plan) Book(s vehicle.Spending, calls uint64, now time.Time) vehicle.Spending {
	if !p.Counts() || calls == 0 {
		return s
	}
	s = p.in(s, now)
	s.Calls += calls
	s.Added += calls
	return s
}

// in returns the spending as it is in the period that now is in.
func (p Plan) in(s vehicle.Spending, now time.Time) vehicle.Spending {
	from, _ := p.Span(now)
	if p.Doubted || s.Since.Equal(from) {
		return s
	}
	left := vehicle.Period{Since: s.Since, Calls: s.Calls}
	for _, e := range []*vehicle.Period{&s.Before, &s.BeforeThat} {
		if !e.Since.Equal(from) {
			continue
		}
		back := vehicle.Spending{Since: from, Calls: e.Calls}
		if _, next := p.Span(s.Since); !next.Equal(from) { // else time just went on
			back.Calls += s.Added
		}
		*e = left
		back.Before, back.BeforeThat = s.Before, s.BeforeThat
		return back
	}
	next := vehicle.Spending{Since: from}
	if !s.Since.IsZero() {
		next.Before, next.BeforeThat = left, s.Before
	}
	if from.Before(s.Since) || s.Since.IsZero() { // all of it on a clock that was doubted
		next.Calls = s.Calls
	}
	return next
}

// Spent returns the calls of the period that now is in.
func (p Plan) Spent(s vehicle.Spending, now time.Time) uint64 { return p.in(s, now).Calls }

// Affords reports whether a read that costs so many calls is within the budget.
func (p Plan) Affords(s vehicle.Spending, cost uint64, now time.Time) bool {
	return !p.Limited() || p.Spent(s, now)+cost <= p.Calls
}

// Next returns when a read that costs so many calls is in pace: what is left of the budget is
// spread evenly over what is left of the period, counted from the vehicle's last read. The time
// is not after now when the vehicle may be read now. It is the end of the period when the
// budget is spent.
func (p Plan) Next(st vehicle.Status, cost int, now time.Time) time.Time {
	if !p.Limited() || cost <= 0 {
		return now
	}
	from, until := p.Span(now)
	n := uint64(cost)
	if !p.Affords(st.Spent, n, now) {
		return until
	}
	last := st.ReadAt
	if last.IsZero() || last.After(now) {
		return now
	}
	reads := (p.Calls - p.Spent(st.Spent, now)) / n
	at := last.Add(until.Sub(later(last, from)) / time.Duration(reads)) //nolint:gosec // at most 1e9, checked by config
	return earlier(at, until)
}

// Every returns the distance of reads of a number of paths that use the whole budget; a month has
// 730 hours here. Zero when there is no budget.
func (p Plan) Every(paths int) time.Duration {
	if !p.Limited() {
		return 0
	}
	span := 730 * time.Hour
	if p.Per == Day {
		span = 24 * time.Hour
	}
	return time.Duration(float64(span) * float64(paths) / float64(p.Calls))
}

// Cost returns how many calls a schedule costs one vehicle in a period; a month has 730 hours here:
// three paths hourly are 2 190 a month.
func (p Plan) Cost(s Schedule, paths int) uint64 {
	if p.Per == Day {
		return s.Count(sampleFrom, sampleFrom, sampleFrom.Add(24*time.Hour)) * uint64(max(0, paths)) //nolint:gosec // not negative
	}
	return CallsPerMonth(s, paths)
}

// Fault stands at a path that was not read because the budget is spent.
func (p Plan) Fault(now time.Time) *vehicle.Fault {
	_, until := p.Span(now)
	return &vehicle.Fault{
		Type: vehicle.TypeBilling, Code: "VEHICLE_REQUEST_LIMIT", Status: 430, Resolution: vehicle.ResolveContactSupport,
		Description: fmt.Sprintf("plugbeat's budget for this vehicle, %d calls a %s, is spent until %s",
			p.Calls, p.per(), until.Format(http.TimeFormat)),
		RetryAfter: until.Sub(now),
	}
}

func (p Plan) per() Period {
	if p.Per == "" {
		return Month
	}
	return p.Per
}

// Skip returns the decision that keeps a vehicle within the plan: each of its due subscriptions
// loses this due time and waits for the next. ok is false when the vehicle is to be read. That
// is so when no subscription is due, when one is due for another reason than its cadence, and
// when a read of this cost is in pace: when its time is nearer to this due time than to the next.
func (r Rules) Skip(view webhook.VehicleView, plan Plan, cost int, now time.Time) (out Outcome, ok bool) {
	at := plan.Next(view.Status, cost, now)
	short := !plan.Affords(view.Status.Spent, uint64(max(0, cost)), now) //nolint:gosec // not negative
	now = milli(now)
	out = Outcome{Decision: webhook.Decision{Status: view.Status}, From: view.Status.State, To: view.Status.State}
	state := Effective(view.Status, now, r.UnknownAfter)
	for _, v := range view.Schedules {
		if v.Due.IsZero() || v.Due.After(now) || !v.Webhook.Fires() {
			continue
		}
		if v.Cause != webhook.CauseDue {
			return Outcome{}, false
		}
		before, after := r.schedule(v.Webhook, view.Vehicle.Make, v.State), r.schedule(v.Webhook, view.Vehicle.Make, state)
		c := webhook.ScheduleChange{Schedule: v.Schedule, Skipped: 1 + before.Count(v.Anchor, v.Due, now)}
		c.Schedule.State = state
		var pushed uint64
		c.Schedule.Due, pushed = r.next(after, v.Anchor, v.ProducedAt, now)
		c.Skipped += pushed
		if !short && !at.After(now.Add(c.Schedule.Due.Sub(now)/2)) {
			return Outcome{}, false
		}
		out.Schedules = append(out.Schedules, c)
	}
	return out, len(out.Schedules) > 0
}

// owed reports whether a subscription that is not due lost due times to the plan since its last
// delivery, so that a reading for another goes to it as well. A subscription whose webhook does
// not follow the plug is never owed.
func (r Rules) owed(v webhook.ScheduleView, mk string, plan Plan, now time.Time) bool {
	return plan.Limited() && v.Webhook.Type.Kind().FollowsPlug && v.Cause == webhook.CauseDue &&
		!v.ProducedAt.IsZero() && !r.within(v.ProducedAt, now) &&
		r.schedule(v.Webhook, mk, v.State).Count(v.Anchor, v.ProducedAt, now) > 0
}
