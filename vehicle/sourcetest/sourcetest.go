// Package sourcetest is the conformance suite that every [vehicle.Source]
// passes, polled or pushing. It holds a source to what the scheduler and the payload
// rely on: only what was asked for, per path a value or a fault and never both, times
// that can be ordered, no guess of the plug, safe concurrent use, an end when the
// context ends. A [vehicle.Pusher] hints of changes, and a restart of it makes no value
// younger than it is.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// Harness is one source with a far side that the suite can steer. Fields that a
// source cannot offer are nil; what they serve is then skipped.
type Harness struct {
	Source vehicle.Source
	// Ref is a vehicle whose three paths have values, and Plug how it is plugged. A far side
	// that need not tell all three tells them of Ref.
	Ref  vehicle.Ref
	Plug vehicle.Plug
	// Unknown is a vehicle that the source does not have.
	Unknown vehicle.Ref
	// Fail makes the far side answer a fault at these paths of Ref from now on.
	Fail func(f *vehicle.Fault, paths vehicle.Paths)
	// Garble makes the far side answer Ref with something that is no value: the
	// plug missing, or null, or a page of HTML. A pushing source may take a moment to hear of
	// it.
	Garble []func()
	// Block makes the far side keep its answers for Ref back for a minute or more.
	Block func()
	// Asked returns how many path reads of Ref the far side has counted.
	Asked func() uint64

	// The rest is for a [vehicle.Pusher]. The suite has it push from the start.

	// Change has the far side tell that Ref's plug is the other way now, for so long that
	// it settles.
	Change func()
	// Reopen returns a source of the same far side that knows what was stored of Ref, as
	// after a restart of plugbeat; the far side tells it again what it told before.
	Reopen func(known vehicle.Known) vehicle.Source

	hints *hints
}

// hints are those of a pushing source.
type hints struct {
	mu   sync.Mutex
	seen map[uuid.UUID]int
}

func (h *hints) of(id uuid.UUID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen[id]
}

// pushTime is how long a pushing source may take for what it does by itself: to hear of
// what is there, to settle a change, to end.
const pushTime = 10 * time.Second

// push has a pushing source push until the test ends, and waits for a value of Ref.
func (h *Harness) push(t *testing.T) {
	t.Helper()
	p, ok := h.Source.(vehicle.Pusher)
	if !ok {
		return
	}
	heard := &hints{seen: map[uuid.UUID]int{}}
	h.hints = heard
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := p.Push(ctx, func(id uuid.UUID) {
			heard.mu.Lock()
			defer heard.mu.Unlock()
			heard.seen[id]++
		})
		if ctx.Err() == nil {
			t.Errorf("Push ended by itself: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(pushTime):
			t.Error("Push does not end with its context")
		}
	})
	await(t, "a value", func() bool {
		s, err := p.Read(t.Context(), h.Ref, vehicle.AllPaths)
		return err == nil && s.Charge.OK
	})
}

// Run runs the suite. setup is called for each test and must return a source and a far side
// of its own: the tests run beside each other.
func Run(t *testing.T, setup func(t *testing.T) Harness) {
	pushing := func(t *testing.T) Harness {
		h := setup(t)
		h.push(t)
		return h
	}
	run := func(name string, test func(*testing.T, Harness)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, pushing(t))
		})
	}
	run("values", values)
	run("only what was asked for", subsets)
	run("faults", faults)
	run("one path's fault leaves the others", partial)
	t.Run("no guess", func(t *testing.T) {
		t.Parallel()
		garbled(t, pushing)
	})
	run("unknown vehicle", unknown)
	run("concurrent", concurrent)
	run("context ended before", cancelled)
	run("context ends during", cancelledDuring)
	run("a change is pushed", changed)
	run("a restart makes nothing younger", reopened)
}

// Check returns what is wrong with a snapshot as the answer to a read of these
// paths made between two instants; nil when nothing is. A pushing source may have
// fetched it at any time before: before is zero then.
func Check(s vehicle.Snapshot, paths vehicle.Paths, before, after time.Time) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if paths != 0 {
		if _, err := uuid.Parse(s.RequestID); err != nil {
			bad("request id %q is not a UUID", s.RequestID)
		}
	}
	if got := s.Asked(); got != paths {
		bad("answered [%v], asked [%v]", got, paths)
	}
	check(bad, vehicle.PathCharge, s.Charge, before, after)
	check(bad, vehicle.PathBattery, s.Battery, before, after)
	check(bad, vehicle.PathLocation, s.Location, before, after)
	if c := s.Charge; c.OK {
		switch c.Value.State {
		case "", vehicle.Charging, vehicle.FullyCharged, vehicle.NotCharging:
		default:
			bad("/charge: state %q", c.Value.State)
		}
		if c.Value.Plug != vehicle.PluggedIn && c.Value.Plug != vehicle.Unplugged {
			bad("/charge: an unknown plug is a fault, not a value")
		}
	}
	if b := s.Battery; b.OK {
		if p := b.Value.PercentRemaining; !(p >= 0 && p <= 1) {
			bad("/battery: percent remaining %v", p)
		}
		if r := b.Value.RangeKm; r != nil && !(*r >= 0) {
			bad("/battery: range %v", *r)
		}
	}
	if l := s.Location; l.OK {
		if v := l.Value; !(v.Latitude >= -90 && v.Latitude <= 90 && v.Longitude >= -180 && v.Longitude <= 180) {
			bad("/location: %v", v)
		}
	}
	return errors.Join(errs...)
}

