package crash

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/store"
	"plugbeat/test/crash/stop"
)

var points = flag.Int("points", 0, "at how many points the stepped daemon is stopped with work in flight")

// perFolder is how many points one data file goes through before another is begun, as
// looking at it takes the longer the more it holds.
const perFolder = 50

// point is one stop: where, and what else is wrong.
type point struct {
	step stop.Step
	// power is cut too: what of the data file was not synced is lost in part.
	power bool
	// disk is what the disk had become before the stop; it is well at the next start.
	disk stop.Disk
	// clock is by how many seconds the machine's clock is set before the next start.
	clock int64
}

// TestSteps stops the daemon before and after its commits and requests, in the middle
// of commits, and at any moment, each time with requests in flight; now and then the power
// is cut too, the disk had become full or read-only, or the clock is set. After each stop it
// holds the file against what is known from outside: it is sound, every delivery that
// was committed before is there, none arrived that is not, none is booked that did not
// arrive, at most what was in flight is unbooked, and no delivery that was set aside
// had more retries than the schedule has. In the end each has reached the receiver, and none came again
// oftener than it was in flight at a stop.
func TestSteps(t *testing.T) {
	t.Parallel()
	seed := seedOf()
	binary := buildStepped(t, "points", *points)
	all := plan(*points, rand.New(rand.NewPCG(seed, 3)))
	began := time.Now()
	var mu sync.Mutex
	h := histogram{}
	t.Run("points", func(t *testing.T) {
		for n := 0; n < len(all); n += perFolder {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				got := walk(t, newHarness(t, binary, seed+uint64(n), often), all[n:min(n+perFolder, len(all))])
				mu.Lock()
				defer mu.Unlock()
				h.add(got)
			})
		}
	})
	h.print(t)
	t.Logf("seed %d, %d points in %v", seed, len(all), time.Since(began).Round(time.Second))
	least := len(all) / len(steps)
	for _, name := range names() {
		if h.count[name] < least && !t.Failed() {
			t.Errorf("the daemon was stopped %d times %s, want %d", h.count[name], name, least)
		}
	}
}

// steps are those that points are spread over.
var steps = []stop.Step{
	stop.BeforeRead, stop.AfterRead, stop.BeforeOutcomes, stop.AfterOutcomes, stop.BeforeRequest, stop.AfterRequest,
	stop.Writing, stop.Syncing, stop.Synced, stop.Moment,
}

// inCommit reports whether the step is in the middle of a commit.
func inCommit(s stop.Step) bool { return s == stop.Writing || s == stop.Syncing || s == stop.Synced }

// plan spreads n points evenly over the steps, in no order.
func plan(n int, random *rand.Rand) []point {
	all := make([]point, n)
	for i := range all {
		p := point{step: steps[i%len(steps)]}
		p.power = inCommit(p.step) || random.IntN(2) == 0
		// While the disk refuses, little is read and little leaves, but what is in flight
		// comes to its outcome.
		switch p.step {
		case stop.BeforeRead, stop.AfterRead, stop.BeforeRequest, stop.AfterRequest:
		default:
			p.disk = []stop.Disk{stop.Well, stop.Full, stop.ReadOnly}[(i/len(steps)+i)%3]
		}
		if i%8 == 3 {
			p.clock = int64(random.IntN(12*3600)) - 6*3600
		}
		all[i] = p
	}
	random.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// walk takes a folder through its points.
func walk(t *testing.T, h *harness, points []point) histogram {
	got := histogram{}
	for n, p := range points {
		for tries := 1; ; tries++ {
			if h.at(p) {
				break
			}
			got.idle++
			t.Logf("try %d of point %d, %s, disk %s, clock %ds: not stopped, or with %d requests in flight", tries, n, p.step, p.disk, h.clock.Load(), h.page.InFlight())
			if tries == 20 {
				t.Fatalf("point %d: in 20 tries the daemon was never stopped %s with a request in flight", n, p.step)
			}
			h.look(n)
			h.start()
		}
		got.inFlight += h.page.InFlight()
		got.bump(p.step.String())
		if p.power {
			idle(t, h.server)
			torn, err := h.cutPower()
			if err != nil {
				t.Fatalf("point %d: %v", n, err)
			}
			if torn > 0 {
				got.bump(powerCut)
				got.torn += torn
			}
		}
		if p.disk != stop.Well {
			got.bump("disk " + p.disk.String())
		}
		got.unbooked += h.look(n)
		if p.clock != 0 {
			got.bump(clockSet)
			h.clock.Add(p.clock)
		}
		h.start()
	}
	h.faulty.mend()
	for deadline := time.Now().Add(time.Minute); h.book.missing(h.r.Accepted()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d deliveries that were committed before a stop never reached the receiver:\n%s", h.book.missing(h.r.Accepted()), h.d.Must("status"))
		}
	}
	h.terminate()
	idle(t, h.server)
	s := openStore(t, h.d)
	defer func() { _ = s.Close() }()
	accepted := h.r.Accepted()
	again, err := h.book.final(s, h.hooks, accepted)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range h.r.Messages() {
		if m.Event != "verify" && (!m.Smartcar || !m.Standard) {
			t.Fatalf("%s arrived with a wrong signature", m.ID)
		}
	}
	got.accepted, got.again = len(accepted), again
	return got
}

