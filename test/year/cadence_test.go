package year

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// This file is the model of the cadence. It follows a vehicle through the answers of its
// source and the commits of its readings, and says for each commit which subscriptions get
// a delivery, for which due time, with which plug state, and how many due times it collapses.

const (
	gap          = time.Minute
	freshness    = time.Minute
	unknownAfter = 24 * time.Hour
	dueTries     = 3
	dueWithin    = 2 * time.Minute
	// latest is how long a due time may take: the tries, and a caller's read before them.
	latest = dueWithin + 10*time.Second
	never  = time.Duration(1<<63 - 1)
)

// schedule is a cadence: points that count from an anchor, or, fixed, from the wall clock.
type schedule struct {
	every, offset time.Duration
	fixed         bool
}

// after is the first point after t.
func (g schedule) after(anchor, t time.Duration) time.Duration {
	if g.fixed {
		anchor = g.offset - g.every
	}
	if t < anchor {
		return anchor
	}
	return anchor + ((t-anchor)/g.every+1)*g.every
}

// points is how many points lie after from, up to to.
func (g schedule) points(anchor, from, to time.Duration) (n int) {
	for p := g.after(anchor, from); p <= to; p = g.after(anchor, p) {
		n++
	}
	return n
}

// ask is a call of the source with its answer.
type ask struct {
	answer
	at    time.Duration
	paths [3]bool
}

// readCommit is a commit of a reading: when it was, and how many calls of the vehicle's
// source it and those before it took in.
type readCommit struct {
	at   time.Duration
	asks int
}

// word is the newest answer on a path. It came at at; its value is of observed.
type word struct {
	at, observed time.Duration
	known        bool
	kind         kind
	plugged      bool
}

func (v word) fresh(now time.Duration) bool {
	return v.known && !truths[v.kind].temporary && now-v.at < freshness
}

// charge is what a payload tells of the plug. The times are zero where it tells a fault.
type charge struct {
	text              string
	fetched, observed time.Duration
}

func (v word) charge() charge {
	switch {
	case v.kind != fine:
		return charge{text: strconv.Itoa(truths[v.kind].fault.Status)}
	case v.plugged:
		return charge{"plugged in", v.at, v.observed}
	}
	return charge{"unplugged", v.at, v.observed}
}

type subscription struct {
	hook     int
	anchor   time.Duration
	due      time.Duration // never while its webhook is disabled or unverified
	made     time.Duration
	everMade bool
	plugged  bool // the cadence it is on
	cause    webhook.Cause
}

// tally counts what the story held, so that one without gaps or changes does not pass
// for a test of them.
type tally struct {
	reads, changes, stale, gapped, held, retried, cutOff, unknown int
}

// life is a vehicle's life as it is followed.
type life struct {
	*world
	tally
	x         *wrong
	c         *testVehicle
	ops       []op
	made      map[int][]webhook.Delivery // by hook, those that are yet to come
	collapsed []int                      // by hook

	down       bool
	up         time.Duration // when the daemon last started
	calls      int           // readings that are due to nobody's subscription
	known, in  bool          // the plug, as it was last seen
	seen       time.Duration
	observed   time.Duration
	restricted bool
	last       [3]word
	notBefore  time.Duration
	subs       []*subscription
	parked     map[int]bool
}

func (l *life) wrong(format string, args ...any) {
	l.x.Helper()
	l.x.f("vehicle %d: "+format, append([]any{l.c.n}, args...)...)
}

// follow holds the vehicle's life against the model.
func (l *life) follow() {
	asks, commits := l.asks[l.c.id], l.commits[l.c.id]
	taken := 0
	for len(l.ops)+len(commits) > 0 {
		var next []ask
		if len(commits) > 0 {
			next = asks[taken:commits[0].asks]
		}
		if len(commits) == 0 || len(l.ops) > 0 && l.ops[0].at <= commits[0].at {
			l.overdue(l.ops[0].at, next)
			l.operate(l.ops[0])
			l.ops = l.ops[1:]
			continue
		}
		l.overdue(commits[0].at, next)
		if len(l.ops) > 0 && l.ops[0].what == stop && l.ops[0].at-commits[0].at < time.Millisecond {
			l.cutOff++
		}
		l.commit(commits[0].at, next)
		taken, commits = commits[0].asks, commits[1:]
	}
	l.overdue(l.end, asks[taken:])
	for h, rest := range l.made {
		if len(rest) > 0 {
			l.wrong("%d deliveries to %s that nothing calls for, the first made after %s", len(rest), l.hooks[h].name, rest[0].CreatedAt.Sub(l.t0))
		}
	}
}

// overdue holds that no due time was passed over while the daemon ran; asks are those of the
// reading under way. It begins once the source may be asked.
func (l *life) overdue(now time.Duration, asks []ask) {
	for _, b := range l.subs {
		held := max(0, min(dueWithin, l.notBefore-b.due))
		if !l.down && b.due < never && now-max(b.due, l.up) > held+waits(asks)+latest {
			l.wrong("it was due on %s after %s, and nothing had come after %s", l.hooks[b.hook].name, b.due, now)
			b.due = never
		}
	}
}

