// Package year holds a year of ten vehicles in fake time: the real store, the real
// scheduler and the real delivery loop between sources that fail and receivers
// that go out, held against a model that knows nothing but the story. It prints
// what it simulated; docs/dev/proofs.md says what that proves.
package year

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/store"
	"plugbeat/webhook"
)

var (
	seed     = flag.Uint64("seed", 1, "the `number` that the story is drawn from")
	days     = flag.Int("days", 4, "how many `days` to simulate, at least 3")
	vehicles = flag.Int("vehicles", 10, "the `number` of vehicles, at least 10")
)

// Every delivery is made at the moment the cadence says, exactly one a due time;
// every due time is produced or collapsed and counted; and every delivery reaches a
// final state that the receiver agrees with.
func TestYear(t *testing.T) {
	began := time.Now()
	n := max(*days, 3)
	vehicles := max(*vehicles, 10)
	synctest.Test(t, func(t *testing.T) {
		s := newStory(*seed, n, vehicles)
		w := newWorld(t, s)
		w.live()
		w.check()
	})
	t.Logf("seed %d, %d days of %d vehicles in %s", *seed, n, vehicles, time.Since(began).Round(100*time.Millisecond))
}

// wrong reports what is wrong, but not all of it.
type wrong struct {
	*testing.T
	n int
}

func (x *wrong) f(format string, args ...any) {
	x.Helper()
	if x.n++; x.n <= 20 {
		x.Errorf(format, args...)
	} else if x.n == 21 {
		x.Error("and more")
	}
	x.Fail()
}

