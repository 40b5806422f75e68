package webhook

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestPolicy(t *testing.T) {
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, p := range []Policy{"", RecoverAll, RecoverLatest, RecoverNone} {
		r, err := p.Begin(now)
		if begins := p == RecoverLatest || p == RecoverNone; err != nil || (r != nil) != begins || begins && (r.Policy != p || !r.StartedAt.Equal(now)) {
			t.Errorf("%q: %+v %v", p, r, err)
		}
	}
	for p, byTime := range map[Policy]bool{
		"24h": true, "1ms": true, "-1h": true, "0s": true, "2030-01-01": true, "2030-01-01 10:00:00": true, "2030-01-01T10:00:00Z": true,
		"some": false, "5": false, "Latest": false, " none": false,
	} {
		r, err := p.Begin(now)
		bad, ok := errors.AsType[*Invalid](err)
		if !ok || r != nil || bad.Field != "recover" || bad.Allowed != "all, latest, none" || CheckPolicy(p) == nil {
			t.Fatalf("%q: %+v %v", p, r, err)
		}
		if told := strings.Contains(bad.Error(), "has left") && strings.Contains(bad.Error(), "delivery resend --webhook NAME --since"); told != byTime {
			t.Errorf("%q: %v", p, err)
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
	v := uuid.UUID{9}
	in := func(id, message byte) *Delivery {
		return &Delivery{ID: uuid.UUID{id}, MessageID: uuid.UUID{message}, Vehicle: v}
	}
	for _, order := range [][]*Delivery{{in(1, 1), in(2, 2), in(3, 1)}, {in(3, 1), in(2, 2), in(1, 1)}, {in(2, 2), in(1, 2)}, {in(1, 2), in(2, 2)}} {
		n := Newest{}
		for _, d := range order {
			n.Add(d)
		}
		if n[v].delivery != (uuid.UUID{2}) {
			t.Errorf("%v", n)
		}
	}
}
