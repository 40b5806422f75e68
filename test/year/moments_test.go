package year

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/store"
	"plugbeat/webhook"
)

// This file holds what left, and what became of each circuit breaker, against
// breakerModel, moment by moment. Where several attempts end at one moment, the store
// says which was committed first, and what leaves then may have left before or after.

// request is one that left, a challenge where delivery is nil.
type request struct {
	at       time.Duration
	delivery uuid.UUID
}

// commit is a change of a webhook by package delivery: an attempt's outcome, or, where
// delivery is nil, a challenge's answer or the operator's wish.
type commit struct {
	at       time.Duration
	seq      uint64 // of the webhook, which orders its commits
	delivery uuid.UUID
}

// transition is a change of a circuit breaker, by its log event.
type transition struct {
	at   time.Duration
	hook uuid.UUID
	name string
}

// watched is the store, and notes the commits that package delivery makes.
type watched struct {
	*store.Store
	w *world
}

func (s watched) Settle(ctx context.Context, hook, delivery uuid.UUID, a webhook.Attempt,
	settle func(webhook.Webhook, webhook.Delivery) (webhook.Webhook, webhook.Delivery, error),
) (webhook.Webhook, webhook.Delivery, error) {
	x, d, err := s.Store.Settle(ctx, hook, delivery, a, settle)
	if err == nil {
		s.note(x, delivery)
	}
	return x, d, err
}

func (s watched) UpdateWebhook(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) error) (webhook.Webhook, error) {
	x, err := s.Store.UpdateWebhook(ctx, id, change)
	if err == nil {
		s.note(x, uuid.Nil)
	}
	return x, err
}

func (s watched) note(x webhook.Webhook, delivery uuid.UUID) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	h := s.w.index[x.ID]
	s.w.commits[h] = append(s.w.commits[h], commit{s.w.since(), x.Seq, delivery})
}

// receives is what hook h's receiver makes of a request that leaves at t, and how long it
// takes.
func (w *world) receives(h int, t time.Duration, delivery, vehicle uuid.UUID) (result, time.Duration) {
	how, bad := w.hooks[h].outage(t)
	switch {
	case bad && how == refused:
		return absent, 0
	case w.poisoned[delivery.String()]:
		return refusal, 0
	case !bad:
		return taken, 0
	case how == broken:
		return failure, 0
	case how == throttled:
		return busy, 0
	case how == slow:
		return silent, timeout
	case how == erratic:
		return fares(t, vehicle)
	}
	return taken, 12 * time.Second
}

// player plays a webhook's life: the story goes into the model, and what happened
// must be what the model lets happen and wants to happen.
type player struct {
	*breakerModel
	made     []*waiting // to come, as are all of these
	ops      []op
	downs    []down
	requests []request
	commits  []commit
	cut      time.Duration // when a stop cuts off what is under way

	sent, asked, ordered int
}

// checkMoments plays each webhook's life.
func (w *world) checkMoments(x *wrong, made []webhook.Delivery) string {
	sent, asked, transitions, ordered := 0, 0, 0, 0
	for h, id := range w.ids {
		p := w.player(h, made)
		if err := p.play(w.end); err != nil {
			x.f("%s after %s: %v; its outages: %v", w.hooks[h].name, p.now, err, w.hooks[h].outages)
			continue
		}
		for _, d := range made {
			at := d.FinishedAt.Sub(w.t0)
			if d.Webhook != id || d.State == webhook.Cancelled {
				continue
			}
			if p.finished[d.ID] != at || p.dead[d.ID] != (d.State == webhook.Dead) {
				x.f("%s is %s after %s, want it finished after %s, dead %v", d.ID, d.State, at, p.finished[d.ID], p.dead[d.ID])
			}
		}
		have := slices.DeleteFunc(slices.Clone(w.log.transitions), func(t transition) bool { return t.hook != id })
		for _, ts := range [][]transition{have, p.told} {
			slices.SortFunc(ts, func(a, b transition) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.name, b.name)) })
		}
		if !slices.Equal(have, p.told) {
			i := 0
			for i < min(len(have), len(p.told)) && have[i] == p.told[i] {
				i++
			}
			x.f("%s: transition %d on: have %v, want %v", w.hooks[h].name, i,
				have[i:min(i+3, len(have))], p.told[i:min(i+3, len(p.told))])
		}
		sent, asked, transitions, ordered = sent+p.sent, asked+p.asked, transitions+len(p.told), ordered+p.ordered
	}
	return fmt.Sprintf("%d requests and %d challenges left at the model's moment, none is held to bounds; "+
		"so did %d transitions of breakers; in %d moments the store told the order of outcomes",
		sent, asked, transitions, ordered)
}