func (l *life) operate(o op) {
	switch o.what {
	case subscribe:
		b := &subscription{hook: o.hook, anchor: o.at, cause: webhook.CauseFirst, plugged: l.pluggedIn(o.at), due: never}
		if o.anchor > 0 {
			b.anchor = o.anchor
		}
		if !l.parked[o.hook] {
			b.due = b.anchor
		}
		l.subs = append(l.subs, b)
	case unsubscribe:
		l.calls++ // a reading for it may be under way
		l.subs = slices.DeleteFunc(l.subs, func(b *subscription) bool { return b.hook == o.hook })
	case disconnect:
		l.subs = nil
	case readNow:
		l.calls++
	case stop:
		l.down = true
	case start:
		l.down, l.up = false, o.at
	case disable, verify, enable:
		l.park(o)
	}
}

// park says what becomes of due times while a webhook is unverified or disabled: there are
// none, and the first delivery comes at once when it is verified or enabled.
func (l *life) park(o op) {
	l.parked[o.hook] = o.what == disable
	l.calls++ // a reading for it may be under way
	for _, b := range l.subs {
		switch {
		case b.hook != o.hook:
		case o.what == disable:
			b.due = never
		default:
			b.due, b.cause = o.at, webhook.CauseFirst
			if !b.everMade { // an anchor that was put ahead on subscribing stays
				b.anchor = max(b.anchor, o.at)
				b.due = b.anchor
			}
		}
	}
}

// waits is how long the source asked to be left alone within a reading. The time for its tries
// does not run meanwhile.
func waits(asks []ask) (all time.Duration) {
	for _, a := range asks {
		if slices.Contains(a.kinds[:], limited) && a.retry <= dueWithin {
			all += a.retry
		}
	}
	return all
}

// pluggedIn says which cadence applies at t.
func (l *life) pluggedIn(t time.Duration) bool {
	return l.known && l.in && !l.restricted && t-l.seen < unknownAfter
}

// take takes the calls of one reading, and holds that the source was asked no oftener than
// it allows.
func (l *life) take(asks []ask) {
	for _, a := range asks {
		if a.at < l.notBefore {
			l.wrong("its source was asked after %s, and had asked to be left alone until %s", a.at, l.notBefore)
		}
		for p, asked := range a.paths {
			if !asked {
				continue
			}
			if l.last[p].fresh(a.at) {
				l.wrong("path %d was asked for after %s, and was known since %s", p, a.at, l.last[p].at)
			}
			end := a.at + a.takes
			l.last[p] = word{at: end, observed: end, known: true, kind: a.kinds[p], plugged: a.plugged}
			if a.age > 0 {
				l.last[p].observed = a.at - a.age
			}
			if a.kinds[p] == limited {
				l.notBefore = max(l.notBefore, end+a.retry)
			}
		}
	}
	if n := len(asks); n > dueTries || n > 0 && asks[n-1].at > asks[0].at+dueWithin+waits(asks[:n-1]) {
		l.wrong("its source was asked %d times from %s on for one reading", n, asks[0].at)
	}
	l.reads, l.retried = l.reads+len(asks), l.retried+max(0, len(asks)-1)
}

// observe takes what the reading says of the plug, and reports whether that changed.
func (l *life) observe(v word) bool {
	if v.kind != network {
		l.restricted = truths[v.kind].restrict
	}
	if v.kind != fine {
		return false
	}
	l.seen = v.at
	switch {
	case !l.known:
		l.known, l.in, l.observed = true, v.plugged, v.observed
	case v.plugged == l.in:
		l.observed = max(l.observed, v.observed)
	case v.observed > l.observed:
		l.in, l.observed = v.plugged, v.observed
		l.changes++
		return true
	default:
		l.stale++
	}
	return false
}

// account takes what a reading without /charge says of the owner's account: a value that it
// can be read, and a fault whether it can, unless the owner kept back that path alone.
func (l *life) account(asks []ask) {
	charge, is := l.last[0], l.restricted
	for p := 1; p < len(l.last); p++ {
		if !slices.ContainsFunc(asks, func(a ask) bool { return a.paths[p] }) {
			continue
		}
		switch k := l.last[p].kind; {
		case k == fine:
			l.restricted = is && charge.kind == permission
			return
		case k == network || k == permission && charge.known && charge.kind == fine:
		default:
			l.restricted = truths[k].restrict
		}
	}
}

// commit says what comes of a reading that is committed at now.
func (l *life) commit(now time.Duration, asks []ask) {
	l.take(asks)
	news := slices.ContainsFunc(asks, func(a ask) bool { return a.paths[0] })
	changed := news && l.observe(l.last[0])
	if !news {
		l.account(asks)
	}
	in, due := l.pluggedIn(now), false
	if l.known && l.in && !l.restricted && !in {
		l.unknown++
	}
	for _, b := range l.subs {
		due = due || b.due <= now
		if b.due < never {
			l.decide(b, now, changed, in, news)
		}
	}
	if len(asks) > 0 && !due {
		if l.calls--; l.calls < 0 {
			l.wrong("it was read after %s, and nobody had asked", asks[0].at)
		}
	}
}

