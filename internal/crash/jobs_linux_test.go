package crash

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/internal/crash/stop"
	"plugbeat/store"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// TestReplaySteps stops the daemon before and after the slices of replays, and in their
// commits, until all are done. In the end each delivery of the past was made anew once,
// and arrived oftener than that only where it was in flight at a stop.
func TestReplaySteps(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	h := newHarness(t, buildStepped(t), *seed, "1h")
	h.faulty.mend()
	past := fleet * receivers
	h.until("the past is delivered", func() bool { return h.delivered() == past })
	if len(h.r.Accepted()) != past {
		t.Fatalf("%d arrived, want %d", len(h.r.Accepted()), past)
	}
	begun, err := h.d.Client().Replay(context.Background(), api.ReplayRequest{State: webhook.Delivered, Rate: 10})
	if err != nil || len(begun.Items) != receivers {
		t.Fatalf("%+v %v", begun, err)
	}
	count, inFlight := map[string]int{}, 0
	order := []stop.Step{stop.BeforeSlice, stop.AfterSlice, stop.Syncing, stop.AfterSlice, stop.BeforeSlice, stop.Writing}
	for n := 0; h.replaying(); n++ {
		step := order[n%len(order)]
		if n%4 == 3 {
			h.refuse([]stop.Disk{stop.Full, stop.ReadOnly}[n/4%2])
		}
		h.page.Arm(step, 1+h.random.IntN(3))
		if !h.stopped(5 * time.Second) {
			h.kill()
		}
		idle(t, h.server)
		if h.page.Reached() == step {
			count[step.String()]++
		}
		h.wanted()
		if step == stop.Syncing || step == stop.Writing {
			if _, err := h.cutPower(); err != nil {
				t.Fatal(err)
			}
		}
		inFlight += h.page.InFlight()
		if problems, err := store.CheckFile(h.d.DataFile()); err != nil || len(problems) > 0 {
			t.Fatalf("stop %d: %v %v", n, err, problems)
		}
		h.start()
	}
	h.until("what was made anew is delivered", func() bool { return h.delivered() == 2*past })
	h.terminate()
	idle(t, h.server)
	s := openStore(t, h.d)
	defer func() { _ = s.Close() }()
	anew, again := map[string]int{}, 0
	for _, hook := range h.hooks {
		ds, err := s.Deliveries(context.Background(), webhook.DeliveryFilter{Webhook: hook}, uuid.Nil, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			if d.ResendOf != nil {
				anew[d.MessageID.String()]++
			}
		}
	}
	for id, n := range h.r.Accepted() {
		if anew[id] != 1 || n < 2 {
			t.Errorf("%s was made anew %d times and arrived %d times", id, anew[id], n)
		}
		again += n - 2
	}
	if again > inFlight {
		t.Errorf("%d came again, %d were in flight at the stops", again, inFlight)
	}
	t.Logf("seed %d: %d made anew once each; stopped %v; %d in flight at the stops, %d came again", *seed, len(anew), count, inFlight, again)
	if count[stop.BeforeSlice.String()] < 5 || count[stop.AfterSlice.String()] < 5 {
		t.Error("too few stops at slices")
	}
}