func (w *world) player(h int, made []webhook.Delivery) *player {
	p := &player{commits: w.commits[h], downs: w.downs, cut: never, breakerModel: &breakerModel{
		id: w.ids[h], now: -1, lastSuccess: -time.Hour, backlogAt: -1, challenge: never, asking: never,
		receiver: func(at time.Duration, d *waiting) (result, time.Duration) { return w.receives(h, at, d.id, d.vehicle) },
		freed:    map[uuid.UUID]time.Duration{}, finished: map[uuid.UUID]time.Duration{}, dead: map[uuid.UUID]bool{},
	}}
	slices.SortFunc(p.commits, func(a, b commit) int { return cmp.Compare(a.seq, b.seq) })
	known := map[uuid.UUID]bool{}
	for _, d := range made {
		if d.Webhook != p.id {
			continue
		}
		known[d.ID] = true
		x := &waiting{id: d.ID, vehicle: d.Vehicle, made: d.CreatedAt.Sub(w.t0), cancelled: never}
		if d.State == webhook.Cancelled {
			x.cancelled = d.FinishedAt.Sub(w.t0)
		}
		p.made = append(p.made, x)
	}
	if h != late {
		p.ops = append(p.ops, op{what: verify})
	}
	for _, o := range w.ops {
		if o.what == stop || o.what == start || o.hook == h && (o.what == verify || o.what == disable || o.what == enable) {
			p.ops = append(p.ops, o)
		}
	}
	for _, r := range w.requests[h] {
		if !known[r.delivery] {
			r.delivery = uuid.Nil
		}
		wished := slices.ContainsFunc(p.ops, func(o op) bool { return o.at == r.at && (o.what == verify || o.what == enable) })
		if r.delivery != uuid.Nil || !wished {
			p.requests = append(p.requests, r)
		}
	}
	return p
}

func (p *player) play(end time.Duration) error {
	for {
		if p.now = p.next(); p.now >= end {
			if len(p.requests)+len(p.commits) > 0 {
				return fmt.Errorf("%d requests and %d commits that nothing calls for", len(p.requests), len(p.commits))
			}
			return nil
		}
		if err := p.moment(); err != nil {
			return err
		}
	}
}

// next is the next moment at which something may happen.
func (p *player) next() time.Duration {
	moments := []time.Duration{p.nextProbe, p.nextProbe + idleStep, p.notBefore, p.hold, p.pace, p.challenge, p.asking}
	for _, f := range p.flying {
		moments = append(moments, f.end)
	}
	for _, d := range p.waits {
		moments = append(moments, d.cancelled, d.retryAt)
	}
	if len(p.made) > 0 {
		moments = append(moments, p.made[0].made)
	}
	if len(p.ops) > 0 {
		moments = append(moments, p.ops[0].at)
	}
	if len(p.requests) > 0 {
		moments = append(moments, p.requests[0].at)
	}
	if len(p.commits) > 0 {
		moments = append(moments, p.commits[0].at)
	}
	next := never
	for _, at := range moments {
		if at > p.now {
			next = min(next, at)
		}
	}
	return next
}

