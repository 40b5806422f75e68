package delivery

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Force skips the challenge, not the proof: nothing goes to a callback that never
// answered one, whatever state the webhook is in.
func TestForceNeedsAProof(t *testing.T) {
	never := "http://never-verified.test/"
	change := func(r *rig, id uuid.UUID) error {
		_, err := r.Change(context.Background(), id, Change{CallbackURI: &never})
		return err
	}
	disable := func(r *rig, id uuid.UUID) error { _, err := r.Disable(context.Background(), id); return err }
	verify := func(r *rig, id uuid.UUID) error { _, _, err := r.Verify(context.Background(), id); return err }
	for name, before := range map[string][]func(*rig, uuid.UUID) error{
		"unverified":                   nil,
		"unverified, disabled":         {disable},
		"changed":                      {verify, change},
		"changed, disabled":            {verify, change, disable},
		"disabled, changed":            {verify, disable, change},
		"changed while never verified": {change},
	} {
		bubble(t, Settings{}, func(t *testing.T, r *rig) {
			w, err := r.Add(t.Context(), webhook.Webhook{Name: "two", CallbackURI: "http://two.test/"})
			if err != nil {
				t.Fatal(err)
			}
			for _, act := range before {
				if err := act(r, w.ID); err != nil {
					t.Fatal(err)
				}
			}
			was := r.m.hook(w.ID)
			r.Produced(r.m.produce(w.ID, 1))
			if _, err := r.Enable(t.Context(), w.ID, true, ""); !errors.Is(err, webhook.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
			rest(time.Minute)
			if got := r.m.hook(w.ID); got.Status != was.Status || got.Health.Round != was.Health.Round || r.r.sent() != 0 {
				t.Errorf("%s: became %s, %d deliveries went out", name, got.Status, r.r.sent())
			}
		})
	}
}

// A consent to private addresses that was withdrawn after the pick is not used.
func TestConsentWithdrawnAfterThePick(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		yes, no := true, false
		picked, err := r.Change(t.Context(), r.id, Change{AllowPrivate: &yes})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w := picked; !r.lane(r.id).still(&w) || !w.AllowPrivate {
			t.Error("the consent that stands is lost")
		}
		if _, err := r.Change(t.Context(), r.id, Change{AllowPrivate: &no}); err != nil {
			t.Fatal(err)
		}
		if w := picked; !r.lane(r.id).still(&w) || w.AllowPrivate {
			t.Error("a consent that was withdrawn is used")
		}
		// One given after the pick counts from the next pick on.
		w := r.m.hook(r.id)
		if _, err := r.Change(t.Context(), r.id, Change{AllowPrivate: &yes}); err != nil {
			t.Fatal(err)
		}
		if !r.lane(r.id).still(&w) || w.AllowPrivate {
			t.Error("what was picked without consent got it")
		}
	})
}

// endless is a body of a megabyte, which stands for one without an end; it counts
// what is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read >= 1<<20 {
		return 0, io.EOF
	}
	e.read += len(p)
	return len(p), nil
}

// Of an answer no more is read than a challenge may need, and one byte.
func TestEndlessBody(t *testing.T) {
	x := wireSender(t, Settings{})
	body := &endless{}
	x.transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body), Request: r}, nil
	})
	a := x.send(t.Context(), hookAt("http://receiver.test/"), uuid.New(), nil)
	if a.Outcome != webhook.OutcomeDelivered || len(a.Body) != bodyKept || body.read > bodyRead+1 {
		t.Errorf("%s, %d bytes kept, %d read", a.Outcome, len(a.Body), body.read)
	}
}

// What was picked in one round does not leave in the next, also when nothing else
// of the webhook is different.
func TestPickedInAnotherRound(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		picked := r.m.hook(r.id)
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Enable(t.Context(), r.id, true, ""); err != nil {
			t.Fatal(err)
		}
		if r.lane(r.id).still(&picked) {
			t.Error("it leaves")
		}
	})
}
