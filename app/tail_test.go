package app

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/internal/receiver"
	"plugbeat/store"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// follower tails a daemon as the command does: from its cursor, through whatever
// happens to the daemon.
type follower struct {
	mu     sync.Mutex
	after  webhook.Cursor
	steps  []webhook.Change
	breaks int
}

func (f *follower) at() webhook.Cursor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.after
}

func (f *follower) run(ctx context.Context, t *testing.T, socket string) {
	for ctx.Err() == nil {
		c := api.Dial(socket)
		a, err := c.Tail(ctx, api.TailQuery{After: f.at().String(), Wait: 20 * time.Second})
		c.Close()
		f.mu.Lock()
		if err != nil {
			f.breaks++
		} else {
			f.steps, f.after = append(f.steps, a.Items...), a.Next
		}
		f.mu.Unlock()
		if a.Missed {
			t.Error("something was missed")
		}
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// Over restarts of the daemon a tail misses nothing and gets nothing twice: it is
// held against the data file itself. And a tail that waits keeps no stop waiting.
func TestTailOverRestarts(t *testing.T) {
	d := quiet(t)
	must(t, d.boot(t.Context()))
	must(t, d.setUp(t.Context()))
	begun, err := d.client.Tail(t.Context(), api.TailQuery{})
	must(t, err)
	n := 0
	var mu sync.Mutex
	d.receiver.Rule(func(m receiver.Message) receiver.Answer {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%3 == 0 && m.Event != "verify" {
			return receiver.Answer{Status: http.StatusInternalServerError}
		}
		return receiver.Answer{}
	})
	ctx, leave := context.WithCancel(t.Context())
	f := follower{after: begun.Next}
	var following sync.WaitGroup
	following.Go(func() { f.run(ctx, t, d.cfg.Socket) })
	for range 6 {
		before := len(d.receiver.Accepted())
		eventually(t, "deliveries", func() bool { return len(d.receiver.Accepted()) >= before+4 })
		began := time.Now()
		must(t, d.halt())
		if took := time.Since(began); took > d.cfg.Grace/2 {
			t.Errorf("the stop took %s", took)
		}
		must(t, d.boot(t.Context()))
	}
	before := len(d.receiver.Accepted())
	eventually(t, "deliveries", func() bool { return len(d.receiver.Accepted()) >= before+4 })
	// Nothing new is made from here on, so that the tail has an end.
	_, err = d.client.DisableWebhook(t.Context(), "demo")
	must(t, err)
	eventually(t, "an end", func() bool {
		st, err := d.client.Status(t.Context())
		if err != nil || st.Webhooks[0].Lane.InFlight > 0 {
			return false
		}
		at, err := d.client.Tail(t.Context(), api.TailQuery{})
		return err == nil && f.at() == at.Next
	})
	leave()
	following.Wait()
	must(t, d.halt())

	key, err := d.cfg.SealingKey()
	must(t, err)
	s, err := store.Open(store.Options{Path: d.cfg.DataFile(), Key: key})
	must(t, err)
	defer func() { _ = s.Close() }()
	var want []webhook.Change
	for after := uint64(begun.Next); ; {
		p, err := s.Changes(t.Context(), webhook.DeliveryFilter{}, after, 0)
		must(t, err)
		if p.Next == after {
			break
		}
		want, after = append(want, p.Changes...), p.Next
	}
	steps := f.steps
	t.Logf("%d steps followed over 6 restarts, %d questions without an answer", len(steps), f.breaks)
	if len(steps) != len(want) || f.breaks == 0 {
		t.Fatalf("%d steps, the data file has %d", len(steps), len(want))
	}
	made, ended := map[uuid.UUID]bool{}, map[uuid.UUID]int{}
	for i, c := range steps {
		if c.Cursor != want[i].Cursor || c.State != want[i].State || c.Delivery.ID != want[i].Delivery.ID {
			t.Fatalf("step %d is %+v, want %+v", i, c, want[i])
		}
		if c.State == webhook.Waiting && c.Attempt == nil {
			made[c.Delivery.ID] = true
		}
		if c.State.Final() {
			ended[c.Delivery.ID]++
		}
	}
	for id, n := range ended {
		if n != 1 {
			t.Errorf("delivery %s ended %d times", id, n)
		}
	}
	if len(made) < 20 || len(ended) < 20 {
		t.Errorf("only %d made and %d ended", len(made), len(ended))
	}
}