// moment plays what happens now. What left may have left before or after what was
// committed at the same moment.
func (p *player) moment() error {
	p.departed = nil
	for _, f := range slices.Clone(p.flying) {
		if f.cancelled <= p.now && f.end <= p.now {
			p.land(f) // its outcome is not committed
		}
	}
	p.waits = slices.DeleteFunc(p.waits, func(d *waiting) bool { return d.cancelled <= p.now })
	for ; len(p.made) > 0 && p.made[0].made == p.now; p.made = p.made[1:] {
		p.waits = append(p.waits, p.made[0])
	}
	for ; len(p.ops) > 0 && p.ops[0].at == p.now && (p.ops[0].what == stop || p.ops[0].what == start); p.ops = p.ops[1:] {
		p.restart(p.ops[0].what)
	}
	before, outcomes := p.state, len(p.commits)
	for ; len(p.requests) > 0 && p.requests[0].at == p.now; p.requests = p.requests[1:] {
		id := p.requests[0].delivery
		for !p.request(id) {
			if len(p.commits) == 0 || p.commits[0].at > p.now {
				return fmt.Errorf("%s left, which may not; due is %v", id, p.due())
			}
			if err := p.commit(); err != nil {
				return fmt.Errorf("%s left, which may not; due is %v; %w", id, p.due(), err)
			}
		}
	}
	for len(p.commits) > 0 && p.commits[0].at == p.now {
		if err := p.commit(); err != nil {
			return err
		}
	}
	if outcomes-len(p.commits) > 1 && (before != closed || p.state != closed) {
		p.ordered++
	}
	return p.missing()
}

// restart stops the webhook, or starts it: what was cut off is made again, what waits
// is a backlog, and an open breaker's probe may be one that was interrupted.
func (p *player) restart(what deed) {
	if p.stopped = what == stop; p.stopped {
		p.cut, p.downs = p.now+p.downs[0].drain(), p.downs[1:]
		return
	}
	p.flying, p.cut, p.asking, p.pace = nil, never, never, 0
	p.measureBacklog()
	if p.state == open || p.owed {
		p.hold = p.now + 10*time.Second
	}
}

// request has a delivery, or a challenge, leave if the rules let it.
func (p *player) request(id uuid.UUID) bool {
	i := slices.IndexFunc(p.waits, func(d *waiting) bool { return d.id == id })
	switch {
	case id == uuid.Nil && p.challengeDue():
		p.ask()
		p.asked++
		return true
	case i >= 0 && p.leave(p.waits[i]):
		p.sent++
		return true
	}
	return false
}

// commit takes in what was committed next at this moment.
func (p *player) commit() error {
	c := p.commits[0]
	p.commits = p.commits[1:]
	i := slices.IndexFunc(p.flying, func(f *flight) bool { return f.id == c.delivery && f.end == p.now && f.cancelled > p.now })
	switch {
	case i >= 0:
		p.settle(p.flying[i])
	case c.delivery != uuid.Nil:
		return fmt.Errorf("an outcome of %s is committed, which has none now", c.delivery)
	case len(p.ops) > 0 && p.ops[0].at == p.now:
		p.wish(p.ops[0].what)
		p.ops = p.ops[1:]
	case p.asking == p.now:
		p.answered()
	default:
		return errors.New("a change of the webhook is committed that nothing calls for")
	}
	return nil
}

// wish is the operator's. Enabling owes a probe.
func (p *player) wish(what deed) {
	switch what {
	case disable:
		p.breaker = breaker{}
	case enable:
		p.breaker = breaker{state: open, opening: p.now, owed: true}
	default:
		p.close()
	}
	p.plan()
}

// missing tells what should have happened by the end of this moment.
func (p *player) missing() error {
	for _, f := range p.flying {
		if f.end <= min(p.now, p.cut) && f.cancelled > p.now {
			return fmt.Errorf("the outcome of %s, which left at %s, was not committed", f.waiting, f.left)
		}
	}
	switch d := p.due(); {
	case p.asking <= min(p.now, p.cut):
		return errors.New("the answer to a challenge was not committed")
	case p.challengeDue():
		return errors.New("a challenge should have left")
	case d != nil:
		return fmt.Errorf("%s should have left", d)
	case p.state != closed:
		return nil
	}
	heads, _ := p.heads()
	for _, d := range heads {
		for _, f := range p.departed {
			if d.made < p.now && p.freed[d.vehicle] < p.now && (f.retry || after(f.id, d.id)) {
				return fmt.Errorf("%s left before %s", f.waiting, d)
			}
		}
	}
	return nil
}
