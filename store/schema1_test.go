package store

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

const schema1Dir = "testdata/schema1"

// facts1 is what NAME.json says of a data file of schema 1.
type facts1 struct {
	Webhooks   []factsWebhook1  `json:"webhooks"`
	Deliveries []factsDelivery1 `json:"deliveries"`
}

type factsWebhook1 struct {
	ID      uuid.UUID      `json:"id"`
	Status  webhook.Status `json:"status"`
	Reason  webhook.Reason `json:"reason"`
	Ledger  webhook.Ledger `json:"ledger"`
	Waiting []uuid.UUID    `json:"waiting"`
	Health  struct {
		Seq          uint64    `json:"seq"`
		Round        int       `json:"round"`
		FailingSince time.Time `json:"failing_since"`
		LastAttempt  time.Time `json:"last_attempt"`
		LastSuccess  time.Time `json:"last_success"`
		LastAnswer   string    `json:"last_answer"`
	} `json:"health"`
}

type factsDelivery1 struct {
	ID            uuid.UUID     `json:"id"`
	MessageID     uuid.UUID     `json:"message_id"`
	Vehicle       uuid.UUID     `json:"vehicle"`
	State         webhook.State `json:"state"`
	Payload       string        `json:"payload_sha256"`
	Round         int           `json:"round"`
	RoundAttempts int           `json:"round_attempts"`
	NextAttempt   time.Time     `json:"next_attempt"`
	Attempts      []attemptFact `json:"attempts"`
}

// attemptFact is an attempt as the facts have it: a list.
type attemptFact struct {
	outcome, err, contentType string
	status, body              int
}

func (a *attemptFact) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&a.outcome, &a.status, &a.err, &a.body, &a.contentType})
}

// outcomes2 has the outcome that each kind of attempt in the kept files has now.
var outcomes2 = map[string]webhook.Outcome{
	"delivered 200": webhook.OutcomeDelivered,
	"gone 410":      webhook.OutcomeGone,
	"blamed 400":    webhook.OutcomeRefused, "blamed 413": webhook.OutcomeRefused,
	"blamed 415": webhook.OutcomeRefused, "blamed 422": webhook.OutcomeRefused,
	"refused 404": webhook.OutcomeFailed, "refused 500": webhook.OutcomeFailed, "redirect 302": webhook.OutcomeFailed,
	"refused 502": webhook.OutcomeUnavailable, "refused 504": webhook.OutcomeUnavailable,
	"throttled 429": webhook.OutcomeUnavailable, "throttled 503": webhook.OutcomeUnavailable,
	"no_answer 0 EOF":                                                 webhook.OutcomeUnavailable,
	"no_answer 0 no answer within 15s":                                webhook.OutcomeUnavailable,
	"no_answer 0 read tcp: read: connection reset by peer":            webhook.OutcomeUnavailable,
	"no_answer 0 dial tcp: lookup hook1.example.com: no such host":    webhook.OutcomeUnreachable,
	"no_answer 0 dial tcp 192.0.2.1:443: connect: connection refused": webhook.OutcomeUnreachable,
	"denied 0 address 10.0.0.5:443 is refused: private":               webhook.OutcomeUnreachable,
}

func (a attemptFact) now(t testing.TB) webhook.Outcome {
	t.Helper()
	o, ok := outcomes2[strings.TrimSpace(fmt.Sprint(a.outcome, " ", a.status, " ", a.err))]
	if !ok {
		t.Fatalf("nothing is known of an attempt %+v", a)
	}
	return o
}

// schema1Names lists the data files of schema 1 that are kept.
func schema1Names(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(schema1Dir, "*.db.gz"))
	must(t, err)
	if len(paths) != 10 {
		t.Fatalf("%d files of schema 1, want 10", len(paths))
	}
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".db.gz"))
	}
	return names
}