// precision is what the wire's times are cut to.
const precision = time.Millisecond

func check[T comparable](bad func(string, ...any), p vehicle.Path, r vehicle.Reading[T], before, after time.Time) {
	var zero T
	switch {
	case r.OK && r.Fault != nil:
		bad("%v: both a value and a fault", p)
	case !r.OK && r.Value != zero:
		bad("%v: no value, yet %v", p, r.Value)
	case r.Fault != nil:
		if r.Fault.Type == "" || r.Fault.Description == "" || r.Fault.Status < 400 || r.Fault.Status > 599 {
			bad("%v: fault lacks type, description or status: %+v", p, r.Fault)
		}
	}
	if !r.Asked() {
		if r != (vehicle.Reading[T]{}) {
			bad("%v: not asked for, yet not zero: %+v", p, r)
		}
		return
	}
	if r.FetchedAt.IsZero() || r.FetchedAt.Before(before.Add(-precision)) || r.FetchedAt.After(after) {
		bad("%v: fetched at %v, read between %v and %v", p, r.FetchedAt, before, after)
	}
	if r.DataAge.After(r.FetchedAt.Add(precision)) {
		bad("%v: data age %v is later than fetched at %v", p, r.DataAge, r.FetchedAt)
	}
}

// read makes one read and checks its form. A whole read's error becomes the
// fault of every path, as the scheduler has it.
func read(t *testing.T, h Harness, ref vehicle.Ref, paths vehicle.Paths) vehicle.Snapshot {
	t.Helper()
	before := time.Now()
	s, err := h.Source.Read(t.Context(), ref, paths)
	after := time.Now()
	if h.hints != nil {
		before = time.Time{}
	}
	if err != nil {
		f := vehicle.AsFault(err)
		if f.RequestID != "" {
			s.RequestID = f.RequestID
		}
		if s.RequestID == "" {
			s.RequestID = uuid.NewString()
		}
		s.Fail(paths, f, after)
	}
	if err := Check(s, paths, before, after); err != nil {
		t.Errorf("read of [%v]: %v", paths, err)
	}
	return s
}

func values(t *testing.T, h Harness) {
	s := read(t, h, h.Ref, vehicle.AllPaths)
	for p := range vehicle.AllPaths.All() {
		if f := s.Fault(p); f != nil {
			t.Fatalf("%v: %v", p, f)
		}
	}
	if s.Charge.Value.Plug != h.Plug {
		t.Errorf("plug %v, want %v", s.Charge.Value.Plug, h.Plug)
	}
}

func subsets(t *testing.T, h Harness) {
	for paths := range vehicle.AllPaths + 1 {
		var before uint64
		if h.Asked != nil {
			before = h.Asked()
		}
		s := read(t, h, h.Ref, paths)
		for p := range paths.All() {
			if f := s.Fault(p); f != nil {
				t.Errorf("[%v]: %v: %v", paths, p, f)
			}
		}
		if h.Asked != nil {
			if n := h.Asked() - before; n != uint64(paths.Len()) {
				t.Errorf("[%v]: the far side counted %d path reads, want %d", paths, n, paths.Len())
			}
		}
	}
}

func faults(t *testing.T, h Harness) {
	if h.Fail == nil {
		t.Skip("the far side cannot fail")
	}
	for _, f := range []*vehicle.Fault{
		{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409, Description: "asleep"},
		{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: 400, Resolution: vehicle.ResolveReauthenticate,
			Description: "sign in"},
		{Type: vehicle.TypeUpstream, Code: "NO_RESPONSE", Status: 502, Resolution: vehicle.ResolveRetryLater, Description: "no response"},
	} {
		h.Fail(f, vehicle.AllPaths)
		for _, paths := range []vehicle.Paths{vehicle.AllPaths, vehicle.PathsOf(vehicle.PathCharge)} {
			s := read(t, h, h.Ref, paths)
			for p := range paths.All() {
				got := s.Fault(p)
				if got == nil {
					t.Errorf("%v: a value where %v was answered", p, f)
				} else if got.Type != f.Type || got.Code != f.Code || got.Resolution != f.Resolution {
					t.Errorf("%v: %s:%s %s, want %s:%s %s", p, got.Type, got.Code, got.Resolution, f.Type, f.Code, f.Resolution)
				}
			}
			if got := vehicle.StateOf(s.Charge); got != vehicle.StateUnknown {
				t.Errorf("state %v of a vehicle that answers %v", got, f)
			}
		}
	}
}

