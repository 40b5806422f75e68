package delivery

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
)

// These tests are the table of docs/dev/proofs.md: each row plays a receiver in
// trouble to the dispatcher over the real store, prints its figures, and holds them to
// the bounds that the product promises.

var figuresAll = flag.Bool("figures", false, "all seeds and the whole months of the breaker's figures")

func TestFiguresDeadReceiver(t *testing.T) {
	blackHole := answer{after: 15 * time.Second, err: errRefusedConnection}
	for name, c := range map[string]struct {
		vehicles int
		every    time.Duration
		after    func(int) time.Duration
		dead     answer
		warm     bool
		attempts int
	}{
		"dead, 20 due together":                     {20, time.Hour, together, refusesConnections, false, 8},
		"dead, 20 due together half-hourly":         {20, 30 * time.Minute, together, refusesConnections, false, 8},
		"dead, 20 due together, black hole of 15 s": {20, time.Hour, together, blackHole, false, 8},
		"dead 10 s after a success, 8 in flight":    {20, time.Hour, together, neverAnswers, true, 14},
		"dead, lone vehicle":                        {1, time.Hour, together, refusesConnections, false, 7},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlay(t, c.vehicles)
			p.every, p.after = c.every, c.after
			if c.warm {
				p.produce(99)
				pass(10 * time.Second)
				p.t0 = time.Now()
			}
			p.receiver.be(c.dead, false)
			p.live(12 * time.Hour)
			f := p.figures(12*time.Hour, nil)
			row(t, name, f)
			within(t, name+": attempts", f.attempts, c.attempts, c.attempts)
			within(t, name+": challenges", f.challenges, 12, 15)
			within(t, name+": disabled at", f.disabledAt, 10*time.Hour+51*time.Minute, 11*time.Hour+30*time.Minute)
		})
	}
}

func TestFiguresErrorsToAll(t *testing.T) {
	for _, c := range []struct {
		name                 string
		status, vehicles     int
		every                time.Duration
		span                 time.Duration
		answers              bool
		attempts, challenges [2]int
		disabled             time.Duration
	}{
		{"500 to all, challenges right", 500, 20, time.Hour, 12 * time.Hour, true, [2]int{15, 21}, [2]int{5, 5}, 11*time.Hour + 14*time.Minute},
		{"500 to all, challenges not answered", 500, 20, time.Hour, 12 * time.Hour, false, [2]int{10, 10}, [2]int{12, 15}, 11*time.Hour + 14*time.Minute},
		{"400 to all, 20 together", 400, 20, time.Hour, 12 * time.Hour, true, [2]int{15, 15}, [2]int{5, 5}, 11*time.Hour + 14*time.Minute},
		{"400 to all, lone hourly", 400, 1, time.Hour, 12 * time.Hour, true, [2]int{20, 20}, [2]int{4, 4}, 14*time.Hour + 13*time.Minute},
		{"400 to all, lone daily, 96 h, challenges not answered", 400, 1, 24 * time.Hour, 96 * time.Hour, false, [2]int{21, 48}, [2]int{24, 28}, 83 * time.Hour},
		{"400 to all, lone daily, 96 h, challenges right", 400, 1, 24 * time.Hour, 96 * time.Hour, true, [2]int{21, 54}, [2]int{6, 6}, 83 * time.Hour},
	} {
		for _, at := range []string{"together", "spread"} {
			if c.vehicles == 1 && at == "spread" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				p := newPlay(t, c.vehicles)
				p.every = c.every
				if at == "together" {
					p.after = together
				}
				p.receiver.be(failsWith(c.status), c.answers)
				p.live(c.span)
				f := p.figures(c.span, nil)
				if f.disabledAt == 0 { // a lone vehicle's comes later
					p.live(c.span + 4*time.Hour)
					f.disabledAt = p.figures(0, nil).disabledAt
				}
				name := c.name + ", " + at
				row(t, name, f)
				within(t, name+": attempts", f.attempts, c.attempts[0], max(c.attempts[1], 24))
				within(t, name+": challenges", f.challenges, 0, max(c.challenges[1], 15))
				within(t, name+": disabled at", f.disabledAt, c.disabled-time.Hour, c.disabled+time.Hour)
			})
		}
	}
}

func TestFiguresRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, 20)
		p.after = together
		p.receiver.be(answer{status: 429, retryAfter: time.Hour, after: 100 * time.Millisecond}, true)
		p.live(24 * time.Hour)
		f := p.figures(24*time.Hour, nil)
		row(t, "429 with Retry-After 3600 to all, 24 h", f)
		within(t, "attempts", f.attempts, 14, 14)
		sent := p.receiver.sent()
		for i, r := range sent[:len(sent)-1] {
			if gap := sent[i+1].at.Sub(r.at); i > 0 && gap < time.Hour {
				t.Errorf("attempt %d came %s after one that asked for an hour", i+1, gap)
			}
		}
		for _, at := range p.receiver.asked() {
			for _, r := range sent {
				if gap := at.Sub(r.at); gap > 0 && gap < time.Hour {
					t.Errorf("a challenge came %s after an answer that asked for an hour", gap)
				}
			}
		}
	})
}