// schema1 unpacks a data file of schema 1 into a folder of its own.
func schema1(t *testing.T, name string) (path string, content []byte, facts facts1) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(read(t, filepath.Join(schema1Dir, name+".db.gz"))))
	must(t, err)
	content, err = io.ReadAll(z)
	must(t, err)
	path = filepath.Join(fastDir(t), "plugbeat.db")
	must(t, os.WriteFile(path, content, 0o600))
	must(t, json.Unmarshal(read(t, filepath.Join(schema1Dir, name+".json")), &facts))
	return path, content, facts
}

// A file of schema 1 of every kind is brought to schema 2 with nothing lost: the same
// ledgers, the same deliveries in the same order, the same message ids and payloads. The
// older file stays, byte for byte, and the next start changes nothing.
func TestSchema2(t *testing.T) {
	for _, name := range schema1Names(t) {
		t.Run(name, func(t *testing.T) {
			path, content, facts := schema1(t, name)
			var log strings.Builder
			f := open(t, func(o *Options) { o.Path, o.Log = path, zerolog.New(&log) })
			f.sound()
			kept := keptFiles(t, path)
			if len(kept) != 1 || !bytes.Equal(read(t, kept[0]), content) {
				t.Fatalf("kept: %v", kept)
			}
			if !strings.Contains(log.String(), `"event":"store.migrated"`) || !strings.Contains(log.String(), `"from":1,"to":2`) {
				t.Errorf("log: %s", log.String())
			}
			f.sameWebhooks(facts)
			f.sameDeliveries(facts)
			f.noRemains()
			log.Reset()
			f.reopen()
			if now := keptFiles(t, path); len(now) != 1 || strings.Contains(log.String(), "migrated") {
				t.Errorf("opened again: %v, %s", now, log.String())
			}
			// What waits can be delivered.
			for _, w := range facts.Webhooks {
				for _, id := range w.Waiting {
					f.settle(webhook.Delivery{ID: id, Webhook: w.ID}, webhook.Delivered)
				}
				if left, err := f.Queue(ctx, w.ID, uuid.Nil, 1); err != nil || len(left) > 0 {
					t.Errorf("%v waits, %v", left, err)
				}
			}
			f.sound()
		})
	}
}

func keptFiles(t *testing.T, path string) []string {
	t.Helper()
	kept, err := filepath.Glob(path + ".schema*")
	must(t, err)
	return kept
}

func (f *fixture) sameWebhooks(facts facts1) {
	f.t.Helper()
	ws, err := f.Webhooks(ctx)
	must(f.t, err)
	if len(ws) != len(facts.Webhooks) {
		f.t.Fatalf("%d webhooks, want %d", len(ws), len(facts.Webhooks))
	}
	for i, want := range facts.Webhooks {
		w, h := ws[i], want.Health
		if w.ID != want.ID || w.Status != want.Status || w.Reason != want.Reason || w.Ledger != want.Ledger || w.Seq != h.Seq {
			f.t.Errorf("webhook %+v, want %+v", w, want)
		}
		if len(w.Key) == 0 {
			f.t.Errorf("webhook %s lost its key", w.ID)
		}
		b := &w.Breaker
		if !b.LastAttempt.Equal(h.LastAttempt) || !b.LastSuccess.Equal(h.LastSuccess) || b.LastAnswer != h.LastAnswer {
			f.t.Errorf("webhook %s: breaker %+v, was %+v", w.ID, b, h)
		}
		if open := w.Status == webhook.Active && !h.FailingSince.IsZero(); b.Open() != open || open && !b.OpenSince.Equal(h.FailingSince) {
			f.t.Errorf("webhook %s: open since %s, was failing since %s", w.ID, b.OpenSince, h.FailingSince)
		}
		queue, err := f.Queue(ctx, want.ID, uuid.Nil, 1000)
		must(f.t, err)
		var waiting []uuid.UUID
		for _, q := range queue {
			waiting = append(waiting, q.Delivery)
		}
		if !slices.Equal(waiting, want.Waiting) {
			f.t.Errorf("webhook %s: %v wait, want %v", want.ID, waiting, want.Waiting)
		}
	}
}