func partial(t *testing.T, h Harness) {
	if h.Fail == nil {
		t.Skip("the far side cannot fail")
	}
	h.Fail(&vehicle.Fault{Type: vehicle.TypePermission, Status: 403, Description: "not permitted"}, vehicle.PathsOf(vehicle.PathLocation))
	s := read(t, h, h.Ref, vehicle.AllPaths)
	if f := s.Location.Fault; f == nil || f.Type != vehicle.TypePermission {
		t.Errorf("/location: %v, want PERMISSION", f)
	}
	if !s.Charge.OK || !s.Battery.OK {
		t.Errorf("/charge %v and /battery %v are no longer read", s.Charge.Fault, s.Battery.Fault)
	}
}

func garbled(t *testing.T, setup func(t *testing.T) Harness) {
	n := len(setup(t).Garble)
	if n == 0 {
		t.Skip("the far side cannot garble")
	}
	for i := range n {
		h := setup(t)
		h.Garble[i]()
		if p, pushes := h.Source.(vehicle.Pusher); pushes {
			await(t, fmt.Sprintf("that what is garbled (%d) is no value", i), func() bool {
				s, err := p.Read(t.Context(), h.Ref, vehicle.AllPaths)
				return err != nil || !s.Charge.OK
			})
		}
		s := read(t, h, h.Ref, vehicle.AllPaths)
		if s.Charge.OK || vehicle.StateOf(s.Charge) != vehicle.StateUnknown {
			t.Errorf("garbled %d: /charge is %+v", i, s.Charge.Value)
		}
	}
}

func unknown(t *testing.T, h Harness) {
	s := read(t, h, h.Unknown, vehicle.AllPaths)
	for p := range vehicle.AllPaths.All() {
		if s.Fault(p) == nil {
			t.Errorf("%v: a value of a vehicle that is not there", p)
		}
	}
}

func concurrent(t *testing.T, h Harness) {
	var wg sync.WaitGroup
	for n := range 24 {
		wg.Go(func() {
			paths := vehicle.Paths(n)%vehicle.AllPaths + 1
			s := read(t, h, h.Ref, paths)
			for p := range paths.All() {
				if f := s.Fault(p); f != nil {
					t.Errorf("[%v]: %v: %v", paths, p, f)
				}
			}
		})
	}
	wg.Wait()
}

func cancelled(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var before uint64
	if h.Asked != nil {
		before = h.Asked()
	}
	_, err := h.Source.Read(ctx, h.Ref, vehicle.AllPaths)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one that wraps context.Canceled", err)
	}
	if h.Asked != nil && h.Asked() != before {
		t.Error("the far side was asked all the same")
	}
}

func cancelledDuring(t *testing.T, h Harness) {
	if h.Block == nil {
		t.Skip("the far side cannot keep an answer back")
	}
	read(t, h, h.Ref, vehicle.AllPaths) // what a first read sets up is not part of it
	h.Block()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := h.Source.Read(ctx, h.Ref, vehicle.AllPaths)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want one that wraps context.DeadlineExceeded", err)
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("the read ended %v after its context", d)
	}
}

func changed(t *testing.T, h Harness) {
	if h.hints == nil {
		t.Skip("the source does not push")
	}
	if h.Change == nil {
		t.Fatal("the harness of a pushing source needs Change")
	}
	values(t, h)
	n := h.hints.of(h.Ref.ID)
	h.Change()
	await(t, "a hint of the change", func() bool { return h.hints.of(h.Ref.ID) > n })
	other := map[vehicle.Plug]vehicle.Plug{vehicle.PluggedIn: vehicle.Unplugged, vehicle.Unplugged: vehicle.PluggedIn}[h.Plug]
	if s := read(t, h, h.Ref, vehicle.AllPaths); !s.Charge.OK || s.Charge.Value.Plug != other {
		t.Errorf("after the hint the plug is %+v, want %v", s.Charge, other)
	}
}

func reopened(t *testing.T, h Harness) {
	if h.Reopen == nil {
		t.Skip("the source does not push, or cannot be opened again")
	}
	before := read(t, h, h.Ref, vehicle.AllPaths)
	known := vehicle.Known{Vehicle: vehicle.Vehicle{ID: h.Ref.ID, Native: h.Ref.Native}, Status: vehicle.Status{
		State: vehicle.StateOf(before.Charge), Last: before, ObservedAt: before.Charge.ObservedAt(), SeenAt: before.Charge.FetchedAt,
	}}
	time.Sleep(2 * precision) // so that what is fetched from here on can be told
	h.Source = h.Reopen(known)
	h.push(t)
	after := read(t, h, h.Ref, vehicle.AllPaths)
	if !after.Charge.FetchedAt.Equal(before.Charge.FetchedAt) || !after.Charge.DataAge.Equal(before.Charge.DataAge) ||
		after.Charge.Value != before.Charge.Value {
		t.Errorf("/charge was %+v, and after a restart it is %+v", before.Charge, after.Charge)
	}
}

// await waits for what a pushing source does by itself.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(pushTime); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come: %s", what)
		}
	}
}
