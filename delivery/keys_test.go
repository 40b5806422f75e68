package delivery

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// signedBy returns which of the keys signed each request since the given one, in the
// order of the signatures listed; anything else that is listed is -1.
func (r *receiver) signedBy(since int, keys ...webhook.Secret) (all [][]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, req := range r.requests[since:] {
		h := map[string][]string(req.Header)
		id := uuid.MustParse(h[signing.HeaderID][0])
		seconds, _ := strconv.ParseInt(h[signing.HeaderTimestamp][0], 10, 64)
		var by []int
		for got := range strings.SplitSeq(h[signing.HeaderSignature][0], " ") {
			by = append(by, slices.IndexFunc(keys, func(k webhook.Secret) bool {
				return got == signing.Standard(k, id, time.Unix(seconds, 0), r.bodies[since+i])
			}))
		}
		all = append(all, by)
	}
	return all
}

func (r *receiver) got() int { return locked(&r.mu, func() int { return len(r.requests) }) }

// signs fails the test unless each request since the given one, n of them, was signed
// by exactly the keys named.
func (r *rig) signs(t *testing.T, what string, since, n int, keys []webhook.Secret, want ...int) {
	t.Helper()
	got := r.r.signedBy(since, keys...)
	if len(got) != n {
		t.Errorf("%s: %d requests, want %d", what, len(got), n)
	}
	for i, by := range got {
		if !slices.Equal(by, want) {
			t.Errorf("%s, request %d: signed by the keys %v, want %v", what, i, by, want)
		}
	}
}

// While two keys overlap both sign first attempts, retries, resends, challenges and
// test payloads, also after a restart; then only the new one does.
func TestKeyOverlap(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		old := r.m.hook(r.id).Key
		w, err := r.RotateKey(t.Context(), r.id, 24*time.Hour)
		if err != nil || string(w.Key) == string(old) || string(w.OldKey) != string(old) || w.KeyOverlap.Until.Sub(w.KeyOverlap.Since) != 24*time.Hour {
			t.Fatal(w, err)
		}
		keys := []webhook.Secret{old, w.Key}
		from := r.r.got()
		first := r.produce(1)[0]
		rest(time.Second)
		r.signs(t, "a first attempt", from, 1, keys, 0, 1)

		from = r.r.got()
		failed := false
		r.r.set(func(context.Context, string, int) (int, error) {
			if !failed {
				failed = true
				return 500, nil
			}
			return 200, nil
		})
		r.produce(1)
		rest(time.Minute)
		r.signs(t, "a retry", from, 2, keys, 0, 1)

		from = r.r.got()
		if _, err := r.Resend(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		rest(time.Second)
		r.signs(t, "a resend", from, 1, keys, 0, 1)

		from = r.r.got()
		if _, _, err := r.Verify(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		if a, err := r.Test(t.Context(), r.id); err != nil || a.Status != 200 {
			t.Fatal(a, err)
		}
		r.signs(t, "a challenge and a test payload", from, 2, keys, 0, 1)

		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.start(t, Settings{})
		from = r.r.got()
		r.produce(1)
		rest(time.Second)
		r.signs(t, "after a restart", from, 1, keys, 0, 1)

		if _, err := r.RotateKey(t.Context(), r.id, time.Hour); !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("rotated while two keys overlap: %v", err)
		}
		rest(24 * time.Hour)
		from = r.r.got()
		r.produce(1)
		rest(time.Second)
		r.signs(t, "after the overlap", from, 1, keys, 1)
		if _, _, err := r.TryKey(t.Context(), r.id); !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("tried after the overlap: %v", err)
		}
		if _, err := r.CancelKey(t.Context(), r.id); !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("cancelled after the overlap: %v", err)
		}
		if w, a, err := r.FinishKey(t.Context(), r.id, false); err != nil || a != nil || string(w.Key) != string(keys[1]) {
			t.Errorf("finished after the overlap: %v %v", a, err)
		}
		for _, key := range keys {
			if log := r.log.String(); strings.Contains(log, string(key)) || strings.Contains(log, signing.FormatKey(key)) {
				t.Error("a key is in the log")
			}
		}
		if !strings.Contains(r.log.String(), `"event":"webhook.key"`) {
			t.Error("the rotation is not in the log")
		}
	})
}