func (f *fixture) sameDeliveries(facts facts1) {
	f.t.Helper()
	hooks := map[uuid.UUID]factsWebhook1{}
	for _, w := range facts.Webhooks {
		hooks[w.ID] = w
	}
	ds, err := f.Deliveries(ctx, webhook.DeliveryFilter{}, uuid.Nil, 1000)
	must(f.t, err)
	slices.Reverse(ds)
	if len(ds) != len(facts.Deliveries) {
		f.t.Fatalf("%d deliveries, want %d", len(ds), len(facts.Deliveries))
	}
	for i, want := range facts.Deliveries {
		d := ds[i]
		if want.MessageID == uuid.Nil {
			want.MessageID = want.ID
		}
		if d.ID != want.ID || d.MessageID != want.MessageID || d.Vehicle != want.Vehicle || d.State != want.State {
			f.t.Errorf("%+v, want %+v", d, want)
		}
		if want.Payload != "" {
			payload, err := f.Payload(ctx, d.ID)
			must(f.t, err)
			if sum := sha256.Sum256(payload); hex.EncodeToString(sum[:8]) != want.Payload {
				f.t.Errorf("delivery %s: its payload changed", d.ID)
			}
		}
		w := hooks[d.Webhook]
		retryAt, retries := time.Time{}, 0
		if w.Status == webhook.Active && w.Health.FailingSince.IsZero() && w.Health.Round == want.Round && want.State == webhook.Waiting {
			retryAt = want.NextAttempt
			retries = max(want.RoundAttempts-1, 0)
		}
		if !d.RetryAt.Equal(retryAt) || d.Retries != retries {
			f.t.Errorf("delivery %s: retried at %s after %d retries, want %s after %d", d.ID, d.RetryAt, d.Retries, retryAt, retries)
		}
		f.sameAttempts(d, want.Attempts)
	}
}

func (f *fixture) sameAttempts(d webhook.Delivery, want []attemptFact) {
	f.t.Helper()
	as, err := f.Attempts(ctx, d.ID)
	must(f.t, err)
	if len(as) != len(want) {
		f.t.Fatalf("delivery %s: %d attempts, want %d", d.ID, len(as), len(want))
	}
	if len(as) == 0 {
		if !d.FirstAttemptAt.IsZero() || d.LastOutcome != "" {
			f.t.Errorf("delivery %s was not attempted: %+v", d.ID, d)
		}
		return
	}
	if last := want[len(want)-1].now(f.t); d.LastOutcome != last {
		f.t.Errorf("delivery %s: last outcome %s, want %s", d.ID, d.LastOutcome, last)
	}
	if !d.FirstAttemptAt.Equal(as[0].StartedAt) {
		f.t.Errorf("delivery %s: first attempt at %s, want %s", d.ID, d.FirstAttemptAt, as[0].StartedAt)
	}
	for i, a := range as {
		w := want[i]
		if a.N != i+1 || a.Outcome != w.now(f.t) || a.Status != w.status || a.Error != w.err || len(a.Body) != min(w.body, 512) {
			f.t.Errorf("delivery %s: attempt %+v, want %+v", d.ID, a, w)
		}
		var raw struct {
			ContentType string `json:"content_type"`
		}
		must(f.t, f.view(ctx, func(r reader) error { return decode(r.get(bucketAttempts, attemptKey(d.ID, a.N)), &raw) }))
		if raw.ContentType != w.contentType {
			f.t.Errorf("delivery %s: content type %q, want %q", d.ID, raw.ContentType, w.contentType)
		}
	}
}

