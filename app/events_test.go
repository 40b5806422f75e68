package app

import (
	"bytes"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// A daemon at work tells each delivery's steps in order and within a second; the stream
// ends with the daemon, and nothing of it is left.
func TestEventsOfADaemon(t *testing.T) {
	d := quiet(t)
	must(t, d.boot(t.Context()))
	events, err := d.client.Events(t.Context(), adminapi.EventsQuery{})
	must(t, err)
	defer events.Close()
	must(t, d.setUp(t.Context()))
	actions := map[webhook.ChangeAction]int{}
	made, finished := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	var before time.Time
	for len(finished) < 10 {
		c, missed, err := events.Next()
		if err != nil || missed > 0 {
			t.Fatal(missed, err)
		}
		if late := time.Since(c.At); late > time.Second {
			t.Errorf("%s %s is told %s after its commit", c.Kind, c.Action, late)
		}
		if c.At.Before(before) {
			t.Errorf("%s %s of %s is told after %s", c.Kind, c.Action, c.At, before)
		}
		before = c.At
		actions[c.Action]++
		if c.Delivery == nil {
			continue
		}
		id := c.Delivery.ID
		switch {
		case c.Action == webhook.Made && made[id], c.Action != webhook.Made && !made[id], finished[id], c.WebhookName != "demo":
			t.Errorf("%s, %s: made %v, finished %v", id, c.Action, made[id], finished[id])
		case c.Action == webhook.Made:
			made[id] = true
		case c.Action == webhook.Finished:
			finished[id] = true
			if v, err := d.client.Delivery(t.Context(), id); err != nil || v.Delivery.State != c.Delivery.State || len(v.Attempts) != c.Attempt.N {
				t.Errorf("told of %+v, there is %+v %v", c.Delivery, v.Delivery, err)
			}
		}
	}
	if actions[webhook.Added] != 1 || actions[webhook.Changed] == 0 || actions[webhook.Read] == 0 {
		t.Errorf("told of %v", actions)
	}
	began := time.Now()
	must(t, d.halt())
	if took := time.Since(began); took > d.cfg.Grace/2 {
		t.Errorf("the stop took %s", took)
	}
	for err = nil; err == nil; { // what was committed while it stopped, then the end
		_, _, err = events.Next()
	}
	var left bytes.Buffer
	must(t, pprof.Lookup("goroutine").WriteTo(&left, 1))
	if strings.Contains(left.String(), "eventStream") {
		t.Error(left.String())
	}
}
