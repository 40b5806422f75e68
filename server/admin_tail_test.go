package server

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

func aDelivery(n byte, car uuid.UUID) webhook.Delivery {
	return webhook.Delivery{ID: uuid.UUID{1, 15: n}, MessageID: uuid.UUID{1, 15: n}, Webhook: hookID, Vehicle: car, State: webhook.Waiting, CreatedAt: noon}
}

// A tail begins now, or at a time, goes on from a cursor, and waits for what is to
// come.
func TestAdminTail(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	w.past = []webhook.Delivery{aDelivery(1, carA), aDelivery(2, carA), aDelivery(3, carB)}
	s := newServer(t, w)
	c := overSocket(t, s)
	begun := must[api.Tail](t)(c.Tail(ctx, api.TailQuery{Wait: time.Minute}))
	if len(begun.Items) != 0 || begun.Next != 3 {
		t.Errorf("it begins with %+v", begun)
	}
	all := must[api.Tail](t)(c.Tail(ctx, api.TailQuery{Since: noon, Limit: 2}))
	if len(all.Items) != 2 || all.Items[0].Delivery.ID != w.past[0].ID || all.Next != 2 || all.Missed {
		t.Errorf("since: %+v", all)
	}
	if p := must[api.Tail](t)(c.Tail(ctx, api.TailQuery{After: all.Next.String(), Wait: time.Minute})); len(p.Items) != 1 || p.Next != 3 {
		t.Errorf("after: %+v", p)
	}
	if p := must[api.Tail](t)(c.Tail(ctx, api.TailQuery{Since: noon, Vehicle: carB, Webhook: "home"})); len(p.Items) != 1 || p.Next != 3 {
		t.Errorf("of a car: %+v", p)
	}
	if p := must[api.Tail](t)(c.Tail(ctx, api.TailQuery{After: "3", Wait: time.Millisecond})); len(p.Items) != 0 || p.Next != 3 {
		t.Errorf("nothing happened: %+v", p)
	}
	// It waits past what it was not asked for, to what it was.
	answered := make(chan api.Tail, 1)
	go func() {
		p, err := c.Tail(ctx, api.TailQuery{After: "3", Vehicle: carB, Wait: time.Minute})
		if err != nil {
			t.Error(err)
		}
		answered <- p
	}()
	w.happen(aDelivery(4, carA))
	w.happen(aDelivery(5, carB))
	if p := <-answered; len(p.Items) != 1 || p.Next != 5 {
		t.Errorf("waited for: %+v", p)
	}
	w.mu.Lock()
	w.gone = 4
	w.mu.Unlock()
	if p := must[api.Tail](t)(c.Tail(ctx, api.TailQuery{After: "2"})); !p.Missed || len(p.Items) != 1 || p.Next != 5 {
		t.Errorf("let go of: %+v", p)
	}

	for _, bad := range []string{"after=no+cursor", "wait=2m", "wait=soon", "wait=-1s", "since=1h&after=3", "since=soon", "vehicle=x", "limit=0"} {
		rec := httptest.NewRecorder()
		described(t, s.Admin()).ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/deliveries/tail?"+bad, nil))
		if rec.Code != 400 {
			t.Errorf("%s: %d %s", bad, rec.Code, rec.Body)
		}
	}
	_, err := c.Tail(ctx, api.TailQuery{Webhook: "nobody"})
	refused(t, err, api.CodeNotFound, "webhook list")
}

// Who waits keeps no stop waiting, nor one who is gone the daemon.
func TestTailEndsWithTheDaemon(t *testing.T) {
	w := newWorld()
	s := newServer(t, w)
	admin := described(t, s.Admin())
	request := func(ctx context.Context) chan string {
		done := make(chan string, 1)
		go func() {
			rec := httptest.NewRecorder()
			admin.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/api/v1/deliveries/tail?after=0&wait=1m", nil))
			done <- fmt.Sprint(rec.Code, rec.Body)
		}()
		return done
	}
	ctx, leave := context.WithCancel(t.Context())
	gone := request(ctx)
	leave()
	if got := <-gone; got[:3] != "503" {
		t.Error("a caller that left:", got)
	}
	waiting := request(t.Context())
	if err := s.HTTP(s.Admin()).Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if got := <-waiting; time.Since(began) > 30*time.Second || got != "200 {\"items\":[],\"next\":\"0\"}\n" {
		t.Errorf("stopped: %q", got)
	}
}
