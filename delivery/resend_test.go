package delivery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"plugbeat/webhook"
)

// A resend has the webhook-id of what it resends, and stands in its vehicle's
// order by its own id: behind what waits, before what is made later.
func TestResendKeepsItsPlace(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		first := r.produce(1)[0]
		rest(time.Second)
		// From here each request takes a minute, so that the order shows.
		r.r.set(func(context.Context, string, int) (int, error) { time.Sleep(10 * time.Second); return 200, nil })
		before := r.produce(1)[0]
		again, err := r.Resend(t.Context(), first.ID)
		if err != nil || again.MessageID != first.ID || again.ResendOf == nil || *again.ResendOf != first.ID {
			t.Fatal(again, err)
		}
		after := r.produce(1)[0]
		rest(time.Minute)
		want := []string{first.ID.String(), before.ID.String(), first.ID.String(), after.ID.String()}
		if got := r.r.ids(); !slices.Equal(got, want) {
			t.Errorf("sent %v\nwant %v", got, want)
		}
		r.balanced(t, 4, 0)
		if !strings.Contains(r.log.String(), `"delivery.resent"`) {
			t.Error("it is not in the log")
		}
	})
}

// While its webhook is disabled a resend waits, and what waits cannot be resent.
func TestResendWaits(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		first := r.produce(1)[0]
		rest(time.Second)
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		again, err := r.Resend(t.Context(), first.ID)
		if err != nil {
			t.Fatal(err)
		}
		rest(24 * time.Hour)
		if r.r.sent() != 1 {
			t.Errorf("%d sent to a disabled webhook", r.r.sent())
		}
		if _, err := r.Resend(t.Context(), again.ID); !errors.Is(err, webhook.ErrConflict) {
			t.Error(err)
		}
		if _, err := r.Enable(t.Context(), r.id, false, ""); err != nil {
			t.Fatal(err)
		}
		rest(time.Second)
		r.balanced(t, 2, 0)
	})
}
