// Package year holds a year of ten vehicles in fake time: the real store, the real scheduler
// and the real delivery loop between sources that fail and receivers that go out.
//
//   - cadence_test.go is the model of the cadence, held against every reading and delivery.
//   - sending_test.go holds the rules of sending at every request.
//   - year_test.go holds what must come of it: ledgers, counters, what the receiver has.
//   - story_test.go, sources_test.go and receivers_test.go draw what happens, from the seed.
//
// docs/dev/proofs.md says what that proves.
package year

import (
	"bytes"
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
	for id, l := range w.dispatcher.Queues() {
		if l.Waiting > 0 || l.InFlight > 0 {
			x.f("%s: %d waiting and %d in flight though every receiver is well: %+v", w.hooks[w.index[id]].name, l.Waiting, l.InFlight, l)
		}
	}
	w.rest()
	made := w.deliveries(ctx)
	w.made = made
	total := w.checkCadence(x, made)
	w.checkReads(ctx, x)
	w.checkLedgers(ctx, x, made)
	fared := w.checkReceiver(x, made)
	left := ""
	for _, l := range w.lines {
		left += fmt.Sprintf("%s: %d requests, %d challenges, %d probes, %d times closed, %d disabled\n", l.name, l.requests, l.challenges, l.probes, l.closings, l.disablings)
	}
	problems, err := w.store.Maintenance.Check(ctx)
	w.must(err)
	for _, p := range problems {
		x.f("check: %s", p)
	}
	info, err := w.store.Maintenance.Info(ctx)
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
	w.t.Logf("\n%s\n%s\n%sfile %.1f MiB; webhooks %d times disabled, %d healed; breakers %d times opened, %d closed, %d probes failed", total, fared, left, float64(info.FileBytes)/(1<<20),
		w.log.count["webhook.disabled"], w.log.count["webhook.healed"], w.log.count["webhook.opened"], w.log.count["webhook.closed"], w.log.count["webhook.probe_failed"])
}

// deliveries returns every delivery in the order of ids.
func (w *world) deliveries(ctx context.Context) []webhook.Delivery {
	var all []webhook.Delivery
	for before := uuid.Nil; ; {
		page, err := w.store.Deliveries.Deliveries(ctx, webhook.DeliveryFilter{}, before, 1000)
		w.must(err)
		if len(page) == 0 {
			slices.Reverse(all)
			return all
		}
		all = append(all, page...)
		before = page[len(page)-1].ID
	}
}

// checkCadence holds each vehicle's life against the model.
func (w *world) checkCadence(x *wrong, made []webhook.Delivery) string {
	w.told = w.tellings()
	var total tally
	collapsed := make([]int, len(w.hooks))
	for _, c := range w.fleet {
		l := &life{world: w, x: x, c: c, made: map[int][]webhook.Delivery{}, collapsed: make([]int, len(w.hooks)), parked: map[int]bool{late: true}}
		for _, o := range w.ops {
			if o.vehicle == c || o.vehicle == nil {
				l.ops = append(l.ops, o)
			}
		}
		for _, d := range made {
			if h := w.index[d.Webhook]; d.Vehicle == c.id {
				l.made[h] = append(l.made[h], d)
			}
		}
		l.follow()
		total.add(l.tally)
		for h, n := range l.collapsed {
			collapsed[h] += n
		}
	}
	for h, id := range w.ids {
		hook, err := w.store.Webhooks.Webhook(w.t.Context(), id)
		w.must(err)
		if f := hook.DueTimes; int(f.Collapsed) != collapsed[h] || f.Skipped != 0 { //nolint:gosec // small
			x.f("%s: %d due times collapsed, want %d; %d skipped", hook.Name, f.Collapsed, collapsed[h], f.Skipped)
		}
	}
	if long := w.end*time.Duration(len(w.fleet)) > 500*24*time.Hour; long && len(w.downs) > 0 &&
		(total.changes == 0 || total.stale == 0 || total.gapped == 0 || total.held == 0 || total.retried == 0 || total.cutOff == 0 || total.unknown == 0 || len(w.cut) == 0) {
		x.f("the story held nothing to test: %+v", total)
	}
	return fmt.Sprintf("%d vehicles, %d webhooks, %d restarts; %d deliveries, due times collapsed by webhook %v\nin it were %+v",
		len(w.fleet), len(w.hooks), len(w.downs), len(made), collapsed, total)
}

func (t *tally) add(o tally) {
	t.reads, t.changes, t.stale, t.gapped = t.reads+o.reads, t.changes+o.changes, t.stale+o.stale, t.gapped+o.gapped
	t.held, t.retried, t.cutOff, t.unknown = t.held+o.held, t.retried+o.retried, t.cutOff+o.cutOff, t.unknown+o.unknown
}

// checkReads compares the counters of reads, which survive restarts, with what the
// sources saw.
func (w *world) checkReads(ctx context.Context, x *wrong) {
	for _, c := range w.fleet {
		st, err := w.store.Vehicles.VehicleStatus(ctx, c.id)
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
		hook, err := w.store.Webhooks.Webhook(ctx, id)
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

type pair struct {
	hook    int
	vehicle uuid.UUID
}

// checkReceiver holds what the receivers took against what is noted as delivered.
func (w *world) checkReceiver(x *wrong, made []webhook.Delivery) string {
	accepted := w.receiver.Accepted()
	delivered, dead, twice, overtaken, poisoned := 0, 0, 0, 0, len(w.poisoned)
	arrived := map[string]time.Time{}
	newest, late, reached := map[pair]uuid.UUID{}, map[string]bool{}, map[string]int{}
	for _, m := range w.receiver.Messages() {
		if m.Event == "verify" {
			continue
		}
		if !m.Smartcar || !m.Standard {
			x.f("message %s: a signature is wrong", m.ID)
		}
		reached[m.ID]++
		if m.Status >= 300 {
			continue
		}
		p := pair{w.index[uuid.MustParse(m.Webhook)], uuid.MustParse(m.Vehicle)}
		id := uuid.MustParse(m.ID)
		if last := newest[p]; bytes.Compare(id[:], last[:]) <= 0 {
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
				if reached[id] < 2 {
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
