package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/webhook"
)

// wrong is what a status says is wrong, a line each.
func wrong(st adminapi.Status) string {
	var lines []string
	for _, c := range st.Conditions {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

// dying is a store whose deliveries died at those times; looks counts the questions.
type dying struct {
	at    []time.Time
	fail  error
	looks int
}

func (d *dying) Deliveries(_ context.Context, f webhook.DeliveryFilter, _ uuid.UUID, _ int) (out []webhook.Delivery, err error) {
	d.looks++
	for _, t := range d.at {
		if f.State == webhook.Dead && !t.Before(f.Since) {
			out = append(out, webhook.Delivery{FinishedAt: t})
		}
	}
	return out, d.fail
}

// The day's losses are looked for once; from then on the ledger tells, also of deliveries
// that were made long before.
func TestLosses(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var l losses
	d := &dying{at: []time.Time{noon.Add(-25 * time.Hour), noon.Add(-23 * time.Hour)}}
	want := func(n, looks int, ledger uint64, after time.Duration) {
		t.Helper()
		if got := l.today(t.Context(), d, uuid.Nil, webhook.Dead, ledger, noon.Add(after)); got != n || d.looks != looks {
			t.Errorf("%v: %d lost, %d looks; want %d, %d", after, got, d.looks, n, looks)
		}
	}
	want(0, 0, 0, 0)
	d.fail = errors.New("closed")
	want(0, 1, 2, 0)
	d.fail = nil
	want(1, 2, 2, 0)
	want(3, 2, 4, time.Minute)
	want(2, 2, 4, 2*time.Hour)
	want(0, 2, 4, 25*time.Hour)
	want(0, 3, 3, 26*time.Hour) // a restored backup
}

// What nothing else logs is logged once as it begins and once as it ends.
func TestHealthIsLogged(t *testing.T) {
	d := start(t, configured(t, shortDir(t), simulatorSource))
	eventually(t, "it is ready", func() bool { return len(d.health.Unready(t.Context())) == 0 })
	log := &lines{}
	look := d.health.logHealth(zerolog.New(log))
	hear := func(by time.Duration) {
		now := time.Now()
		for range 2 {
			d.clocks.Note("example.com", http.Header{"Date": {now.Add(by).UTC().Format(http.TimeFormat)}}, now, now)
		}
		look(t.Context())
		look(t.Context())
	}
	hear(0)
	if line := d.health.summary(t.Context()); strings.Contains(line, "wrong") {
		t.Errorf("all is well, and the manager is told: %s", line)
	}
	hear(time.Hour)
	if line := d.health.summary(t.Context()); !strings.HasSuffix(line, "; wrong: the clock (clock.off)") {
		t.Errorf("the manager is told: %s", line)
	}
	hear(0)
	got := log.String()
	for line, n := range map[string]int{
		`"level":"error","event":"condition.began","code":"clock.off","subject":"the clock"`: 1, "1h behind that of example.com": 1, `"event":"condition.over","code":"clock.off"`: 1, `"clock.off"`: 2,
	} {
		if strings.Count(got, line) != n {
			t.Errorf("%s is not there %d times:\n%s", line, n, got)
		}
	}
}

// A daemon that starts tells nobody that its loops do not turn yet; /readyz does say so.
func TestStartIsNoTrouble(t *testing.T) {
	a, err := New(t.Context(), configured(t, shortDir(t), simulatorSource), Options{Log: zerolog.Nop()})
	must(t, err)
	if _, err := a.health.standing(t.Context()); err == nil {
		t.Error("alerts look at a daemon that has not started")
	}
	if cs := a.health.Unready(t.Context()); len(cs) != 2 || cs[0].Code != health.DaemonNotReady {
		t.Errorf("%v", cs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, a.Run(ctx))
}
