package webhook

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestChangeOf(t *testing.T) {
	for _, c := range []struct {
		state   State
		attempt *Attempt
		want    ChangeAction
	}{
		{Waiting, nil, Made}, {Waiting, &Attempt{N: 1}, Attempted}, {Delivered, &Attempt{N: 2}, Finished}, {Cancelled, nil, Finished},
	} {
		d := Delivery{ID: uuid.UUID{1}, Webhook: uuid.UUID{2}, Vehicle: uuid.UUID{3}, State: c.state}
		got := ChangeOf(d, c.attempt)
		if got.Kind != DeliveryChange || got.Action != c.want || got.Attempt != c.attempt || *got.Delivery != d || got.Webhook != d.Webhook || got.Vehicle != d.Vehicle {
			t.Errorf("%s with %v: %+v", c.state, c.attempt, got)
		}
	}
}

func TestChangedFrom(t *testing.T) {
	was := Webhook{ID: uuid.UUID{1}, Name: "home", Status: Active, Key: Secret("one")}
	for want, changes := range map[bool][]func(*Webhook){
		false: {
			func(*Webhook) {},
			func(w *Webhook) { w.Ledger.Count(Waiting) },
			func(w *Webhook) { w.DueTimes.Produced++ },
			func(w *Webhook) { w.Seq++ },
			func(w *Webhook) { w.Breaker.LastAttempt = time.Unix(1, 0) },
		},
		true: {
			func(w *Webhook) { w.Status = Disabled },
			func(w *Webhook) { w.Name = "away" },
			func(w *Webhook) { w.Key = Secret("two") },
			func(w *Webhook) { w.Recovery = &Recovery{} },
			func(w *Webhook) { w.Breaker.OpenSince = time.Unix(1, 0) },
			func(w *Webhook) { w.Breaker.Step = 1 },
		},
	} {
		for i, change := range changes {
			is := was
			if change(&is); is.ChangedFrom(&was) != want {
				t.Errorf("change %d is told: %v, want %v", i, !want, want)
			}
		}
	}
}
