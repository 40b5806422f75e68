package delivery

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
)

// A resend has the webhook-id of what it resends, and stands in its vehicle's order by
// its own id: behind what waits, before what is made later.
func TestResendKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		first := w.produce(1)[0]
		pass(time.Second)
		// From here each request takes ten seconds, so that the order shows.
		w.receiver.be(answer{status: 200, after: 10 * time.Second}, true)
		before := w.produce(1)[0]
		again, err := w.Resend(t.Context(), first.ID)
		if err != nil || again.MessageID != first.ID || again.ResendOf == nil || *again.ResendOf != first.ID {
			t.Fatal(again, err)
		}
		after := w.produce(1)[0]
		pass(time.Minute)
		var got []string
		for _, r := range w.receiver.sent() {
			got = append(got, r.message)
		}
		if want := []string{first.ID.String(), before.ID.String(), first.ID.String(), after.ID.String()}; !slices.Equal(got, want) {
			t.Errorf("sent %v\nwant %v", got, want)
		}
		if l := w.hook().Ledger; l.Delivered != 4 || l.Waiting() != 0 || w.queue().Waiting != 0 {
			t.Errorf("%+v", l)
		}
		if !strings.Contains(w.log.String(), `"delivery.resent"`) {
			t.Error("it is not in the log")
		}
	})
}

// While its webhook is disabled or its breaker open a resend waits, and what waits
// cannot be resent.
func TestResendWaits(t *testing.T) {
	for _, open := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			first := w.produce(1)[0]
			pass(time.Second)
			if open {
				w.receiver.be(failsWith(503), true)
				w.produce(2)
				pass(3 * time.Minute)
			} else {
				_, err := w.Disable(t.Context(), w.id)
				w.must(err)
			}
			again, err := w.Resend(t.Context(), first.ID)
			w.must(err)
			pass(time.Minute)
			if n := w.receiver.times(first); n != 1 {
				t.Errorf("open %v: sent %d times", open, n)
			}
			if _, err := w.Resend(t.Context(), again.ID); !errors.Is(err, webhook.ErrConflict) {
				t.Error(err)
			}
			w.receiver.be(accept, true)
			_, _, err = w.Enable(t.Context(), w.id, false, "")
			w.must(err)
			pass(time.Second)
			if d := w.get(again.ID); d.State != webhook.Delivered || w.hook().Ledger.Waiting() != 0 {
				t.Errorf("open %v: %s", open, d.State)
			}
		})
	}
}