// Finishing asks the receiver with the new key alone, and does nothing while it does
// not accept that, unless forced.
func TestFinishKey(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		old := r.m.hook(r.id).Key
		w, err := r.RotateKey(t.Context(), r.id, 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		keys := []webhook.Secret{old, w.Key}
		r.r.set(func(context.Context, string, int) (int, error) { return 401, nil })
		from := r.r.got()
		if _, a, err := r.TryKey(t.Context(), r.id); err != nil || a.Status != 401 {
			t.Error(a, err)
		}
		if _, a, err := r.FinishKey(t.Context(), r.id, false); !errors.Is(err, webhook.ErrConflict) || a == nil || a.Status != 401 || !strings.Contains(err.Error(), "401") {
			t.Error(a, err)
		}
		r.signs(t, "asked", from, 2, keys, 1)
		if w := r.m.hook(r.id); w.Health.Failing() || !w.TwoKeys(time.Now()) || w.Ledger.Produced != 0 {
			t.Errorf("asking changed the webhook: %+v", w)
		}
		r.r.set(fine)
		from = r.r.got()
		if w, a, err := r.FinishKey(t.Context(), r.id, false); err != nil || a == nil || a.Status != 200 || w.KeyOverlap != nil || w.OldKey != nil {
			t.Error(a, err)
		}
		r.produce(1)
		rest(time.Second)
		r.signs(t, "finished", from, 2, keys, 1)

		// By force nothing is asked.
		if _, err = r.RotateKey(t.Context(), r.id, 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		from = r.r.got()
		if w, a, err := r.FinishKey(t.Context(), r.id, true); err != nil || a != nil || w.KeyOverlap != nil || r.r.got() != from {
			t.Error(a, err)
		}
		// A webhook that gets only challenges cannot be asked.
		if _, err = r.RotateKey(t.Context(), r.id, 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.FinishKey(t.Context(), r.id, false); !errors.Is(err, webhook.ErrConflict) || r.m.hook(r.id).KeyOverlap == nil {
			t.Error(err)
		}
	})
}

func TestCancelKey(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		old := r.m.hook(r.id).Key
		w, err := r.RotateKey(t.Context(), r.id, 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := r.CancelKey(t.Context(), r.id); err != nil || string(w.Key) != string(old) || w.OldKey != nil || w.KeyOverlap != nil {
			t.Error(w, err)
		}
		from := r.r.got()
		r.produce(1)
		rest(time.Second)
		r.signs(t, "cancelled", from, 1, []webhook.Secret{old, w.Key}, 0)

		// Without an overlap the old key is gone at once.
		if w, err = r.RotateKey(t.Context(), r.id, 0); err != nil || w.OldKey != nil || w.KeyOverlap != nil {
			t.Error(w, err)
		}
		from = r.r.got()
		r.produce(1)
		rest(time.Second)
		r.signs(t, "without an overlap", from, 1, []webhook.Secret{old, w.Key}, 1)
		for _, bad := range []time.Duration{-time.Second, MaxKeyOverlap + 1} {
			var invalid *webhook.Invalid
			if _, err := r.RotateKey(t.Context(), r.id, bad); !errors.As(err, &invalid) || invalid.Field != "overlap" {
				t.Errorf("%s: %v", bad, err)
			}
		}
		if _, err := r.RotateKey(t.Context(), uuid.New(), time.Hour); !errors.Is(err, webhook.ErrNotFound) {
			t.Error(err)
		}
	})
}

// An answer that echoes either signature, or either key, is kept without them.
func TestTwoKeysAreRedacted(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		w, err := r.RotateKey(t.Context(), r.id, 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		r.r.mu.Lock()
		r.r.says = "old " + signing.FormatKey(w.OldKey)[6:] + " new " + signing.FormatKey(w.Key)[6:]
		r.r.mu.Unlock()
		d := r.produce(1)[0]
		rest(time.Second)
		a := r.m.tries(d.ID)
		if len(a) != 1 || strings.Count(string(a[0].Body), redacted) != 2 {
			t.Errorf("kept %+v", a)
		}
	})
}
