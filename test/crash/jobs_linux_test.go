package crash

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/crash/stop"
	"plugbeat/webhook"
)

// TestRotationSteps stops the daemon before and after, and in, the commits of rotations
// of keys, under load. Each step of a rotation was made or was not: what was answered
// is made, what was not committed is not, and the receiver's check never fails.
func TestRotationSteps(t *testing.T) {
	t.Parallel()
	seed := seedOf()
	h := newHarness(t, buildStepped(t, "points", *points), seed, often)
	h.faulty.mend()
	ctx := context.Background()
	count := map[string]int{}
	known := map[string]string{}    // the new key of a webhook in its overlap, where its answer came
	rotated := map[string][]int64{} // when a webhook's rotation was answered, in unix seconds
	order := []stop.Step{stop.BeforeChange, stop.AfterChange, stop.Syncing}
	for n := range *points / 5 {
		name := fmt.Sprintf("hook-%d", h.random.IntN(receivers))
		h.busy(1)
		before := h.hook(name)
		if before.KeyOverlap == nil && h.random.IntN(2) == 0 { // one that is answered, so that its key is known
			changed, err := h.d.Client().ChangeKey(ctx, name, adminapi.KeyChange{Step: adminapi.KeyRotate})
			if err != nil {
				t.Fatal(err)
			}
			before, known[name] = h.hook(name), changed.SigningKey
			rotated[before.ID.String()] = append(rotated[before.ID.String()], time.Now().Unix())
		}
		change := adminapi.KeyChange{Step: adminapi.KeyRotate}
		if before.KeyOverlap != nil {
			change.Step = adminapi.KeyCancel
			if key := known[name]; key != "" && h.random.IntN(3) > 0 {
				change = adminapi.KeyChange{Step: adminapi.KeyFinish, Force: true}
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
		if err == nil && change.Step == adminapi.KeyRotate {
			known[name] = changed.SigningKey
		} else if change.Step == adminapi.KeyFinish && !made {
			h.finish(name) // the receiver has the new key, and both sign yet
		}
		count[string(change.Step)+" "+reached.String()]++
	}
	h.until("all that was committed arrives", func() bool { return h.book.missing(h.r.Accepted()) == 0 })
	h.terminate()
	idle(t, h.server)
	for _, m := range h.r.Messages() {
		if m.Event != "verify" && (!m.Smartcar || !m.Standard && !underWay(m, rotated[m.Webhook])) {
			t.Fatalf("%s arrived with a wrong signature", m.ID)
		}
	}
	var b strings.Builder
	for what, n := range count {
		fmt.Fprintf(&b, "%5d  %s\n", n, what)
	}
	t.Logf("seed %d, %d stops in rotations:\n%s", seed, *points/5, b.String())
}

// underWay reports whether a request had begun when one of its webhook's rotations was
// answered, by the second: it has the old key's signature alone, and here the receiver
// gets the new key at that very moment.
func underWay(m receiver.Message, rotated []int64) bool {
	began, err := strconv.ParseInt(m.Header.Get("Webhook-Timestamp"), 10, 64)
	return err == nil && slices.ContainsFunc(rotated, func(at int64) bool { return began <= at && at-began <= 15 })
}

// finish ends a webhook's overlap with the new key.
func (h *harness) finish(name string) {
	h.t.Helper()
	if _, err := h.d.Client().ChangeKey(context.Background(), name, adminapi.KeyChange{Step: adminapi.KeyFinish, Force: true}); err != nil {
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

// until waits for what is to come about.
func (h *harness) until(what string, is func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("after 90 s it is not so that %s\n%s", what, h.log)
		}
	}
}
