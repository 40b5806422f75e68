package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// hooks is how many webhooks share the load. Each has at most 8 requests in flight,
// so there are as many as a busy fleet operator's platform would have, not as few as
// fit one.
const hooks = 32

// connections of the bare client and of the loop: those that plugbeat may have.
const connections = hooks * 8

// throughput is how many deliveries a second plugbeat picks, reads, composes,
// stores, sends and finishes when more are due than it can deliver, against the
// bare client and the bare loop.
func (b *bench) throughput(ctx context.Context, t *table) error {
	vehicles, spell := 1250*hooks, 5*time.Second
	if b.quick {
		vehicles, spell = 10*hooks, 300*time.Millisecond
	}
	var bare, loop, rate, share, ofLoop, cpu, written, group []float64
	for range b.rounds {
		if err := b.forget(ctx); err != nil {
			return err
		}
		// Fewer connections make the bare client faster, so it has its choice.
		best := 0.0
		for _, c := range []int{32, connections} {
			r, err := b.bare(ctx, c, spell)
			if err != nil {
				return fmt.Errorf("bare client: %w", err)
			}
			best = max(best, r)
		}
		l, err := b.durable(ctx, connections, spell)
		if err != nil {
			return fmt.Errorf("bare loop: %w", err)
		}
		d, err := b.burst(ctx, vehicles)
		if err != nil {
			return err
		}
		note("bare %.0f/s, loop %.0f/s, plugbeat %.0f/s: %.0f µs of CPU a delivery, %.0f operations a commit", best, l, d.rate, d.cpu, d.group)
		bare, loop, rate = append(bare, best), append(loop, l), append(rate, d.rate)
		share, ofLoop = append(share, d.rate/best), append(ofLoop, d.rate/l)
		cpu, written, group = append(cpu, d.cpu), append(written, d.written), append(group, d.group)
	}
	t.add("throughput", "(a) bare client, no persistence", perSecond(median(bare)), "", "")
	t.add("", "bbolt loop: accept, sync, send, sync", perSecond(median(loop)), "", ratio(median(loop)/median(bare))+" of (a)")
	t.add("", "(b) plugbeat, everything durable", perSecond(median(rate)), "",
		fmt.Sprintf("%d deliveries of as many vehicles on %d webhooks, due at once", vehicles, hooks))
	t.add("", "**b / a**", "**"+ratio(median(share))+"**", "0.2", spread(share)+"; "+ratio(median(ofLoop))+" of the bbolt loop")
	t.add("", "plugbeat's CPU a delivery", fmt.Sprintf("%.0f µs", median(cpu)), "", "")
	t.add("", "operations that one commit takes", fmt.Sprintf("%.0f", median(group)), "", "two for each delivery; at most 256 a commit")
	t.add("", "bytes written a delivery, under load", bytesText(median(written)), "", "")
	return nil
}

// burst is what came of a load that was due at once.
type burst struct {
	rate    float64 // deliveries a second, from due to finished
	cpu     float64 // microseconds a delivery
	written float64 // bytes a delivery
	group   float64 // operations a commit
}

func (b *bench) burst(ctx context.Context, vehicles int) (burst, error) {
	f, err := b.folder("throughput", vehicles)
	if err != nil {
		return burst{}, err
	}
	defer f.remove()
	var due time.Time
	err = f.fill(ctx, func(x *filler) error {
		var ids [hooks]uuid.UUID
		for i := range ids {
			if ids[i], err = x.webhook(ctx, "hook-"+strconv.Itoa(i), b.receiver.hook(i, 0)); err != nil {
				return err
			}
		}
		due = time.Now().Add(b.lead(vehicles))
		return each(vehicles, func(i int) error { return x.subscribe(ctx, ids[i%hooks], i, due) })
	})
	if err != nil {
		return burst{}, err
	}
	if err := b.forget(ctx); err != nil {
		return burst{}, err
	}
	d, err := f.serve(ctx)
	if err != nil {
		return burst{}, err
	}
	defer d.kill()
	if err := d.waits(ctx, due); err != nil {
		return burst{}, err
	}
	was, err := d.client.Status(ctx)
	if err != nil {
		return burst{}, err
	}
	before, err := d.usage()
	if err != nil {
		return burst{}, err
	}
	if err := b.receiver.await(ctx, vehicles, 5*time.Minute); err != nil {
		return burst{}, err
	}
	if err := d.delivered(ctx, uint64(vehicles), time.Minute); err != nil { //nolint:gosec // not negative
		return burst{}, err
	}
	took := time.Since(due)
	after, err := d.usage()
	if err != nil {
		return burst{}, err
	}
	is, err := d.client.Status(ctx)
	if err != nil {
		return burst{}, err
	}
	if err := d.stop(); err != nil {
		return burst{}, err
	}
	if err := b.once(ctx, vehicles); err != nil {
		return burst{}, err
	}
	n := float64(vehicles)
	return burst{
		rate: n / took.Seconds(), cpu: float64((after.cpu - before.cpu).Microseconds()) / n,
		written: float64(after.written-before.written) / n,
		group:   float64(is.Store.Operations-was.Store.Operations) / float64(is.Store.Commits-was.Store.Commits),
	}, nil
}

// lead is how long before the load the daemon's folder is being filled and the
// daemon started.
func (b *bench) lead(due int) time.Duration {
	if b.quick {
		return 1500 * time.Millisecond
	}
	return 3*time.Second + time.Duration(due)*500*time.Microsecond
}

// waits returns shortly before due, when the daemon is ready and at rest.
func (d *daemon) waits(ctx context.Context, due time.Time) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	left := time.Until(due) - 500*time.Millisecond
	if left < 0 {
		return fmt.Errorf("the daemon was ready only %v before the load was due", left+500*time.Millisecond)
	}
	return sleep(ctx, left)
}

// forget empties the receiver's list.
func (b *bench) forget(ctx context.Context) error {
	_, err := b.receiver.tell(ctx, "forget")
	return err
}

// once holds what arrived to n deliveries, none of them twice.
func (b *bench) once(ctx context.Context, n int) error {
	as, err := b.receiver.arrivals(ctx)
	if err != nil {
		return err
	}
	seen := map[uuid.UUID]bool{}
	for _, a := range as {
		seen[a.ID] = true
	}
	if len(seen) != n || len(as) != n {
		return fmt.Errorf("%d requests with %d deliveries arrived, want %d of each", len(as), len(seen), n)
	}
	return nil
}
