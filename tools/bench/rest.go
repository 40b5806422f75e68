package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// idle is what plugbeat takes at rest, once it has delivered a thousand times and
// Go's collector, which looks every two minutes, has seen that it rests.
func (b *bench) idle(ctx context.Context, t *table) error {
	sizes, fire, rest, span := []int{1000, 100_000}, 1000, 150*time.Second, 30*time.Second
	if b.quick {
		sizes, fire, rest, span = []int{100, 1000}, 10, time.Second, time.Second
	}
	var daemons []*daemon
	for _, n := range sizes {
		d, err := b.rested(ctx, n, fire)
		if err != nil {
			return fmt.Errorf("%d subscriptions: %w", n, err)
		}
		defer d.folder.remove()
		defer d.kill()
		daemons = append(daemons, d)
	}
	if err := sleep(ctx, rest); err != nil {
		return err
	}
	before := make([]usage, len(daemons))
	for i, d := range daemons {
		var err error
		if before[i], err = d.usage(); err != nil {
			return err
		}
	}
	if err := sleep(ctx, span); err != nil {
		return err
	}
	heading, aim := "idle", "30 MiB"
	for i, d := range daemons {
		after, err := d.usage()
		if err != nil {
			return err
		}
		t.add(heading, fmt.Sprintf("memory with %d subscriptions", sizes[i]), bytesText(float64(after.resident)), aim,
			fmt.Sprintf("resident; %s of it are pages of the binary and the data file, %s its own", bytesText(float64(after.file)),
				bytesText(float64(after.anonymous))))
		t.add("", fmt.Sprintf("CPU with %d subscriptions", sizes[i]),
			fmt.Sprintf("%.3f %% of a core", 100*float64(after.cpu-before[i].cpu)/float64(span)), "", "")
		heading, aim = "", ""
		if err := d.stop(); err != nil {
			return err
		}
	}
	return nil
}

// rested returns a running daemon with so many subscriptions on ten webhooks, some of
// which have fired, at 50 a second; the others are due in an hour.
func (b *bench) rested(ctx context.Context, subscriptions, fire int) (*daemon, error) {
	const webhooks = 10
	f, err := b.folder("idle-"+strconv.Itoa(subscriptions), subscriptions/webhooks)
	if err != nil {
		return nil, err
	}
	var due time.Time
	err = f.fill(ctx, func(x *filler) error {
		var ids [webhooks]uuid.UUID
		for i := range ids {
			if ids[i], err = x.webhook(ctx, "hook-"+strconv.Itoa(i), b.receiver.hook(i, 0)); err != nil {
				return err
			}
		}
		due = time.Now().Add(b.lead(subscriptions))
		return each(subscriptions, func(i int) error {
			at := due.Add(time.Duration(i) * 20 * time.Millisecond)
			if i >= fire {
				at = due.Add(time.Hour + time.Duration(i)*10*time.Millisecond)
			}
			return x.subscribe(ctx, ids[i%webhooks], i/webhooks, at)
		})
	})
	if err != nil {
		return nil, err
	}
	if err := b.forget(ctx); err != nil {
		return nil, err
	}
	d, err := f.serve(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.waits(ctx, due); err != nil {
		d.kill()
		return nil, err
	}
	if err := b.receiver.await(ctx, fire, 2*time.Minute); err != nil {
		d.kill()
		return nil, err
	}
	return d, nil
}

// start is how soon a daemon sends that finds a full data file.
func (b *bench) start(ctx context.Context, t *table) error {
	const webhooks = 10
	n, times := 100_000, 3
	if b.quick {
		n, times = 1000, 1 // they are delivered by then
	}
	vehicles := n / webhooks
	f, err := b.folder("start", vehicles+1)
	if err != nil {
		return err
	}
	defer f.remove()
	err = f.fill(ctx, func(x *filler) error {
		var ids [webhooks]uuid.UUID
		for i := range ids {
			if ids[i], err = x.webhook(ctx, "hook-"+strconv.Itoa(i), b.receiver.hook(i, 0)); err != nil {
				return err
			}
		}
		now := time.Now()
		if err := each(n, func(i int) error { return x.subscribe(ctx, ids[i%webhooks], i/webhooks, now) }); err != nil {
			return err
		}
		if err := each(vehicles, func(i int) error { return x.wait(ctx, i) }); err != nil {
			return err
		}
		fresh, err := x.webhook(ctx, "fresh", b.receiver.hook(webhooks, 0))
		if err != nil {
			return err
		}
		return x.subscribe(ctx, fresh, vehicles, now)
	})
	if err != nil {
		return err
	}
	var waited []float64
	var due float64
	for i := range times {
		w, d, err := b.firstSends(ctx, f, webhooks, i == 0)
		if err != nil {
			return err
		}
		note("first send after %s", millis(w))
		if waited = append(waited, w); i == 0 {
			due = d
		}
	}
	what := fmt.Sprintf("%d subscriptions and %d waiting deliveries on %d webhooks; the file is in the page cache", n, n, webhooks)
	t.add("start", "process start to the first send", millis(median(waited)), "", what)
	t.add("", "to the first send for a subscription that came due meanwhile", millis(due), "", "read, composed and committed after the start")
	return nil
}

// firstSends starts the daemon and returns in milliseconds after how long the first
// request of a waiting delivery had arrived and, where that is wanted, the first of
// the webhook whose subscription is due.
func (b *bench) firstSends(ctx context.Context, f *folder, fresh int, wantDue bool) (waited, due float64, err error) {
	if err := b.forget(ctx); err != nil {
		return 0, 0, err
	}
	d, err := f.serve(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer d.kill()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return 0, 0, err
		}
		as, err := b.receiver.arrivals(ctx)
		if err != nil {
			return 0, 0, err
		}
		for _, a := range as {
			ms := float64(time.Unix(0, a.At).Sub(d.began).Microseconds()) / 1000
			switch {
			case int(a.Hook) == fresh && due == 0:
				due = ms
			case int(a.Hook) != fresh && waited == 0:
				waited = ms
			}
		}
		if waited > 0 && (due > 0 || !wantDue) {
			return waited, due, d.stop()
		}
	}
	return 0, 0, errors.New("not all that should was sent within a minute of the start")
}
