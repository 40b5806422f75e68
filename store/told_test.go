package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// teller is a fixture with what its store told, in short: "made 1", "finished 1/2" of
// vehicle 1 after its second attempt.
func teller(t *testing.T) (f *fixture, told func() string) {
	var lines []string
	f = open(t, func(o *Options) {
		o.Committed = func(changes []webhook.Change) {
			for _, c := range changes {
				line := fmt.Sprint(c.Action, " ", c.Vehicle[15])
				if c.Kind == webhook.WebhookChange {
					line = fmt.Sprint(c.Action, " ", c.WebhookName, " ", c.Status)
				}
				if c.Attempt != nil {
					line += fmt.Sprint("/", c.Attempt.N)
				}
				lines = append(lines, line)
			}
		}
	})
	return f, func() string {
		out := strings.Join(lines, ", ")
		lines = nil
		return out
	}
}

// The store tells each change after its commit and in the order of the commits.
func TestTold(t *testing.T) {
	f, told := teller(t)
	f.fleet(1, 3)
	if got := told(); got != "added hook 1 active" {
		t.Error(got)
	}
	a, b := f.produce(1)[0], f.produce(2)[0]
	f.settle(a, webhook.Waiting)
	f.settle(a, webhook.Delivered)
	// What ends without an attempt has none.
	c := f.produce(3)[0]
	f.settle(c, webhook.Delivered)
	if _, _, err := f.Finish(ctx, wid(1), []uuid.UUID{b.ID}, func(_ *webhook.Webhook, ds []*webhook.Delivery) error {
		return ds[0].Apply(webhook.Superseded, f.now, "a newer one leaves")
	}); err != nil {
		t.Fatal(err)
	}
	want := "read 1, made 1, read 2, made 2, attempted 1/1, finished 1/2, read 3, made 3, finished 3/1, finished 2"
	if got := told(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	again, err := f.Resend(ctx, a.ID)
	must(t, err)
	if got := told(); got != "made 1" {
		t.Error(got)
	}
	if _, err := f.RemoveVehicle(ctx, again.Vehicle); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "finished 1" {
		t.Error(got)
	}
	f.produce(2)
	if _, err := f.RemoveWebhook(ctx, wid(1), func() {}); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "read 2, made 2, changed hook 1 disabled, removed hook 1 disabled, finished 2" {
		t.Error(got)
	}
}

// Of a webhook the store tells what an operator would see: not its counters.
func TestToldOfWebhooks(t *testing.T) {
	f, told := teller(t)
	f.fleet(1, 1)
	told()
	for _, step := range []struct {
		change func(w *webhook.Webhook) error
		want   string
	}{
		{func(w *webhook.Webhook) error { w.Seq++; return nil }, ""},
		{func(w *webhook.Webhook) error { w.Breaker.LastSuccess = t0; return nil }, ""},
		{func(w *webhook.Webhook) error { w.Breaker.OpenSince = t0; return nil }, "changed hook 1 active"},
		{func(w *webhook.Webhook) error { w.Breaker.OpenSince = time.Time{}; return nil }, "changed hook 1 active"},
		{func(w *webhook.Webhook) error { w.Status, w.Reason = webhook.Disabled, webhook.Gone; return nil }, "changed hook 1 disabled"},
		{func(w *webhook.Webhook) error { w.Name = "home"; return nil }, "changed home disabled"},
		{func(w *webhook.Webhook) error { w.Name = "away"; return errors.New("refused") }, ""},
	} {
		_, _ = f.UpdateWebhook(ctx, wid(1), step.change)
		if got := told(); got != step.want {
			t.Errorf("told %q, want %q", got, step.want)
		}
	}
}

// What a commit did not take is not told, and what a spoiled group is run again for is
// told once.
func TestToldOnlyWhatIsCommitted(t *testing.T) {
	f, told := teller(t)
	f.fleet(1, 2)
	told()
	// The first operation holds the writer until both others are queued, so that they
	// are one group; one of them spoils it after it has written.
	held, hold, made := make(chan struct{}), make(chan struct{}), make(chan error, 3)
	go func() { made <- f.update(ctx, func(*writeTx) error { close(held); <-hold; return nil }) }()
	<-held
	go func() {
		_, err := f.CompleteRead(ctx, vid(1), fireAll(f.now))
		made <- err
	}()
	spoils := errors.New("after a write")
	go func() {
		made <- f.update(ctx, func(w *writeTx) error {
			h, err := w.hook(wid(1))
			if err != nil {
				return err
			}
			w.touch(h)
			w.tellWebhook(h, webhook.Changed)
			return spoils
		})
	}()
	for len(f.ops) < 2 {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	var errs []error
	for range 3 {
		errs = append(errs, <-made)
	}
	if !slices.Contains(errs, spoils) || told() != "read 1, made 1" {
		t.Error(errs)
	}
}