// TestRotationSteps stops the daemon before and after, and in, the commits of rotations
// of keys, under load. Each step of a rotation was made or was not: what was answered
// is made, what was not committed is not, and the receiver's check never fails.
func TestRotationSteps(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	h := newHarness(t, buildStepped(t), *seed, often)
	h.faulty.mend()
	ctx := context.Background()
	count := map[string]int{}
	known := map[string]string{} // the new key of a webhook in its overlap, where its answer came
	order := []stop.Step{stop.BeforeChange, stop.AfterChange, stop.Syncing}
	for n := range *points / 5 {
		name := fmt.Sprintf("hook-%d", h.random.IntN(receivers))
		h.busy(1)
		before := h.hook(name)
		if before.KeyOverlap == nil && h.random.IntN(2) == 0 { // one that is answered, so that its key is known
			changed, err := h.d.Client().ChangeKey(ctx, name, api.KeyChange{Step: api.KeyRotate})
			if err != nil {
				t.Fatal(err)
			}
			before, known[name] = h.hook(name), changed.SigningKey
		}
		change := api.KeyChange{Step: api.KeyRotate}
		if before.KeyOverlap != nil {
			change.Step = api.KeyCancel
			if key := known[name]; key != "" && h.random.IntN(3) > 0 {
				change = api.KeyChange{Step: api.KeyFinish, Force: true}
				if err := h.r.Know(before.ID.String(), key); err != nil {
					t.Fatal(err)
				}
			}
		}
		step := order[n%len(order)]
		h.page.Arm(step, 1)
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		changed, err := h.d.Client().ChangeKey(within, name, change)
		cancel()
		if !h.stopped(time.Second) {
			h.kill()
		}
		if step == stop.Syncing {
			idle(t, h.server)
			if _, err := h.cutPower(); err != nil {
				t.Fatal(err)
			}
		}
		h.look(n)
		reached := h.page.Reached()
		h.start()
		made := (h.hook(name).KeyOverlap != nil) != (before.KeyOverlap != nil)
		switch {
		case err == nil && !made:
			t.Fatalf("stop %d, %s of %s was answered and is not there after a stop %s", n, change.Step, name, reached)
		case err != nil && reached == stop.BeforeChange && made:
			t.Fatalf("stop %d, %s of %s is there after a stop before its commit", n, change.Step, name)
		case err != nil && reached == stop.AfterChange && !made:
			t.Fatalf("stop %d, %s of %s is not there after a stop after its commit", n, change.Step, name)
		}
		delete(known, name)
		if err == nil && change.Step == api.KeyRotate {
			known[name] = changed.SigningKey
		} else if change.Step == api.KeyFinish && !made {
			h.finish(name) // the receiver has the new key, and both sign yet
		}
		count[string(change.Step)+" "+reached.String()]++
	}
	h.until("all that was committed arrives", func() bool { return h.book.missing(h.r.Accepted()) == 0 })
	h.terminate()
	idle(t, h.server)
	for _, m := range h.r.Messages() {
		if m.Event != "verify" && (!m.Smartcar || !m.Standard) {
			t.Fatalf("%s arrived with a wrong signature", m.ID)
		}
	}
	var b strings.Builder
	for what, n := range count {
		fmt.Fprintf(&b, "%5d  %s\n", n, what)
	}
	t.Logf("seed %d, %d stops in rotations:\n%s", *seed, *points/5, b.String())
}

// refuse lets the disk refuse for a while, which is no reason to end.
func (h *harness) refuse(d stop.Disk) {
	h.t.Helper()
	h.page.SetDisk(d)
	for deadline := time.Now().Add(2 * time.Second); h.page.Refused() < 5 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	h.page.SetDisk(stop.Well)
}

// finish ends a webhook's overlap with the new key.
func (h *harness) finish(name string) {
	h.t.Helper()
	if _, err := h.d.Client().ChangeKey(context.Background(), name, api.KeyChange{Step: api.KeyFinish, Force: true}); err != nil {
		h.t.Fatal(err)
	}
}

// hook is a webhook as the running daemon has it.
func (h *harness) hook(name string) webhook.Webhook {
	h.t.Helper()
	w, err := h.d.Client().Webhook(context.Background(), name)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, h.log)
	}
	return w.Webhook
}

// delivered is how many deliveries the ledgers have as such.
func (h *harness) delivered() (n int) {
	for i := range receivers {
		n += int(h.hook(fmt.Sprintf("hook-%d", i)).Ledger.Delivered) //nolint:gosec // a small number
	}
	return n
}

// replaying reports whether a webhook has a replay that is not done.
func (h *harness) replaying() bool {
	for i := range receivers {
		if h.hook(fmt.Sprintf("hook-%d", i)).Replay != nil {
			return true
		}
	}
	return false
}

// until waits for what is to come about.
func (h *harness) until(what string, is func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("after 90 s it is not so that %s\n%s", what, h.log)
		}
	}
}
