package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// series is a number of deliveries to one webhook, due one after another.
type series struct {
	hook  int           // its number at the receiver
	wait  time.Duration // how long the receiver takes
	n     int
	every time.Duration
	after time.Duration // the first is due this long after the beginning
}

// latencies runs the daemon over the series and returns how long after its due
// time each of their deliveries had arrived, by series and in order of due times,
// and the bytes written for each in the mean. Of a series whose receiver waits
// nothing is returned or waited for.
func (b *bench) latencies(ctx context.Context, name string, list ...series) (late [][]timed, written float64, err error) {
	vehicles, quick := 0, 0
	for _, s := range list {
		vehicles += s.n
		if s.wait == 0 {
			quick += s.n
		}
	}
	f, err := b.folder(name, vehicles)
	if err != nil {
		return nil, 0, err
	}
	defer f.remove()
	var begin time.Time
	var last time.Time
	err = f.fill(ctx, func(x *filler) error {
		begin = time.Now().Add(b.lead(vehicles)).Truncate(time.Millisecond) // a due time's resolution
		next := 0
		for _, s := range list {
			id, err := x.webhook(ctx, fmt.Sprintf("hook-%d", s.hook), b.receiver.hook(s.hook, s.wait))
			if err != nil {
				return err
			}
			first := next
			err = each(s.n, func(i int) error {
				return x.subscribe(ctx, id, first+i, begin.Add(s.after+time.Duration(i)*s.every))
			})
			if err != nil {
				return err
			}
			next += s.n
			if end := begin.Add(s.after + time.Duration(s.n)*s.every); end.After(last) {
				last = end
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	if err := b.forget(ctx); err != nil {
		return nil, 0, err
	}
	d, err := f.serve(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer d.kill()
	if err := d.waits(ctx, begin); err != nil {
		return nil, 0, err
	}
	before, err := d.usage()
	if err != nil {
		return nil, 0, err
	}
	if err := sleep(ctx, time.Until(last)); err != nil {
		return nil, 0, err
	}
	if quick == vehicles {
		if err := b.receiver.await(ctx, vehicles, 30*time.Second); err != nil {
			return nil, 0, err
		}
		if err := d.delivered(ctx, uint64(vehicles), 30*time.Second); err != nil { //nolint:gosec // not negative
			return nil, 0, err
		}
	}
	after, err := d.usage()
	if err != nil {
		return nil, 0, err
	}
	if err := d.stop(); err != nil {
		return nil, 0, err
	}
	late, err = b.late(ctx, f, begin, list)
	return late, float64(after.written-before.written) / float64(vehicles), err
}

// timed is a delivery's delay, and when it was due after the beginning.
type timed struct{ due, late time.Duration }

func (b *bench) late(ctx context.Context, f *folder, begin time.Time, list []series) ([][]timed, error) {
	dues, err := f.dues(ctx)
	if err != nil {
		return nil, err
	}
	as, err := b.receiver.arrivals(ctx)
	if err != nil {
		return nil, err
	}
	first := map[uuid.UUID]arrival{}
	for _, a := range as {
		if _, again := first[a.ID]; !again {
			first[a.ID] = a
		}
	}
	late := make([][]timed, len(list))
	for i, s := range list {
		for id, a := range first {
			if due, ok := dues[id]; ok && int(a.Hook) == s.hook && s.wait == 0 {
				late[i] = append(late[i], timed{due.Sub(begin), time.Unix(0, a.At).Sub(due)})
			}
		}
		if s.wait == 0 && len(late[i]) != s.n {
			return nil, fmt.Errorf("%d deliveries of %d arrived in time", len(late[i]), s.n)
		}
	}
	return late, nil
}

// delays are the delays in milliseconds of what was due in the span.
func delays(ts []timed, from, until time.Duration) []float64 {
	var ms []float64
	for _, t := range ts {
		if t.due >= from && t.due < until {
			ms = append(ms, float64(t.late.Microseconds())/1000)
		}
	}
	return ms
}

// latency is how late deliveries are at 50 a second to one webhook.
func (b *bench) latency(ctx context.Context, t *table) error {
	s := series{n: 3000, every: 20 * time.Millisecond}
	if b.quick {
		s.n = 100
	}
	late, _, err := b.latencies(ctx, "latency", s)
	if err != nil {
		return err
	}
	ms := delays(late[0], 0, time.Hour)
	t.add("due to received", "at 50 a second, p50", millis(quantile(ms, 0.5)), "5 ms", fmt.Sprintf("%d deliveries of one webhook", len(ms)))
	t.add("", "p99", millis(quantile(ms, 0.99)), "25 ms", "longest "+millis(quantile(ms, 1)))
	return nil
}

// alone is what a delivery costs when nothing else happens: two commits of its own.
func (b *bench) alone(ctx context.Context, t *table) error {
	s := series{n: 60, every: 250 * time.Millisecond}
	if b.quick {
		s.n, s.every = 10, 50*time.Millisecond
	}
	late, written, err := b.latencies(ctx, "alone", s)
	if err != nil {
		return err
	}
	ms := delays(late[0], 0, time.Hour)
	t.add("alone", "bytes written a delivery", bytesText(written), "", fmt.Sprintf("%d deliveries, %v apart", s.n, s.every))
	t.add("", "due to received, p50", millis(quantile(ms, 0.5)), "", "")
	return nil
}

// beside is what a receiver that takes 10 s for each answer does to another
// webhook, both at 25 deliveries a second.
func (b *bench) beside(ctx context.Context, t *table) error {
	span, settle, every, hang := 20*time.Second, 3*time.Second, 40*time.Millisecond, 10*time.Second
	if b.quick {
		span, settle, every, hang = time.Second, 200*time.Millisecond, 50*time.Millisecond, time.Second
	}
	var alone, with, share []float64
	for range b.rounds {
		n := int(span / every)
		late, _, err := b.latencies(ctx, "beside",
			series{hook: 0, n: 2 * n, every: every},
			series{hook: 1, wait: hang, n: n, every: every, after: span})
		if err != nil {
			return err
		}
		a, w := quantile(delays(late[0], settle, span), 0.5), quantile(delays(late[0], span+settle, 2*span), 0.5)
		note("fast webhook: p50 %s alone, %s beside the slow one", millis(a), millis(w))
		alone, with, share = append(alone, a), append(with, w), append(share, w/a)
	}
	t.add(fmt.Sprintf("beside a webhook that hangs for %v", hang), "the fast one's p50 alone", millis(median(alone)), "", "25 a second")
	t.add("", "its p50 beside the slow one", millis(median(with)), "", "25 a second to each")
	t.add("", "**ratio**", "**"+ratio(median(share))+"**", "1.1", spread(share))
	return nil
}

// tarpit is what 49 receivers that accept and never answer do to the fiftieth
// webhook: its delay with them against that of the same run before them.
func (b *bench) tarpit(ctx context.Context, t *table) error {
	span, settle, every, pits, vehicles := 20*time.Second, 3*time.Second, 40*time.Millisecond, 49, 20
	if b.quick {
		span, settle, every, pits, vehicles = time.Second, 200*time.Millisecond, 50*time.Millisecond, 4, 3
	}
	const never = time.Hour // far longer than delivery.timeout
	var p50, p99, share50, share99 []float64
	for range b.rounds {
		list := []series{{hook: 0, n: 2 * int(span/every), every: every}}
		for i := range pits {
			// Each at moments of its own: what many due times at one moment cost is another question.
			each := span / time.Duration(vehicles)
			list = append(list, series{hook: 1 + i, wait: never, n: vehicles, every: each, after: span + time.Duration(i)*each/time.Duration(pits)})
		}
		late, _, err := b.latencies(ctx, "tarpit", list...)
		if err != nil {
			return err
		}
		before, with := delays(late[0], settle, span), delays(late[0], span+settle, 2*span)
		a50, w50, a99, w99 := quantile(before, 0.5), quantile(with, 0.5), quantile(before, 0.99), quantile(with, 0.99)
		note("the fiftieth webhook: p50 %s and p99 %s without tarpits, %s and %s with %d", millis(a50), millis(a99), millis(w50), millis(w99),
			pits)
		p50, p99, share50, share99 = append(p50, w50), append(p99, w99), append(share50, w50/a50), append(share99, w99/a99)
	}
	t.add(fmt.Sprintf("beside %d webhooks that accept and never answer", pits), "due to received, p50 and p99",
		millis(median(p50))+", "+millis(median(p99)), "", "25 a second")
	t.add("", "**ratio of p50**", "**"+ratio(median(share50))+"**", "1.1", spread(share50))
	t.add("", "**ratio of p99**", "**"+ratio(median(share99))+"**", "1.1", spread(share99))
	return nil
}