func (w *world) check() {
	ctx := w.t.Context()
	x := &wrong{T: w.t}
	for _, l := range w.dispatcher.Queues() {
		if l.Waiting+l.InFlight > 0 {
			x.f("%s: %d waiting and %d in flight though every receiver is well: %+v", w.hooks[w.index[l.Webhook]].name, l.Waiting, l.InFlight, l)
		}
	}
	w.rest()
	made := w.deliveries(ctx)
	w.made = made
	total := w.checkCadence(x, made)
	w.checkReads(ctx, x)
	w.checkLedgers(ctx, x, made)
	fared := w.checkReceiver(x, made)
	left := w.checkMoments(x, made)
	problems, err := w.store.Check(ctx)
	w.must(err)
	for _, p := range problems {
		x.f("check: %s", p)
	}
	info, err := w.store.Info(ctx)
	w.must(err)
	w.down()
	if offline, err := store.CheckFile(w.path); err != nil || len(offline) > 0 {
		x.f("offline check: %v %v", err, offline)
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	for _, line := range w.log.wrong {
		x.f("logged: %s", line)
	}
	if off, healed := w.log.count["webhook.disabled"], w.log.count["webhook.healed"]; off != w.off || healed != w.heals {
		x.f("webhooks were disabled %d times and healed %d times, want %d and %d", off, healed, w.off, w.heals)
	}
	w.t.Logf("\n%s\n%s\n%s\nfile %.1f MiB; webhooks %d times disabled, %d healed; breakers %d times opened, %d closed, %d probes failed", total, fared, left, float64(info.FileBytes)/(1<<20),
		w.log.count["webhook.disabled"], w.log.count["webhook.healed"], w.log.count["webhook.opened"], w.log.count["webhook.closed"], w.log.count["webhook.probe_failed"])
}

// deliveries returns every delivery in the order of ids.
func (w *world) deliveries(ctx context.Context) []webhook.Delivery {
	var all []webhook.Delivery
	for before := uuid.Nil; ; {
		page, err := w.store.Deliveries(ctx, webhook.DeliveryFilter{}, before, 1000)
		w.must(err)
		if len(page) == 0 {
			slices.Reverse(all)
			return all
		}
		all = append(all, page...)
		before = page[len(page)-1].ID
	}
}

type pair struct {
	hook    int
	vehicle uuid.UUID
}

// checkCadence compares each subscription's deliveries with the model's due times.
func (w *world) checkCadence(x *wrong, made []webhook.Delivery) string {
	got := map[pair][]webhook.Delivery{}
	for _, d := range made {
		p := pair{w.index[d.Webhook], d.Vehicle}
		got[p] = append(got[p], d)
	}
	charge := map[string]string{}
	for _, m := range w.receiver.Messages() {
		charge[m.ID] = m.Plugged
	}
	var total tally
	due, collapsed, asks := 0, make([]int, len(w.hooks)), 0
	for _, c := range w.fleet {
		e := w.expect(c)
		e.asks = slices.DeleteFunc(e.asks, func(a ask) bool { return a.at >= w.end }) // tries that the end left out
		total.add(e.tally)
		asks += len(e.asks)
		if !slices.Equal(w.asks[c.id], e.asks) {
			i := 0
			for i < min(len(e.asks), len(w.asks[c.id])) && e.asks[i] == w.asks[c.id][i] {
				i++
			}
			x.f("vehicle %d: its source was asked %d times, want %d; from call %d on: %v, want %v", c.n, len(w.asks[c.id]), len(e.asks), i,
				w.asks[c.id][i:min(i+3, len(w.asks[c.id]))], e.asks[i:min(i+3, len(e.asks))])
		}
		for h := range w.hooks {
			collapsed[h] += e.collapsed[h]
			due += len(e.wanted[h])
			have := got[pair{h, c.id}]
			if len(have) != len(e.wanted[h]) {
				x.f("vehicle %d on %s: %d deliveries, want %d", c.n, w.hooks[h].name, len(have), len(e.wanted[h]))
			}
			for i := range min(len(have), len(e.wanted[h])) {
				want := e.wanted[h][i]
				d := wanted{have[i].Due.Sub(w.t0), have[i].CreatedAt.Sub(w.t0), cause(have[i].Cause.String()), want.charge}
				if told := charge[have[i].ID.String()]; told != "" {
					d.charge = told
				}
				if d != want {
					x.f("vehicle %d on %s, delivery %d: %+v, want %+v", c.n, w.hooks[h].name, i, d, want)
					break
				}
				if i > 0 && have[i].CreatedAt.Sub(have[i-1].CreatedAt) < gap {
					x.f("vehicle %d on %s, delivery %d: %s after the one before", c.n, w.hooks[h].name, i, have[i].CreatedAt.Sub(have[i-1].CreatedAt))
				}
			}
		}
	}
	for h, id := range w.ids {
		hook, err := w.store.Webhook(w.t.Context(), id)
		w.must(err)
		if f := hook.DueTimes; int(f.Collapsed) != collapsed[h] || f.Skipped != 0 { //nolint:gosec // small
			x.f("%s: %d due times collapsed, want %d; %d skipped", hook.Name, f.Collapsed, collapsed[h], f.Skipped)
		}
	}
	if due != len(made) {
		x.f("%d deliveries, want %d", len(made), due)
	}
	if w.end*time.Duration(len(w.fleet)) > 500*24*time.Hour && len(w.downs) > 0 && (total.changes == 0 || total.stale == 0 || total.gapped == 0 || total.held == 0 || total.retried == 0 || total.cut == 0 || len(w.cut) == 0) {
		x.f("the story held nothing to test: %+v", total)
	}
	return fmt.Sprintf("%d vehicles, %d webhooks, %d restarts\n%d calls of sources, %d deliveries, due times collapsed by webhook %v\nin it were %+v",
		len(w.fleet), len(w.hooks), len(w.downs), asks, due, collapsed, total)
}

func (t *tally) add(o tally) {
	t.changes, t.stale, t.gapped, t.held = t.changes+o.changes, t.stale+o.stale, t.gapped+o.gapped, t.held+o.held
	t.retried, t.cut, t.unknown = t.retried+o.retried, t.cut+o.cut, t.unknown+o.unknown
}

// checkReads compares the counters of reads, which survive restarts, with what the
// sources saw.
func (w *world) checkReads(ctx context.Context, x *wrong) {
	for _, c := range w.fleet {
		st, err := w.store.VehicleStatus(ctx, c.id)
		if errors.Is(err, webhook.ErrNotFound) && c.n == w.gone() {
			continue // disconnected: nothing is kept
		}
		w.must(err)
		paths := 0
		for _, a := range w.asks[c.id] {
			for _, p := range a.paths {
				if p {
					paths++
				}
			}
		}
		if int(st.Reads) != len(w.asks[c.id]) || int(st.PathReads) != paths { //nolint:gosec // small
			x.f("vehicle %d: %d reads of %d paths are counted, the source saw %d of %d", c.n, st.Reads, st.PathReads, len(w.asks[c.id]), paths)
		}
	}
}

// checkLedgers holds each webhook's ledger against its deliveries.
func (w *world) checkLedgers(ctx context.Context, x *wrong, made []webhook.Delivery) {
	for _, id := range w.ids {
		hook, err := w.store.Webhook(ctx, id)
		w.must(err)
		var want webhook.Ledger
		for _, d := range made {
			if d.Webhook != id {
				continue
			}
			want.Count(webhook.Waiting)
			if d.State.Final() {
				want.Count(d.State)
			}
		}
		l := hook.Ledger
		if l != want || l.Waiting() != 0 || l.Expired+l.Superseded != 0 || l.Produced != hook.DueTimes.Produced {
			x.f("%s: ledger %+v, its deliveries are %+v, %d due times produced", hook.Name, l, want, hook.DueTimes.Produced)
		}
		if hook.Status != webhook.Active || hook.Breaker.Open() {
			x.f("%s: %s %s, %+v though its receiver is well", hook.Name, hook.Status, hook.Reason, hook.Breaker)
		}
	}
}

// checkReceiver holds what the receivers took against what is noted as delivered.
func (w *world) checkReceiver(x *wrong, made []webhook.Delivery) string {
	accepted := w.receiver.Accepted()
	delivered, dead, twice, overtaken, poisoned := 0, 0, 0, 0, len(w.poisoned)
	arrived := map[string]time.Time{}
	newest, late := map[pair]uuid.UUID{}, map[string]bool{}
	for _, m := range w.receiver.Messages() {
		if m.Event == "verify" {
			continue
		}
		if !m.Smartcar || !m.Standard {
			x.f("message %s: a signature is wrong", m.ID)
		}
		if m.Status >= 300 {
			continue
		}
		p := pair{w.index[uuid.MustParse(m.Webhook)], uuid.MustParse(m.Vehicle)}
		id := uuid.MustParse(m.ID)
		if !after(id, newest[p]) {
			late[m.ID] = true
		} else {
			newest[p] = id
		}
		if _, known := arrived[m.ID]; !known {
			arrived[m.ID] = m.At
		}
	}
	for _, d := range made {
		h := &w.hooks[w.index[d.Webhook]]
		id := d.ID.String()
		switch d.State {
		case webhook.Delivered:
			delivered++
			if accepted[id] == 0 {
				x.f("%s is delivered and was never taken", id)
			}
			if accepted[id] > 1 {
				twice++
			}
			// An attempt that the stop cut off is made again, and is not counted.
			if w.cut[id] && (accepted[id] != 2 || d.Attempts != 1) {
				x.f("%s was cut off; it was taken %d times, in %d attempts", id, accepted[id], d.Attempts)
			}
			if late[id] && accepted[id] == 1 {
				overtaken++
				// A delivery that no receiver has seen keeps its place.
				if how, bad := h.outage(d.FirstAttemptAt.Sub(w.t0)); d.Attempts == 1 || !bad || how == refused {
					x.f("%s to %s was taken after a later one of its vehicle, in %d attempts from %s on", id, h.name, d.Attempts, d.FirstAttemptAt.Sub(w.t0))
				}
			}
			at := d.CreatedAt.Sub(w.t0)
			if n := accepted[id]; n > 1 && w.calm(h, at) {
				x.f("%s, made after %s, was taken %d times", id, at, n)
			}
			if late := arrived[id].Sub(d.CreatedAt); late != 0 && w.calm(h, at) {
				x.f("%s to %s, made after %s, arrived %s late", id, h.name, at, late)
			}
		case webhook.Dead:
			delete(accepted, id) // its answer came too late
			if w.poisoned[id] {
				dead++
			} else if how, bad := h.outage(d.FirstAttemptAt.Sub(w.t0)); !bad || how != erratic {
				x.f("%s is dead and was not poisoned: %s", id, d.FinalText)
			}
		case webhook.Cancelled:
			if d.Vehicle != w.fleet[w.gone()].id {
				x.f("%s is cancelled: %s", id, d.FinalText)
			}
			delete(accepted, id) // it was taken too late to be noted
			if w.poisoned[id] {
				poisoned--
			}
		}
	}
	if len(accepted) != delivered || dead != poisoned {
		x.f("%d taken, %d delivered; %d poisoned, %d dead", len(accepted), delivered, poisoned, dead)
	}
	return fmt.Sprintf("%d delivered, %d of them taken more than once, %d after a later one of the vehicle, %d cut off, %d dead, %d messages", delivered, twice, overtaken, len(w.cut), dead, len(w.receiver.Messages()))
}
