package webhook

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestPolicy(t *testing.T) {
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[Policy]time.Time{
		"24h": now.Add(-24 * time.Hour), "90s": now.Add(-90 * time.Second), "2030-01-01T10:00:00+02:00": time.Date(2030, 1, 1, 8, 0, 0, 0, time.UTC),
	} {
		if r, err := text.Begin(now); err != nil || !r.Since.Equal(want) || r.Policy != text || !r.StartedAt.Equal(now) {
			t.Errorf("%s: %+v %v", text, r, err)
		}
	}
	for _, text := range []Policy{"", RecoverAll} {
		if r, err := text.Begin(now); r != nil || err != nil {
			t.Errorf("%q: %+v %v", text, r, err)
		}
	}
	for _, text := range []Policy{RecoverLatest, RecoverNone, RecoverAll, "", "1ms"} {
		if err := CheckPolicy(text); err != nil {
			t.Error(err)
		}
	}
	for _, text := range []Policy{"some", "-1h", "0s", "0", "5", "Latest", " none", "2030-01-01", "2030-01-01T10:00:00Z"} {
		if err := CheckPolicy(text); err == nil {
			t.Errorf("%q is taken as a setting", text)
		}
	}
}

// What says how a vehicle is may be superseded; what says what happened never is.
func TestOnlySnapshotsAreSuperseded(t *testing.T) {
	a, b := &Delivery{ID: uuid.UUID{1}, MessageID: uuid.UUID{1}, State: Waiting}, &Delivery{ID: uuid.UUID{2}, MessageID: uuid.UUID{2}, State: Waiting}
	newest := Newest{}
	newest.Add(a)
	newest.Add(b)
	r := &Recovery{Policy: RecoverLatest, Upto: uuid.Max}
	if err := r.Sift("eventBased", newest, a, time.Time{}); err != nil || a.State != Waiting || r.Superseded != 0 {
		t.Errorf("%s %v", a.State, err)
	}
	if err := r.Sift(TypeDynamic, newest, a, time.Time{}); err != nil || a.State != Superseded || *a.SupersededBy != b.ID || r.Superseded != 1 {
		t.Errorf("%s %v", a.State, err)
	}
	if err := r.Sift(TypeDynamic, newest, b, time.Time{}); err != nil || b.State != Waiting {
		t.Errorf("%s %v", b.State, err)
	}
}

// The newest is the newest snapshot, and of two resends of it the later.
func TestNewest(t *testing.T) {
	car := uuid.UUID{9}
	in := func(id, message byte) *Delivery {
		return &Delivery{ID: uuid.UUID{id}, MessageID: uuid.UUID{message}, Vehicle: car}
	}
	for _, order := range [][]*Delivery{{in(1, 1), in(2, 2), in(3, 1)}, {in(3, 1), in(2, 2), in(1, 1)}, {in(2, 2), in(1, 2)}, {in(1, 2), in(2, 2)}} {
		n := Newest{}
		for _, d := range order {
			n.Add(d)
		}
		if n[car].delivery != (uuid.UUID{2}) {
			t.Errorf("%v", n)
		}
	}
}
