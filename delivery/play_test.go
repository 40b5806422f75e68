package delivery

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"plugbeat/webhook"
)

// This file plays a receiver in trouble to the dispatcher and counts what came of it.
// figures_test.go has the scenarios.

// play is a webhook's life in a scenario.
type play struct {
	*world
	// produced ends the day: vehicles 0 to vehicles-1 are due every so often, each at
	// its own moment after the hour.
	vehicles int
	every    time.Duration
	after    func(vehicle int) time.Duration
}

func together(int) time.Duration { return 0 }

// spread has the vehicles due evenly over an hour.
func (p *play) spread(v int) time.Duration {
	return time.Duration(v) * time.Hour / time.Duration(p.vehicles)
}

// live has the vehicles due until the time is over.
func (p *play) live(span time.Duration) {
	type due struct {
		at      time.Duration
		vehicle int
	}
	var dues []due
	for v := range p.vehicles {
		for at := p.after(v); at < span; at += p.every {
			dues = append(dues, due{at, v})
		}
	}
	slices.SortStableFunc(dues, func(a, b due) int { return int(a.at - b.at) })
	for i := 0; i < len(dues); {
		pass(time.Until(p.t0.Add(dues[i].at)))
		n := 0
		for i+n < len(dues) && dues[i+n].at == dues[i].at {
			n++
		}
		if h := p.hook(); h.Fires() {
			var vs []int
			for _, d := range dues[i : i+n] {
				vs = append(vs, d.vehicle)
			}
			p.produce(vs...)
		}
		i += n
	}
	pass(time.Until(p.t0.Add(span)))
}

// figures are what a row of the table says.
type figures struct {
	attempts, challenges int
	disabledAt           time.Duration // 0 for never
	late                 time.Duration // the worst of those that were not to blame
}

func (f figures) String() string {
	disabled := "never"
	if f.disabledAt > 0 {
		disabled = fmt.Sprintf("%d h %02d", int(f.disabledAt.Hours()), int(f.disabledAt.Minutes())%60)
	}
	return fmt.Sprintf("%d attempts, %d challenges, disabled at %s, others late by %s", f.attempts, f.challenges, disabled, f.late.Round(100*time.Millisecond))
}

// figures counts what the receiver saw in a span from the beginning. A vehicle is to
// blame where bad says so.
func (p *play) figures(span time.Duration, bad func(vehicle, number int) bool) (f figures) {
	for _, r := range p.receiver.sent() {
		if d := p.since(r.at); d >= 0 && d < span {
			f.attempts++
		}
	}
	for _, at := range p.receiver.asked() {
		if d := p.since(at); d > 0 && d < span {
			f.challenges++
		}
	}
	if h := p.hook(); h.Status == webhook.Disabled {
		f.disabledAt = p.since(h.StatusSince)
	}
	for id, m := range p.made {
		if bad != nil && bad(m.vehicle, m.number) {
			continue
		}
		d := p.get(id)
		end := d.FinishedAt
		if d.State != webhook.Delivered {
			end = time.Now()
		}
		f.late = max(f.late, end.Sub(m.at)-accept.after)
	}
	return f
}

func newPlay(t *testing.T, vehicles int) *play {
	p := &play{world: newWorld(t, Settings{}), vehicles: vehicles, every: time.Hour}
	p.after = p.spread
	return p
}

// row prints a row's figures.
func row(t *testing.T, name string, figures any) {
	t.Helper()
	fmt.Printf("%-64s %s\n", name, figures)
}

// within fails the test unless a figure is within its bounds.
func within[T int | time.Duration](t *testing.T, what string, got, least, most T) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s: %v, want %v to %v", what, got, least, most)
	}
}

// outOfOrder counts the deliveries that arrived after a newer one of their vehicle.
func (p *play) outOfOrder() (n int) {
	newest := map[int]int{}
	for _, r := range p.receiver.sent() {
		if !r.accepted {
			continue
		}
		if last, ok := newest[r.vehicle]; ok && r.number < last {
			n++
		}
		newest[r.vehicle] = max(newest[r.vehicle], r.number)
	}
	return n
}

// numbersBefore is how many deliveries of a vehicle were made before a time.
func (p *play) numbersBefore(vehicle int, d time.Duration) (n int) {
	for _, m := range p.made {
		if m.vehicle == vehicle && p.since(m.at) < d {
			n++
		}
	}
	return n
}
