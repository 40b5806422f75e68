package cadence

import (
	"testing"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func TestPlanSpan(t *testing.T) {
	for _, c := range []struct {
		per              Period
		now, from, until string
	}{
		{"", "2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		{Month, "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{Day, "2026-12-31T07:00:00Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		{Day, "2026-03-29T01:00:00+02:00", "2026-03-28T00:00:00Z", "2026-03-29T00:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		from, until := Plan{Per: c.per}.Span(now)
		if from.Format(time.RFC3339) != c.from || until.Format(time.RFC3339) != c.until {
			t.Errorf("%q at %s: %s to %s", c.per, c.now, from, until)
		}
	}
}

// TestPlanBook: what is spent counts in its period alone, and nothing is noted of a
// source that counts nothing.
func TestPlanBook(t *testing.T) {
	may := time.Date(2026, 5, 31, 23, 0, 0, 0, time.UTC)
	june := may.Add(2 * time.Hour)
	p := Plan{Calls: 10}
	s := p.Book(p.Book(vehicle.Spending{}, 3, may), 4, may)
	if got := p.Spent(s, may); got != 7 {
		t.Errorf("spent %d, want 7", got)
	}
	if p.Affords(s, 4, may) || !p.Affords(s, 3, may) {
		t.Error("7 of 10 are spent: 3 more fit, 4 do not")
	}
	if p.Spent(s, june) != 0 || !p.Affords(s, 10, june) {
		t.Error("a new month begins at nought")
	}
	if s = p.Book(s, 2, june); p.Spent(s, june) != 2 {
		t.Errorf("%+v", s)
	}
	if s := (Plan{}).Book(vehicle.Spending{}, 3, may); s != (vehicle.Spending{}) {
		t.Errorf("a free source: %+v", s)
	}
	if s := (Plan{Metered: true}).Book(vehicle.Spending{}, 3, may); s.Calls != 3 {
		t.Errorf("a metered source without a budget: %+v", s)
	}
	if !(Plan{Metered: true}).Affords(vehicle.Spending{Since: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), Calls: 1 << 60}, 3, may) {
		t.Error("without a budget everything is affordable")
	}
}

// TestPlanEvery holds the figures of docs/sources.md.
func TestPlanEvery(t *testing.T) {
	for _, c := range []struct {
		plan  Plan
		paths int
		want  time.Duration
	}{
		{Plan{Calls: 500}, 3, 4*time.Hour + 22*time.Minute + 48*time.Second},
		{Plan{Calls: 500}, 1, 87*time.Minute + 36*time.Second},
		{Plan{Calls: 50, Per: Day}, 3, 86*time.Minute + 24*time.Second},
		{Plan{Metered: true}, 3, 0},
	} {
		if got := c.plan.Every(c.paths); got != c.want {
			t.Errorf("%+v: %d paths every %v, want %v", c.plan, c.paths, got, c.want)
		}
	}
}

func TestPlanNext(t *testing.T) {
	first := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) // a month of 720 h
	july := first.AddDate(0, 1, 0)
	spent := func(calls uint64, read time.Time) vehicle.Status {
		from, _ := Plan{}.Span(read)
		return vehicle.Status{ReadAt: read, Spent: vehicle.Spending{Since: from, Calls: calls}}
	}
	p := Plan{Calls: 540}
	for _, c := range []struct {
		name string
		st   vehicle.Status
		now  time.Time
		want time.Time
	}{
		{"never read: at once", vehicle.Status{}, first, first},
		{"evenly from the first read", spent(0, first), first, first.Add(4 * time.Hour)},
		{"half spent in a tenth of the month: slower", spent(270, first.Add(72*time.Hour)), first.Add(73 * time.Hour), first.Add(72*time.Hour + 648*time.Hour/90)},
		{"little spent by the end: faster", spent(0, july.Add(-18*time.Hour)), july.Add(-18 * time.Hour), july.Add(-18*time.Hour + 6*time.Minute)},
		{"spent: the next month", spent(538, first.Add(time.Hour)), first.Add(2 * time.Hour), july},
		{"in the new month the last read of the old counts", spent(540, first.Add(-time.Hour)), first, first.Add(3 * time.Hour)},
		{"a read that lies ahead is one from before the clock went back", spent(3, first.Add(9*time.Hour)), first, first},
	} {
		if got := p.Next(c.st, 3, c.now); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := (Plan{Metered: true}).Next(spent(9999, first), 3, first); !got.Equal(first) {
		t.Errorf("without a budget: %v", got)
	}
}

func TestPlanFault(t *testing.T) {
	f := Plan{Calls: 500}.Fault(time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC))
	if f.Type != vehicle.TypeBilling || f.Code != "VEHICLE_REQUEST_LIMIT" || f.Status != 430 || f.RetryAfter != 12*time.Hour ||
		f.Description != "plugbeat's budget for this vehicle, 500 calls a month, is spent until Wed, 01 Jul 2026 00:00:00 GMT" {
		t.Errorf("%+v", f)
	}
}

// TestSkip: which due times are left out, and which schedules are never kept
// waiting.
func TestSkip(t *testing.T) {
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	read := june.Add(10 * time.Hour)
	st := known(vehicle.Unplugged, read)
	st.ReadAt, st.Spent = read, vehicle.Spending{Since: june, Calls: 3}
	w := active(webhook.Cadence{})
	schedule := func(due time.Duration, cause webhook.Cause) webhook.ScheduleView {
		return scheduleOf(w, read.Add(due), read, read, unplugged, cause)
	}
	plan := Plan{Calls: 3 + 3*163} // 710 h are left: a read every 4.36 h
	for _, c := range []struct {
		name      string
		plan      Plan
		schedules []webhook.ScheduleView
		at        time.Duration
		skipped   uint64 // of the first schedule; 0 is read
		next      time.Duration
	}{
		{"too early", plan, []webhook.ScheduleView{schedule(time.Hour, webhook.CauseDue)}, time.Hour, 1, 2 * time.Hour},
		{"nearer to the next point", plan, []webhook.ScheduleView{schedule(3*time.Hour, webhook.CauseDue)}, 3 * time.Hour, 1, 4 * time.Hour},
		{"nearer to this point", plan, []webhook.ScheduleView{schedule(4*time.Hour, webhook.CauseDue)}, 4 * time.Hour, 0, 0},
		{"points missed while down are skipped with it", plan, []webhook.ScheduleView{schedule(time.Hour, webhook.CauseDue)}, 3*time.Hour + time.Minute, 3, 4 * time.Hour},
		{"a first delivery is not kept waiting", plan, []webhook.ScheduleView{schedule(time.Hour, webhook.CauseFirst)}, time.Hour, 0, 0},
		{"nor is one beside others", plan, []webhook.ScheduleView{schedule(time.Hour, webhook.CauseDue), schedule(time.Hour, webhook.CauseFirst)}, time.Hour, 0, 0},
		{"nor a change", plan, []webhook.ScheduleView{schedule(time.Hour, webhook.CauseChange)}, time.Hour, 0, 0},
		{"nothing is due", plan, []webhook.ScheduleView{schedule(2*time.Hour, webhook.CauseDue)}, time.Hour, 0, 0},
		{"spent, though the month ends before the next point", Plan{Calls: 5}, []webhook.ScheduleView{scheduleOf(w, read.Add(709*time.Hour+50*time.Minute), read.Add(50*time.Minute), read, unplugged, webhook.CauseDue)},
			709*time.Hour + 50*time.Minute, 1, 710*time.Hour + 50*time.Minute},
		{"no budget", Plan{Metered: true}, []webhook.ScheduleView{schedule(time.Hour, webhook.CauseDue)}, time.Hour, 0, 0},
	} {
		out, ok := rules.Skip(webhook.VehicleView{Status: st, Schedules: c.schedules}, c.plan, 3, read.Add(c.at))
		if ok != (c.skipped > 0) {
			t.Errorf("%s: skipped %v", c.name, ok)
			continue
		}
		if !ok {
			continue
		}
		s := out.Schedules[0]
		if s.Skipped != c.skipped || s.Collapsed != 0 || s.Draft != nil || !s.Schedule.Due.Equal(read.Add(c.next)) || !s.Schedule.ProducedAt.Equal(read) {
			t.Errorf("%s: %+v", c.name, s)
		}
		if out.Status.Spent != st.Spent || !out.Status.ReadAt.Equal(st.ReadAt) {
			t.Errorf("%s: the status changed: %+v", c.name, out.Status)
		}
	}
}

// TestPlanOnAWrongClock: 9 of 12 are spent, then the clock is an hour, a month and fifty years
// off, both ways, is doubted or not, and right again: what is spent stays spent. While it is
// doubted no new budget begins.
func TestPlanOnAWrongClock(t *testing.T) {
	noon := time.Date(2026, 5, 1, 0, 30, 0, 0, time.UTC)
	for _, per := range []Period{Day, Month} {
		for _, size := range []time.Duration{time.Hour, 31 * 24 * time.Hour, 50 * 366 * 24 * time.Hour} {
			for _, by := range []time.Duration{size, -size} {
				for _, doubted := range []bool{true, false} {
					p := Plan{Metered: true, Calls: 12, Per: per}
					wrong := p
					wrong.Doubted = doubted
					s := p.Book(vehicle.Spending{}, 9, noon)
					if s = wrong.Book(s, 1, noon.Add(by)); doubted && (wrong.Spent(s, noon.Add(by)) != 10 || wrong.Affords(s, 3, noon.Add(by))) {
						t.Errorf("per %s, off by %s: a new budget has begun: %+v", per, by, s)
					}
					want := uint64(10)
					if by == -time.Hour && !doubted {
						want = 9 // a call of the period before, as it looks
					}
					if got := p.Spent(s, noon); got != want {
						t.Errorf("per %s, off by %s, doubted %v: right again %d are spent, want %d", per, by, doubted, got, want)
					}
					// A first start on a clock that is doubted.
					if first := wrong.Book(vehicle.Spending{}, 9, noon.Add(by)); doubted && p.Spent(first, noon) != 9 {
						t.Errorf("per %s, off by %s: of a first start nothing is known: %+v", per, by, first)
					}
				}
			}
		}
	}
}
