package main

import (
	"context"
	"fmt"
	"time"
)

// outage is how long a backlog takes that an outage of the receiver left, by the
// default rate of recovery and with that rate out of the way.
func (b *bench) outage(ctx context.Context, t *table) error {
	n, down := 1000, 30*time.Second
	if b.quick {
		n, down = 20, time.Second
	}
	heading := fmt.Sprintf("backlog of %d after an outage of %v", n, down)
	for _, rate := range []int{50, 10_000} {
		settings := []string{fmt.Sprintf("  recover_rate: %d", rate)}
		if b.quick {
			settings = append(settings, "  retries: [1s, 1s, 1s]")
		}
		drained, waited, err := b.backlog(ctx, n, down, false, settings)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("at delivery.recover_rate %d", rate)
		remark := ""
		if rate == 50 {
			text += ", the default"
			remark = fmt.Sprintf("the rule itself takes %v", time.Duration(n)*time.Second/50)
		}
		t.add(heading, "first success to last, "+text, seconds(drained), "5 s", remark)
		t.add("", "the receiver's return to the first success", seconds(waited), "", "the probe that came next")
		heading = ""
	}
	return nil
}

// exhausted is how long a receiver that was down past the whole retry schedule waits for
// what each vehicle's state is, with nobody doing anything: the default retry schedule and
// challenges, a thousand times as fast.
func (b *bench) exhausted(ctx context.Context, t *table) error {
	n, down := 1000, time.Minute
	settings := []string{
		"  retries: [10ms, 50ms, 250ms, 1250ms, 6250ms, 31250ms]",
		"  challenge_after: 900ms",
	}
	if b.quick {
		n, down = 20, 5*time.Second
		settings[0] = "  retries: [100ms, 100ms, 100ms]"
	}
	drained, waited, err := b.backlog(ctx, n, down, true, settings)
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("%d vehicles' states after %v, past a retry schedule a thousand times as fast", n, down),
		"the receiver's return to the first success", seconds(waited), "3.6 s", "the interval of challenges; nobody does anything")
	t.add("", "to every vehicle's state", seconds(waited+drained), "", fmt.Sprintf("at 50 a second %v of it", time.Duration(n)*time.Second/50))
	return nil
}

// backlog makes n deliveries come due while the receiver is away, and returns how
// long they took once the first got through, and how long the receiver was back by
// then. With spent the webhook must have been disabled meanwhile.
func (b *bench) backlog(
	ctx context.Context, n int, down time.Duration, spent bool, delivery []string,
) (drained, waited time.Duration, err error) {
	f, err := b.folder("outage", n, delivery...)
	if err != nil {
		return 0, 0, err
	}
	defer f.remove()
	var begin time.Time
	err = f.fill(ctx, func(x *filler) error {
		id, err := x.webhook(ctx, "hook", b.receiver.hook(0, 0))
		if err != nil {
			return err
		}
		begin = time.Now().Add(b.lead(n))
		return each(n, func(i int) error {
			return x.subscribe(ctx, id, i, begin.Add(time.Duration(i)*down/time.Duration(n)))
		})
	})
	if err != nil {
		return 0, 0, err
	}
	if err := b.forget(ctx); err != nil {
		return 0, 0, err
	}
	if _, err := b.receiver.tell(ctx, "close"); err != nil {
		return 0, 0, err
	}
	d, err := f.serve(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer d.kill()
	err = d.waits(ctx, begin)
	if err == nil {
		err = sleep(ctx, time.Until(begin.Add(down)))
	}
	if err == nil && spent {
		err = d.disabled(ctx, "hook")
	}
	if _, e := b.receiver.tell(context.WithoutCancel(ctx), "open"); err == nil {
		err = e
	}
	if err != nil {
		return 0, 0, err
	}
	back := time.Now()
	if err := b.receiver.await(ctx, n, 5*time.Minute); err != nil {
		return 0, 0, err
	}
	if err := d.stop(); err != nil {
		return 0, 0, err
	}
	if err := b.once(ctx, n); err != nil {
		return 0, 0, err
	}
	as, err := b.receiver.arrivals(ctx)
	if err != nil {
		return 0, 0, err
	}
	first, last := time.Unix(0, as[0].At), time.Unix(0, as[len(as)-1].At)
	return last.Sub(first), first.Sub(back), nil
}