func TestFiguresBadVehicles(t *testing.T) {
	for _, c := range []struct {
		bad, of  int
		seeds    int
		together bool
		most     time.Duration
	}{
		{1, 2, 1, false, 0}, {1, 20, 1, false, 0},
		{2, 20, 40, false, time.Second}, {3, 20, 40, false, time.Second}, {5, 20, 40, false, 5 * time.Second}, {5, 20, 40, true, 15 * time.Second},
		{8, 20, 10, true, 5 * time.Minute}, {12, 20, 10, true, 2 * time.Hour}, {16, 20, 10, true, 24 * time.Hour},
		{8, 20, 10, false, 30 * time.Minute}, {12, 20, 10, false, 2 * time.Hour}, {16, 20, 10, false, 24 * time.Hour},
	} {
		seeds := c.seeds
		if !*figuresAll {
			seeds = 1
		}
		for _, status := range []int{500, 413} {
			few := status == 500 && (c.seeds == 1 || c.bad == 12 || c.bad == 2 || c.bad == 5 && !c.together)
			if c.bad > 5 && status == 413 || !*figuresAll && !few {
				continue
			}
			worst, disabled := time.Duration(0), 0
			for seed := range seeds {
				synctest.Test(t, func(t *testing.T) {
					p := newPlay(t, c.of)
					random := rand.New(rand.NewPCG(uint64(seed), uint64(c.bad))) //nolint:gosec // a scenario
					order, minutes := random.Perm(c.of), make([]time.Duration, c.of)
					for v := range minutes {
						minutes[v] = time.Duration(random.Int64N(int64(time.Hour)))
					}
					switch {
					case c.together:
						p.after = together
					case c.of == 20:
						p.after = func(v int) time.Duration { return minutes[v] }
					}
					bad := func(vehicle, _ int) bool { return slices.Contains(order[:c.bad], vehicle) }
					p.receiver.set(func(v, n int, _ time.Time) answer {
						if bad(v, n) {
							return failsWith(status)
						}
						return accept
					}, func(time.Time) bool { return true })
					p.live(24 * time.Hour)
					f := p.figures(24*time.Hour, bad)
					worst = max(worst, f.late)
					if f.disabledAt != 0 {
						disabled++
					}
					if c.bad <= 12 && f.disabledAt != 0 || f.challenges != 0 && c.bad <= 5 {
						t.Errorf("%d of %d answered %d, seed %d: %s", c.bad, c.of, status, seed, f)
					}
				})
			}
			name := fmt.Sprintf("%d of %d always %d, %d seeds", c.bad, c.of, status, seeds)
			if c.together {
				name += ", together"
			}
			row(t, name, fmt.Sprintf("%d webhooks disabled, others late by %s at most", disabled, worst.Round(100*time.Millisecond)))
			within(t, name+": late", worst, 0, c.most)
		}
	}
}

func TestFiguresSinglePayloads(t *testing.T) {
	for _, c := range []struct {
		name     string
		vehicles int
		bad      answer
		payloads int
		answers  bool
		attempts int
		most     time.Duration
	}{
		{"a single payload always 500", 20, failsWith(500), 1, true, 7, 0},
		{"two single payloads always 413", 20, failsWith(413), 2, true, 7, 0},
		{"a lone vehicle's payload times out, challenges answered", 1, neverAnswers, 1, true, 13, 20 * time.Minute},
		{"a lone vehicle's payload times out, challenges not answered", 1, neverAnswers, 1, false, 13, 90 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlay(t, c.vehicles)
			bad := func(v, n int) bool { return n == 3 && v < c.payloads }
			p.receiver.set(func(v, n int, _ time.Time) answer {
				if bad(v, n) {
					return c.bad
				}
				return accept
			}, func(time.Time) bool { return c.answers })
			p.live(30 * time.Hour)
			f := p.figures(30*time.Hour, bad)
			var each []string
			for id, m := range p.made {
				d := p.get(id)
				switch {
				case !bad(m.vehicle, m.number):
					if d.State != webhook.Delivered {
						t.Errorf("%s: vehicle %d, delivery %d is %s", c.name, m.vehicle, m.number, d.State)
					}
				case d.State != webhook.Dead:
					t.Errorf("%s: the bad payload is %s after %d attempts", c.name, d.State, d.Attempts)
				default:
					each = append(each, fmt.Sprint(d.Attempts))
					within(t, c.name+": attempts", d.Attempts, 7, c.attempts)
				}
			}
			row(t, c.name, fmt.Sprintf("dead after %s attempts; %s", strings.Join(each, " and "), f))
			within(t, c.name+": late", f.late, 0, c.most)
			within(t, c.name+": disabled", f.disabledAt, 0, 0)
		})
	}
}

