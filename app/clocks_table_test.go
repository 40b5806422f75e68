package app

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/access"
	"plugbeat/webhook"
)

// kept counts what a wrong clock must not end, and the backups.
type kept struct{ records, payloads, consents, orphans, backups int }

func keptBy(t *testing.T, a *App) (k kept) {
	t.Helper()
	past, err := a.store.Deliveries.Past(t.Context(), webhook.DeliveryFilter{}, uuid.Nil, uuid.Max, 100)
	must(t, err)
	for _, d := range past.Items {
		k.records++
		if d.Kept {
			k.payloads++
		}
	}
	cs, err := a.store.Access.Consents(t.Context(), uuid.Nil, 100)
	must(t, err)
	for _, c := range cs {
		if !c.Ended(time.Now()) {
			k.consents++
		}
	}
	orphans, err := a.fleet.orphans(t.Context())
	must(t, err)
	k.orphans = len(orphans)
	files, err := os.ReadDir(a.cfg.Backup.Folder)
	must(t, err)
	k.backups = len(files)
	return k
}

// TestClocks: retention, consents, tokens that no vehicle needs, and backups, over the real data
// file, with a clock that is an hour, a month and fifty years off, ahead and behind, at the start
// and while running, and right again later: all that is young stays, and no backup is made or
// removed. In the end the month has really passed, and what is old goes.
func TestClocks(t *testing.T) {
	const day = 24 * time.Hour
	d := quiet(t)
	d.cfg.Backup.Folder, d.cfg.Backup.Schedule, d.cfg.Backup.Keep = t.TempDir(), "24h", 1
	must(t, d.boot(t.Context()))
	must(t, d.setUp(t.Context()))
	eventually(t, "deliveries", func() bool { return len(d.receiver.Accepted()) >= 3 })
	eventually(t, "a backup", func() bool { return d.app.backups.status().Kept == 1 })
	consent := access.Consent{ID: uuid.New(), User: uuid.New(), Source: "smartcar"}
	consent.Adopt(access.TokenHash{1}, access.Pair{Access: access.TokenHash{2}, Refresh: access.TokenHash{3}}, time.Now())
	consent.Tokens[2].ExpiresAt = time.Now().Add(20 * day)
	must(t, d.app.store.Access.PutConsent(t.Context(), consent))
	must(t, tokens{d.app.store, "smartcar"}.Save(t.Context(), "cut-off", []byte("{}")))
	must(t, d.app.fleet.sweepOrphans(t.Context(), time.Now().Add(-2*day)))
	must(t, d.halt())

	start := func() (a *App, off *time.Duration) {
		a, err := New(t.Context(), d.cfg, Options{Log: zerolog.Nop()})
		must(t, err)
		off = new(time.Duration)
		a.health.wall = func() time.Time { return wallClock().Add(*off) }
		return a, off
	}
	look := func(a *App) {
		a.sweep(t.Context())
		a.backups.look(t.Context())
	}
	agree := func(a *App) {
		now := time.Now()
		a.clocks.Note("vendor.example", http.Header{"Date": {now.UTC().Format(http.TimeFormat)}}, now, now)
	}
	first, _ := start()
	want := keptBy(t, first)
	must(t, first.close())
	if want.records < 3 || want.payloads < 3 || want.consents != 1 || want.orphans != 1 || want.backups != 1 {
		t.Fatalf("%+v", want)
	}
	for _, size := range []time.Duration{time.Hour, 31 * day, 50 * 366 * day} {
		for _, by := range []time.Duration{size, -size} {
			for _, running := range []bool{false, true} {
				name := fmt.Sprintf("off by %s, while running %v", by, running)
				a, off := start()
				if running {
					a.backups.recall(a.health.wall())
					look(a)
				}
				*off = by
				if !running {
					a.backups.recall(a.health.wall())
				}
				for range 3 {
					look(a)
				}
				if got := keptBy(t, a); got != want {
					t.Errorf("%s: %+v, want %+v", name, got, want)
				}
				*off = 0
				look(a)
				agree(a)
				if why := a.health.doubt(); why != "" {
					t.Errorf("%s, right again: %s", name, why)
				}
				look(a)
				if got := keptBy(t, a); got != want || a.backups.status().Failed != "" {
					t.Errorf("%s, right again: %+v, want %+v", name, got, want)
				}
				must(t, a.close())
			}
		}
	}
	a, off := start()
	*off = 31 * day
	agree(a)
	a.backups.recall(a.health.wall())
	look(a)
	got := keptBy(t, a)
	name := a.backups.status().LastFile
	if _, err := os.Stat(name); err != nil || got != (kept{backups: 1}) {
		t.Errorf("a month later: %+v, the last backup is %s", got, name)
	}
	for v, err := range vehicles(t.Context(), a.store) {
		must(t, err)
		if b, err := (tokens{a.store, v.Source}).Load(t.Context(), v.Connections()[0]); err != nil || len(b) == 0 {
			t.Errorf("the tokens of vehicle %s are gone: %v", v.ID, err)
		}
	}
	must(t, a.close())
}