// noRemains fails the test when a record or bucket still has what left with schema 1.
func (f *fixture) noRemains() {
	f.t.Helper()
	gone := map[string][]string{
		bucketWebhooks:   {"health", "replay"},
		bucketDeliveries: {"round", "round_attempts", "next_attempt"},
		bucketAttempts:   {"header"},
	}
	must(f.t, f.view(ctx, func(r reader) error {
		for _, bucket := range []string{"lane", "changes"} {
			if r.bucket(bucket) != nil {
				f.t.Errorf("bucket %s is still there", bucket)
			}
		}
		for bucket, names := range gone {
			for k, v := range r.rows(bucket, nil, nil) {
				var rec map[string]json.RawMessage
				must(f.t, decode(v, &rec))
				for _, name := range names {
					if _, there := rec[name]; there {
						f.t.Errorf("%s %x still has %s", bucket, k, name)
					}
				}
			}
		}
		return nil
	}))
}

// What the circuit breaker is where a ladder had been climbed, by file and webhook.
func TestSchema2Breaker(t *testing.T) {
	tried := func(ts []webhook.Tried) (text string) {
		for _, x := range ts {
			text += fmt.Sprintf(" %x", x.Vehicle[15])
			if x.Reached {
				text += "+"
			}
		}
		return strings.TrimSpace(text)
	}
	type breaker struct {
		step      int
		probe     string // when the next one is due
		notBefore string
		owed      webhook.Owed
		tried     string // vehicles in order, with + where the receiver was reached
		challenge string
		failed    int
	}
	short := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format("15:04:05")
	}
	none := breaker{}
	for name, want := range map[string][]breaker{
		"half-spent": {
			{step: 3, probe: "12:18:41", tried: "66 67 68 65"},
			{step: 3, probe: "12:56:00", notBefore: "12:56:00", tried: "cc+ ca+ cb+ c9+"},
			{step: 3, probe: "12:18:30", tried: "2d+ 2e+ 2f+"},
		},
		"open-trial": {
			{step: 1, probe: "12:00:06", tried: "66+ 67+ 65+"},
			{step: 5, probe: "19:19:01", tried: "ca+ cb+ c9+", challenge: "12:28:11"},
			{step: 4, probe: "11:12:40", owed: webhook.OwedToChallenge, tried: "2d+ 2e+ 2f+"},
			{step: 5, probe: "11:11:44", tried: "92+ 93+ 91+"},
		},
		"challenge-due": {
			{challenge: "18:42:23", failed: 8},
			{step: 5, probe: "19:13:11", tried: "ca cb c9", challenge: "12:22:21"},
		},
		"disabled":  {{challenge: "12:13:41"}, none, none, none, none, {challenge: "12:15:02"}},
		"set-aside": {none, none},
		"fresh":     {none},
		"clean":     {none, none},
		"backlog":   {none},
	} {
		t.Run(name, func(t *testing.T) {
			path, _, _ := schema1(t, name)
			f := open(t, func(o *Options) { o.Path = path })
			ws, err := f.Webhooks(ctx)
			must(t, err)
			var got []breaker
			for _, w := range ws {
				b := &w.Breaker
				got = append(got, breaker{
					b.Step, short(b.NextProbe), short(b.NotBefore), b.Owed, tried(b.Tried), short(b.NextChallenge), b.FailedAnswers,
				})
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(breaker{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// What schema 2 has no place for is told in the log, a line each.
func TestSchema2Notes(t *testing.T) {
	for name, want := range map[string][]string{
		"recovery": {
			`"name":"hook 3","text":"its recover was \"24h\", a time, and is all now: when it comes back, all that waits leaves"`,
			`"name":"hook 3","text":"a recovery by time (24h) was under way and has ended`,
			`"name":"hook 4","text":"its recover was \"24h\"`,
			`"name":"hook 5","text":"a recovery by time (2026-03-02T20:00:00Z) was under way`,
		},
		"replay": {
			`"name":"hook 1","text":"a replay was under way and has ended with 7 of 21 deliveries made; the other 11 are not sent again`,
			`0 of 14 deliveries made; the other 14 are not sent again unless you resend them: ` +
				`delivered deliveries until 2026-03-03T11:00:00Z, up to `,
		},
		"set-aside": nil, "half-spent": nil,
	} {
		t.Run(name, func(t *testing.T) {
			path, content, _ := schema1(t, name)
			var log strings.Builder
			f := open(t, func(o *Options) { o.Path, o.Log = path, zerolog.New(&log) })
			var told []string
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, `"event":"store.not_migrated"`) {
					told = append(told, line)
				}
			}
			if len(told) != len(want) {
				t.Fatalf("%d lines, want %d: %s", len(told), len(want), log.String())
			}
			for i, w := range want {
				if !strings.Contains(told[i], w) || !strings.Contains(told[i], `"level":"warn"`) {
					t.Errorf("%s does not say %s", told[i], w)
				}
			}
			ws, err := f.Webhooks(ctx)
			must(t, err)
			for _, w := range ws {
				policies := []webhook.Policy{"", webhook.RecoverAll, webhook.RecoverLatest, webhook.RecoverNone}
				if !slices.Contains(policies, w.Recover) || w.Recovery != nil && !slices.Contains(policies[2:], w.Recovery.Policy) {
					t.Errorf("webhook %s has recover %q and %+v under way", w.Name, w.Recover, w.Recovery)
				}
			}
			if name == "recovery" && (ws[0].Recovery == nil || ws[0].Recovery.Superseded != 4) {
				t.Errorf("the recovery by latest does not go on: %+v", ws[0].Recovery)
			}
			if name == "recovery" && (ws[1].Recovery == nil || ws[1].Recovery.Cancelled != 4) {
				t.Errorf("the recovery by none does not go on: %+v", ws[1].Recovery)
			}
			must(t, f.Close())

			// A restore of such a file says the same.
			elsewhere := filepath.Join(fastDir(t), "plugbeat.db")
			res, err := Restore(ctx, RestoreOptions{Path: elsewhere, From: bytes.NewReader(content), Name: "b", Key: testKey})
			if err != nil || len(res.NotMigrated) != len(want) {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// A disk that fills during the migration, and a record that cannot be read, leave the
// older file as it was, and nothing beside it.
func TestSchema2Fails(t *testing.T) {
	for _, name := range schema1Names(t) {
		if name == "fresh" {
			continue // its migration needs no more room
		}
		path, content, _ := schema1(t, name)
		full := thisLayout()
		full.fileMax = len(content)
		_, err := Open(Options{Path: path, Key: testKey, layout: full})
		if !errors.Is(err, webhook.ErrNoSpace) || !strings.Contains(err.Error(), "data file "+path) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(read(t, path), content) || entries(t, filepath.Dir(path)) != "plugbeat.db" {
			t.Errorf("%s: something changed: %s", name, entries(t, filepath.Dir(path)))
		}
	}
	for _, c := range []struct {
		bucket, text string
		key          func(b *bolt.Bucket) []byte
		value        []byte
	}{
		{bucketWebhooks, "webhook", firstKey, []byte("{")},
		{bucketWebhooks, "webhook", firstKey, []byte("null")},
		{bucketDeliveries, "delivery", firstKey, []byte(`{"next_attempt":7}`)},
		{bucketAttempts, "attempt", firstKey, []byte(`[]`)},
		{bucketLane1, "waiting", firstKey, []byte("no vehicle")},
		{bucketLane1, "waiting", func(*bolt.Bucket) []byte { return make([]byte, pairLen) }, make([]byte, idLen)},
	} {
		path, _, _ := schema1(t, "half-spent")
		db, err := bolt.Open(path, 0o600, nil)
		must(t, err)
		must(t, db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte(c.bucket))
			return b.Put(c.key(b), c.value)
		}))
		must(t, db.Close())
		content := read(t, path)
		_, err = Open(Options{Path: path, Key: testKey})
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s with %s: %v", c.bucket, c.value, err)
		}
		if !bytes.Equal(read(t, path), content) || entries(t, filepath.Dir(path)) != "plugbeat.db" {
			t.Errorf("%s: something changed: %s", c.bucket, entries(t, filepath.Dir(path)))
		}
	}
}

func firstKey(b *bolt.Bucket) []byte {
	k, _ := b.Cursor().First()
	return bytes.Clone(k)
}