// days is how long a scenario of a month lives.
func days() time.Duration {
	if *figuresAll {
		return 30 * 24 * time.Hour
	}
	return 24 * time.Hour
}

func TestFiguresRandomErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, 20)
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a scenario
		p.receiver.set(func(int, int, time.Time) answer {
			if random.IntN(100) == 0 {
				return failsWith(500)
			}
			return accept
		}, func(time.Time) bool { return true })
		p.live(days())
		slow, dead := 0, 0
		f := p.figures(days(), nil)
		for id, m := range p.made {
			d := p.get(id)
			if d.State == webhook.Dead {
				dead++
			}
			if d.FinishedAt.Sub(m.at) > 5*time.Second {
				slow++
			}
		}
		row(t, "1 % of attempts 500 at random", fmt.Sprintf("%d of %d later than 5 s, %d dead, %d out of order; %s", slow, len(p.made), dead, p.outOfOrder(), f))
		within(t, "dead", dead, 0, 0)
		within(t, "late", f.late, 0, 2*time.Minute)
		within(t, "out of order", p.outOfOrder(), 0, 0)
	})
}

func TestFiguresAway(t *testing.T) {
	var found, current []time.Duration
	for i, away := range []time.Duration{3 * time.Hour, 7 * time.Hour, 14 * time.Hour, 22 * time.Hour, 31 * time.Hour, 50 * time.Hour} {
		if !*figuresAll && i%3 != 0 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			p := newPlay(t, 20)
			gone, back := 90*time.Minute, 90*time.Minute+away
			p.receiver.set(func(_, _ int, at time.Time) answer {
				if d := p.since(at); d >= gone && d < back {
					return refusesConnections
				}
				return accept
			}, func(at time.Time) bool { return p.since(at) < gone || p.since(at) >= back })
			p.live(back + 2*time.Hour)
			first := time.Duration(0)
			last := map[int]time.Duration{} // when each vehicle's newest of before arrived
			for _, r := range p.receiver.sent() {
				d := p.since(r.at)
				if !r.accepted || d < back {
					continue
				}
				if first == 0 {
					first = d
				}
				if made := p.numbersBefore(r.vehicle, first); r.number == made-1 && last[r.vehicle] == 0 {
					last[r.vehicle] = d
				}
			}
			worst := time.Duration(0)
			for v := range p.vehicles {
				worst = max(worst, last[v]-first)
			}
			found, current = append(found, first-back), append(current, worst)
			for id := range p.made {
				if d := p.get(id); d.State != webhook.Delivered {
					t.Errorf("away %s: a delivery is %s", away, d.State)
				}
			}
			if n := p.outOfOrder(); n != 0 {
				t.Errorf("away %s: %d out of order", away, n)
			}
		})
	}
	row(t, "away 3 to 50 h, then well", fmt.Sprintf("found %s to %s after; 20 vehicles' current state at most %s after that",
		slices.Min(found).Round(time.Minute), slices.Max(found).Round(time.Minute), slices.Max(current).Round(time.Second)))
	within(t, "found", slices.Max(found), 0, time.Hour)
	within(t, "current", slices.Max(current), 0, time.Minute)
}

func TestFiguresRandomOutages(t *testing.T) {
	for _, c := range []struct {
		name string
		dead answer
		most int
	}{{"unreachable", refusesConnections, 0}, {"timed out", neverAnswers, 1000}, {"answered errors", failsWith(500), 3000}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlay(t, 20)
			random := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // a scenario
			type outage struct{ from, to time.Duration }
			var outages []outage
			for at := time.Duration(0); at < days(); {
				at += time.Duration(random.Int64N(int64(24 * time.Hour)))
				long := time.Minute + time.Duration(random.Int64N(int64(20*time.Hour)))
				outages = append(outages, outage{at, at + long})
				at += long
			}
			away := func(at time.Time) bool {
				d := p.since(at)
				return slices.ContainsFunc(outages, func(o outage) bool { return d >= o.from && d < o.to })
			}
			p.receiver.set(func(_, _ int, at time.Time) answer {
				if away(at) {
					return c.dead
				}
				return accept
			}, func(at time.Time) bool { return !away(at) })
			p.live(days())
			outages = nil
			pass(25 * time.Hour)
			dead, waiting := 0, 0
			for id := range p.made {
				switch p.get(id).State {
				case webhook.Dead:
					dead++
				case webhook.Waiting:
					waiting++
				}
			}
			row(t, "random outages of 1 min to 20 h, "+c.name, fmt.Sprintf("%d of %d dead, %d waiting, %d out of order", dead, len(p.made), waiting, p.outOfOrder()))
			within(t, "dead", dead, 0, 0)
			within(t, "waiting", waiting, 0, 0)
			within(t, "out of order", p.outOfOrder(), 0, c.most)
		})
	}
}