// decide says what comes of it for a subscription. A delivery that is due waits for the
// next reading if this one lacks a path; overdue bounds that.
func (l *life) decide(b *subscription, now time.Duration, changed, in, news bool) {
	schedules := l.hooks[b.hook].schedules
	was, is := schedules[0], schedules[0]
	if b.plugged {
		was = schedules[1]
	}
	if in {
		is = schedules[1]
	}
	d, made := l.next(b.hook, now)
	first := b.cause == webhook.CauseFirst
	if made && first && now < b.due && b.anchor < b.due { // it waited, and somebody had it read before
		b.due = now
	}
	due, inGap := b.due <= now, b.everMade && now < b.made+gap
	switch {
	case !due && !changed:
		if made {
			l.wrong("a delivery to %s after %s, and it is due after %s", l.hooks[b.hook].name, now, b.due)
		}
		if b.plugged != in && b.cause == webhook.CauseDue {
			b.plugged = in
			b.due, _ = l.follows(is, b, now)
		}
		return
	case !changed && !inGap && !made:
		if due && first && now < l.notBefore { // throttled: made when it may be
			l.collapsed[b.hook] += was.points(b.anchor, b.due, l.notBefore)
			b.due = l.notBefore
		}
		return
	}
	b.plugged = in
	at := b.due
	if due {
		l.collapsed[b.hook] += was.points(b.anchor, b.due, now)
	}
	if changed {
		b.anchor, b.cause = l.last[0].at, webhook.CauseChange
		if !due {
			at = b.anchor
		}
	}
	switch {
	case inGap:
		if made {
			l.wrong("a delivery to %s after %s, though one was made after %s", l.hooks[b.hook].name, now, b.made)
		}
		l.gapped++
		b.due = b.made + gap
		if due {
			l.collapsed[b.hook] += is.points(b.anchor, now, b.due)
		}
	case !made:
		b.due = now
	default:
		if d.Due.Sub(l.t0) != at || d.Cause != b.cause {
			l.wrong("the delivery to %s made after %s is of %s (%s), want %s (%s)", l.hooks[b.hook].name, now, d.Due.Sub(l.t0), d.Cause, at, b.cause)
		}
		l.tells(d, now, news)
		b.made, b.everMade, b.cause = now, true, webhook.CauseDue
		var pushed int
		b.due, pushed = l.follows(is, b, now)
		l.collapsed[b.hook] += pushed
	}
}

// next takes the delivery to a hook that was made at now.
func (l *life) next(hook int, now time.Duration) (d webhook.Delivery, made bool) {
	if rest := l.made[hook]; len(rest) > 0 && rest[0].CreatedAt.Sub(l.t0) == now {
		l.made[hook] = rest[1:]
		return rest[0], true
	}
	return d, false
}

// follows is the point after now, or the end of the gap after the last delivery, which
// then stands for every point until it; how many beyond one is the second result.
func (l *life) follows(g schedule, b *subscription, now time.Duration) (time.Duration, int) {
	p := g.after(b.anchor, now)
	if end := b.made + gap; b.everMade && p < end {
		l.gapped++
		return end, g.points(b.anchor, p, end)
	}
	return p, 0
}

// tells holds what a payload tells of the plug, and of its age, against the last answer.
func (l *life) tells(d webhook.Delivery, now time.Duration, news bool) {
	told, arrived := l.told[d.ID]
	switch {
	case !arrived: // cancelled, or dead
	case !news && l.notBefore > now && told.text == "429":
		l.held++
	case told != l.last[0].charge() || !news && now-l.last[0].at > freshness+latest:
		l.wrong("the delivery made after %s tells %+v, want %+v", now, told, l.last[0].charge())
	}
}

// tellings reads what each payload that arrived tells of the plug.
func (w *world) tellings() map[uuid.UUID]charge {
	all := map[uuid.UUID]charge{}
	for _, m := range w.receiver.Messages() {
		var p struct {
			Payload struct {
				Vehicles []struct {
					Data []struct {
						Path    string
						Headers struct {
							Fetched  time.Time `json:"sc-fetched-at"`
							Observed time.Time `json:"sc-data-age"`
						}
					}
				}
			}
		}
		if m.Event == "verify" {
			continue
		}
		w.must(json.Unmarshal(m.Body, &p))
		for _, d := range p.Payload.Vehicles[0].Data {
			if d.Path != "/charge" {
				continue
			}
			c := charge{text: m.Plugged}
			if h := d.Headers; !h.Fetched.IsZero() {
				c.fetched, c.observed = h.Fetched.Sub(w.t0), h.Fetched.Sub(w.t0)
				if !h.Observed.IsZero() {
					c.observed = h.Observed.Sub(w.t0)
				}
			}
			all[uuid.MustParse(m.ID)] = c
		}
	}
	return all
}
