package delivery

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
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
	for i, req := range r.heard[since:] {
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

func (r *receiver) got() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.heard)
}

// signs fails the test unless each request since the given one, n of them, was signed
// by exactly the keys named.
func (w *world) signs(what string, since, n int, keys []webhook.Secret, want ...int) {
	w.t.Helper()
	got := w.receiver.signedBy(since, keys...)
	if len(got) != n {
		w.t.Errorf("%s: %d requests, want %d", what, len(got), n)
	}
	for i, by := range got {
		if !slices.Equal(by, want) {
			w.t.Errorf("%s, request %d: signed by the keys %v, want %v", what, i, by, want)
		}
	}
}

// While two keys overlap both sign first attempts, retries, resends, challenges and
// test payloads, also after a restart; then only the new one does.
func TestKeyOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		old := w.hook().Key
		h, err := w.RotateKey(t.Context(), w.id, 24*time.Hour)
		if err != nil || string(h.Key) == string(old) || string(h.OldKey) != string(old) || h.KeyOverlap.Until.Sub(h.KeyOverlap.Since) != 24*time.Hour {
			t.Fatal(h, err)
		}
		keys := []webhook.Secret{old, h.Key}
		from := w.receiver.got()
		first := w.produce(1)[0]
		pass(time.Second)
		w.signs("a first attempt", from, 1, keys, 0, 1)

		from = w.receiver.got()
		w.receiver.be(failsWith(500), true)
		w.produce(1)
		pass(time.Second)
		w.receiver.be(accept, true)
		pass(time.Minute)
		w.signs("a retry", from, 2, keys, 0, 1)

		from = w.receiver.got()
		if _, err := w.Resend(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		w.signs("a resend", from, 1, keys, 0, 1)

		from = w.receiver.got()
		if _, _, err := w.Verify(t.Context(), w.id); err != nil {
			t.Fatal(err)
		}
		if a, err := w.Test(t.Context(), w.id); err != nil || a.Status != 200 {
			t.Fatal(a, err)
		}
		w.signs("a challenge and a test payload", from, 2, keys, 0, 1)

		w.restart()
		from = w.receiver.got()
		w.produce(1)
		pass(time.Second)
		w.signs("after a restart", from, 1, keys, 0, 1)

		if _, err := w.RotateKey(t.Context(), w.id, time.Hour); !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("rotated while two keys overlap: %v", err)
		}
		pass(24 * time.Hour)
		from = w.receiver.got()
		w.produce(1)
		pass(time.Second)
		w.signs("after the overlap", from, 1, keys, 1)
		if _, _, err := w.TryKey(t.Context(), w.id); !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("tried after the overlap: %v", err)
		}
		if _, err := w.CancelKey(t.Context(), w.id); !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("cancelled after the overlap: %v", err)
		}
		if h, a, err := w.FinishKey(t.Context(), w.id, false); err != nil || a != nil || string(h.Key) != string(keys[1]) {
			t.Errorf("finished after the overlap: %v %v", a, err)
		}
		for _, key := range keys {
			if log := w.log.String(); strings.Contains(log, string(key)) || strings.Contains(log, signing.FormatKey(key)) {
				t.Error("a key is in the log")
			}
		}
		if !strings.Contains(w.log.String(), `"event":"webhook.key"`) {
			t.Error("the rotation is not in the log")
		}
	})
}

// Finishing asks the receiver with the new key alone, and does nothing while it does
// not accept that, unless forced.
func TestFinishKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		old := w.hook().Key
		h, err := w.RotateKey(t.Context(), w.id, 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		keys := []webhook.Secret{old, h.Key}
		w.receiver.be(failsWith(401), true)
		from := w.receiver.got()
		if _, a, err := w.TryKey(t.Context(), w.id); err != nil || a.Status != 401 {
			t.Error(a, err)
		}
		if _, a, err := w.FinishKey(t.Context(), w.id, false); !errors.Is(err, webhook.ErrConflict) || a == nil || a.Status != 401 || !strings.Contains(err.Error(), "401") {
			t.Error(a, err)
		}
		w.signs("asked", from, 2, keys, 1)
		if h := w.hook(); h.Breaker.Open() || !h.TwoKeys(time.Now()) || h.Ledger.Produced != 0 {
			t.Errorf("asking changed the webhook: %+v", h)
		}
		w.receiver.be(accept, true)
		from = w.receiver.got()
		if h, a, err := w.FinishKey(t.Context(), w.id, false); err != nil || a == nil || a.Status != 200 || h.KeyOverlap != nil || h.OldKey != nil {
			t.Error(a, err)
		}
		w.produce(1)
		pass(time.Second)
		w.signs("finished", from, 2, keys, 1)

		// By force nothing is asked.
		if _, err = w.RotateKey(t.Context(), w.id, 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		from = w.receiver.got()
		if h, a, err := w.FinishKey(t.Context(), w.id, true); err != nil || a != nil || h.KeyOverlap != nil || w.receiver.got() != from {
			t.Error(a, err)
		}
		// A webhook that gets only challenges cannot be asked.
		if _, err = w.RotateKey(t.Context(), w.id, 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Disable(t.Context(), w.id); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.FinishKey(t.Context(), w.id, false); !errors.Is(err, webhook.ErrConflict) || w.hook().KeyOverlap == nil {
			t.Error(err)
		}
	})
}

func TestCancelKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		old := w.hook().Key
		h, err := w.RotateKey(t.Context(), w.id, 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if h, err := w.CancelKey(t.Context(), w.id); err != nil || string(h.Key) != string(old) || h.OldKey != nil || h.KeyOverlap != nil {
			t.Error(h, err)
		}
		from := w.receiver.got()
		w.produce(1)
		pass(time.Second)
		w.signs("cancelled", from, 1, []webhook.Secret{old, h.Key}, 0)

		// Without an overlap the old key is gone at once.
		if h, err = w.RotateKey(t.Context(), w.id, 0); err != nil || h.OldKey != nil || h.KeyOverlap != nil {
			t.Error(h, err)
		}
		from = w.receiver.got()
		w.produce(1)
		pass(time.Second)
		w.signs("without an overlap", from, 1, []webhook.Secret{old, h.Key}, 1)
		for _, bad := range []time.Duration{-time.Second, MaxKeyOverlap + 1} {
			var invalid *webhook.Invalid
			if _, err := w.RotateKey(t.Context(), w.id, bad); !errors.As(err, &invalid) || invalid.Field != "overlap" {
				t.Errorf("%s: %v", bad, err)
			}
		}
		if _, err := w.RotateKey(t.Context(), uuid.New(), time.Hour); !errors.Is(err, webhook.ErrNotFound) {
			t.Error(err)
		}
	})
}

// An answer that echoes either signature, or either key, is kept without them.
func TestTwoKeysAreRedacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		h, err := w.RotateKey(t.Context(), w.id, 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.receiver.mu.Lock()
		w.receiver.says = "old " + signing.FormatKey(h.OldKey)[6:] + " new " + signing.FormatKey(h.Key)[6:]
		w.receiver.mu.Unlock()
		d := w.produce(1)[0]
		pass(time.Second)
		a, err := w.store.Deliveries.Attempts(t.Context(), d.ID)
		w.must(err)
		if len(a) != 1 || strings.Count(string(a[0].Body), redacted) != 2 {
			t.Errorf("kept %+v", a)
		}
	})
}
