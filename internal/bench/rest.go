package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// idle is what plugbeat takes at rest, after it has delivered a thousand times.
func (b *bench) idle(ctx context.Context, t *table) error {
	heading := "idle"
	for _, n := range []int{1000, 100_000} {
		if err := b.idleWith(ctx, t, heading, n); err != nil {
			return fmt.Errorf("%d subscriptions: %w", n, err)
		}
		heading = ""
	}
	return nil
}

func (b *bench) idleWith(ctx context.Context, t *table, heading string, subscriptions int) error {
	const webhooks = 10
	settle, span, fire := 60*time.Second, 30*time.Second, 1000
	if b.quick {
		subscriptions, settle, span, fire = subscriptions/100, time.Second, time.Second, 10
	}
	cars := subscriptions / webhooks
	f, err := b.folder("idle-"+strconv.Itoa(subscriptions), cars)
	if err != nil {
		return err
	}
	defer f.remove()
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
			at := due
			if i >= fire {
				at = due.Add(time.Hour + time.Duration(i)*time.Second/100)
			}
			return x.subscribe(ctx, ids[i%webhooks], i/webhooks, at)
		})
	})
	if err != nil {
		return err
	}
	if err := b.forget(ctx); err != nil {
		return err
	}
	d, err := f.serve(ctx)
	if err != nil {
		return err
	}
	defer d.kill()
	if err := d.waits(ctx, due); err != nil {
		return err
	}
	if err := b.receiver.await(ctx, fire, time.Minute); err != nil {
		return err
	}
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	before, err := d.usage()
	if err != nil {
		return err
	}
	if err := sleep(ctx, span); err != nil {
		return err
	}
	after, err := d.usage()
	if err != nil {
		return err
	}
	aim := ""
	if subscriptions == 1000 {
		aim = "30 MiB"
	}
	t.add(heading, fmt.Sprintf("memory with %d subscriptions", subscriptions), bytesText(float64(after.resident)), aim,
		fmt.Sprintf("resident; %s of it are pages of the binary and the data file", bytesText(float64(after.file))))
	t.add("", fmt.Sprintf("CPU with %d subscriptions", subscriptions), fmt.Sprintf("%.3f %% of a core", 100*float64(after.cpu-before.cpu)/float64(span)), "", "")
	return d.stop()
}

// start is how soon a daemon sends that finds a full data file.
func (b *bench) start(ctx context.Context, t *table) error {
	const webhooks = 10
	n, times := 100_000, 3
	if b.quick {
		n, times = 1000, 1 // they are delivered by then
	}
	cars := n / webhooks
	f, err := b.folder("start", cars+1)
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
		if err := each(cars, func(i int) error { return x.wait(ctx, i) }); err != nil {
			return err
		}
		fresh, err := x.webhook(ctx, "fresh", b.receiver.hook(webhooks, 0))
		if err != nil {
			return err
		}
		return x.subscribe(ctx, fresh, cars, now)
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
	what := fmt.Sprintf("%d slots and %d waiting deliveries on %d webhooks; the file is in the page cache", n, n, webhooks)
	t.add("start", "process start to the first send", millis(median(waited)), "", what)
	t.add("", "to the first send of a slot that came due meanwhile", millis(due), "", "read, composed and committed after the start")
	return nil
}

// firstSends starts the daemon and returns in milliseconds after how long the first
// request of a waiting delivery had arrived and, where that is wanted, the first of
// the webhook whose slot is due.
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