// at stops the daemon at a point, and reports whether it was one: whether requests
// were in flight.
func (h *harness) at(p point) bool {
	h.t.Helper()
	h.busy(1)
	time.Sleep(time.Duration(h.random.IntN(400)) * time.Millisecond) // another moment each time
	if p.disk != stop.Well {
		h.page.SetDisk(p.disk)
		for deadline := time.Now().Add(10 * time.Second); h.page.Refused() == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
	}
	if p.step == stop.Moment {
		h.kill()
		return h.page.InFlight() > 0
	}
	nth := 1
	if p.disk == stop.Well {
		nth += h.random.IntN(4)
	}
	h.page.Arm(p.step, nth)
	if !h.stopped(10 * time.Second) {
		h.kill()
	}
	h.wanted()
	return h.page.Reached() == p.step && h.page.InFlight() > 0
}

// look holds the file of the stopped daemon against what is known.
func (h *harness) look(n int) (unbooked int) {
	h.t.Helper()
	idle(h.t, h.server)
	if problems, err := store.CheckFile(h.d.DataFile()); err != nil || len(problems) > 0 {
		h.t.Fatalf("point %d: %v %v", n, err, problems)
	}
	s := openStore(h.t, h.d)
	defer func() { _ = s.Close() }()
	unbooked, err := h.book.stopped(s, h.hooks, h.r.Accepted(), h.page.InFlight())
	if err != nil {
		h.t.Fatalf("point %d: %v", n, err)
	}
	return unbooked
}

// What histograms count beside the steps.
const (
	powerCut = "with writes lost that were not synced"
	clockSet = "before the clock was set by up to 6 h"
)

// histogram is what came of the points.
type histogram struct {
	count                    map[string]int
	idle                     int // stops without work in flight, not counted
	inFlight, unbooked, torn int
	accepted, again          int
}

func (h *histogram) bump(name string) {
	if h.count == nil {
		h.count = map[string]int{}
	}
	h.count[name]++
}

func (h *histogram) add(o histogram) {
	for name, n := range o.count {
		if h.count == nil {
			h.count = map[string]int{}
		}
		h.count[name] += n
	}
	h.idle += o.idle
	h.inFlight += o.inFlight
	h.unbooked += o.unbooked
	h.torn += o.torn
	h.accepted += o.accepted
	h.again += o.again
}

// names are all that is counted and has to be there.
func names() (all []string) {
	for _, s := range steps {
		all = append(all, s.String())
	}
	return append(all, powerCut, "disk "+stop.Full.String(), "disk "+stop.ReadOnly.String(), clockSet)
}

func (h *histogram) print(t *testing.T) {
	var b strings.Builder
	for _, name := range names() {
		fmt.Fprintf(&b, "%5d  %s\n", h.count[name], name)
	}
	t.Logf("stops with requests in flight:\n%s%d stops more without any are not counted\n%d requests in flight at the stops, %d of them had arrived and were not booked; %d deliveries accepted, %d came again; %d writes were not synced when the power was cut",
		b.String(), h.idle, h.inFlight, h.unbooked, h.accepted, h.again, h.torn)
}
