package store

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

var update = flag.Bool("update", false, "write the golden files anew, and testdata/v1.db when it is missing")

// full returns one record of each type with every field set.
func full() map[string]any {
	at := t0.Add(1500 * time.Millisecond)
	reach := 311.5
	fault := &vehicle.Fault{
		Type: vehicle.TypeRateLimit, Code: "VEHICLE", Description: "too many", DocURL: "https://example.com", Status: 429, RequestID: "r",
		Resolution: vehicle.ResolveRetryLater, ResolutionURL: "https://example.com/r", UserMessage: "wait", Detail: json.RawMessage(`[1]`),
		RetryAfter: time.Minute, Network: true,
	}
	w := newWebhook(1)
	w.Cadence = webhook.Cadence{Every: "2 weeks", Unplugged: "1h", PluggedIn: "*/30 * * * *", Zone: "Europe/Berlin", Fastest: true}
	w.Content = webhook.Content{EventName: "scheduled", Paths: []string{"/charge", "/battery"}, UnitSystem: "imperial", EventTypes: []webhook.EventType{webhook.ChargingStarted}}
	w.AllowPrivate, w.CreatedAt, w.VerifiedAt = true, at, at
	w.Recover, w.Recovery = webhook.RecoverLatest, &webhook.Recovery{Policy: webhook.RecoverLatest, Upto: id(1, 3), StartedAt: at, Superseded: 1, Cancelled: 2}
	w.Status, w.Reason, w.ReasonText = webhook.Disabled, webhook.Exhausted, "413: raise the limit"
	w.Seq = 7
	w.Breaker = webhook.Breaker{
		OpenSince: at, Step: 3, NextProbe: at, NotBefore: at, Owed: webhook.OwedToChallenge, FailuresInRow: 1,
		Tried:       []webhook.Tried{{Delivery: id(1, 1), Vehicle: vid(1), At: at, Reached: true}},
		LastAttempt: at, LastSuccess: at, LastAnswer: "413", NextChallenge: at, FailedAnswers: 2,
	}
	w.Ledger = webhook.Ledger{Produced: 21, Delivered: 1, Superseded: 2, Dead: 3, Expired: 4, Cancelled: 5}
	w.DueTimes = webhook.DueTimes{Produced: 21, Collapsed: 7, Skipped: 8, Quiet: 9}
	w.KeyOverlap = &webhook.KeyOverlap{Since: at, Until: at}
	w.Key = nil // it is in the record only sealed
	v := newVehicle(1)
	v.Connection, v.VIN, v.Permissions, v.ConnectedAt = "account", "5YJ3E1EA7KF000001", []string{"read_charge"}, at
	other := id(1, 2)
	return map[string]any{
		"webhook": &webhookRecord{Webhook: w, Removing: true, SealedKey: bytes.Repeat([]byte{1}, sealedMin+24), SealedOldKey: bytes.Repeat([]byte{2}, sealedMin+24)},
		"vehicle": &vehicleRecord{Vehicle: v, Removing: true},
		"vehicle_state": &vehicle.Status{
			State: vehicle.StatePluggedIn, ObservedAt: at, Since: at, SeenAt: at, Charge: vehicle.Charging, ChargeObservedAt: at, Restricted: true, ReadAt: at, NotBefore: at, NotBeforeFault: fault,
			Last: vehicle.Snapshot{
				RequestID: "request",
				Charge:    vehicle.Reading[vehicle.Charge]{Value: vehicle.Charge{State: vehicle.Charging, Plug: vehicle.PluggedIn}, OK: true, DataAge: at, FetchedAt: at},
				Battery:   vehicle.Reading[vehicle.Battery]{Value: vehicle.Battery{PercentRemaining: 0.43, RangeKm: &reach}, OK: true, FetchedAt: at},
				Location:  vehicle.Reading[vehicle.Location]{FetchedAt: at, Fault: fault},
			},
			Reads: 9, PathReads: 27, Spent: vehicle.Spending{Since: at, Calls: 12},
		},
		"subscription": &webhook.Subscription{SubscriptionKey: key(1, 1), CreatedAt: at},
		"delivery": &deliveryRecord{Delivery: webhook.Delivery{
			ID: id(1, 1), Webhook: wid(1), Vehicle: vid(1), MessageID: other, EventName: "dynamic", Cause: webhook.CauseChange, State: webhook.Superseded,
			Due: at, CreatedAt: at, FinishedAt: at, Bytes: 812, Attempts: 3, FirstAttemptAt: at, RetryAt: at, Retries: 2,
			LastOutcome: webhook.OutcomeRefused, LastAnswer: "413", FinalText: "newer", ResendOf: &other, ResentAs: &other, SupersededBy: &other,
		}, Erased: erasedPayload},
		"attempt": &webhook.Attempt{
			N: 3, StartedAt: at, Duration: 42 * time.Millisecond, Outcome: webhook.OutcomeRefused, Status: 413, Error: "reset", Cause: "raise the limit",
			Address: "192.0.2.1:443", RetryAfter: time.Minute, ContentType: "text/plain", Body: []byte("too large"),
		},
		"grant_operator": &grantRecord{Grant: access.Grant{Name: "grafana", Scope: access.ScopeRead, CreatedAt: at, LastUsedAt: at}, Hash: hex.EncodeToString(bytes.Repeat([]byte{3}, 32))},
		"grant_intake":   &grantRecord{Grant: access.Grant{Name: "shed", Intake: "scripts", CreatedAt: at}, Hash: hex.EncodeToString(bytes.Repeat([]byte{4}, 32))},
		"grant":          &grantRecord{Grant: access.Grant{Name: "home", Vehicles: []uuid.UUID{vid(1)}, CreatedAt: at}, Hash: hex.EncodeToString(bytes.Repeat([]byte{2}, 32))},
	}
}

func fullSchedule() webhook.Schedule {
	return webhook.Schedule{
		SubscriptionKey: key(1, 1), Source: "smartcar", Due: t0.Add(time.Hour), Anchor: t0, ProducedAt: t0.Add(time.Minute),
		State: vehicle.StatePluggedIn, Cause: webhook.CauseChange,
	}
}

// TestGolden holds what each record looks like on disk. A difference is a change
// of the file's layout: fields may only be added.
func TestGolden(t *testing.T) {
	for name, rec := range full() {
		t.Run(name, func(t *testing.T) {
			b, err := encode(rec)
			must(t, err)
			var pretty bytes.Buffer
			must(t, json.Indent(&pretty, b, "", "  "))
			pretty.WriteByte('\n')
			golden(t, name+".json", pretty.Bytes())
			back := full()[name]
			must(t, json.Unmarshal([]byte("{}"), back))
			must(t, decode(b, back))
			if d := cmp.Diff(rec, back); d != "" {
				t.Error(d)
			}
		})
	}
	b, err := encodeSchedule(fullSchedule())
	must(t, err)
	golden(t, "slot.hex", []byte(hex.EncodeToString(b)+"\n"))
	s, err := decodeSchedule(key(1, 1), b)
	if err != nil || s != fullSchedule() {
		t.Fatal(s, err)
	}
}

// A record written before a field existed reads with the field's zero value, and
// a field of a later version is passed over.
func TestRecordsAreAdditive(t *testing.T) {
	var rec deliveryRecord
	must(t, decode([]byte(`{"state":"waiting","colour":"red"}`), &rec))
	if rec.State != webhook.Waiting || rec.Erased != erasedNothing {
		t.Fatal(rec)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s: %s", path, d)
	}
}

func TestEncodeRefuses(t *testing.T) {
	if _, err := encode(vehicle.Status{Last: vehicle.Snapshot{Battery: vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: math.NaN()}}}}); err == nil {
		t.Error("a fraction that is not a number")
	}
	for _, at := range []time.Time{time.Unix(-1, 0), time.UnixMilli(0), time.UnixMilli(maxMillis + 1)} {
		var invalid *webhook.Invalid
		if _, err := millis(at); !errors.As(err, &invalid) {
			t.Error(at, err)
		}
	}
	for _, change := range []func(*webhook.Schedule){
		func(s *webhook.Schedule) { s.Source = "" }, func(s *webhook.Schedule) { s.Source = "Tesla" }, func(s *webhook.Schedule) { s.Source = "seventeen-letters" },
		func(s *webhook.Schedule) { s.State = 3 }, func(s *webhook.Schedule) { s.Cause = 3 }, func(s *webhook.Schedule) { s.Due = time.Unix(-1, 0) },
	} {
		s := fullSchedule()
		if change(&s); second(encodeSchedule(s)) == nil {
			t.Errorf("%+v", s)
		}
	}
}

func TestNextID(t *testing.T) {
	last := uuid.Nil
	for i := range 10000 {
		var random [10]byte
		_, _ = rand.Read(random[:])
		if i%100 < 50 {
			copy(random[:], bytes.Repeat([]byte{0xff}, 10)) // the largest id of a millisecond, again and again
		}
		next := nextID(last, uint64(1000+i/200), random)
		if bytes.Compare(next[:], last[:]) <= 0 || next.Version() != 7 || next.Variant() != uuid.RFC4122 {
			t.Fatalf("%d: %s after %s", i, next, last)
		}
		if lastMillis(next) < uint64(1000+i/200) {
			t.Fatal("an id before its time", next)
		}
		last = next
	}
	// A carry goes through variant, version and into the time.
	if got := nextID(uuid.MustParse("00000000-03e8-7fff-bfff-ffffffffffff"), 1000, [10]byte{}); got.String() != "00000000-03e9-7000-8000-000000000000" {
		t.Fatal(got)
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"), uint64(1), "sim", uint32(1))
	f.Fuzz(func(t *testing.T, ids []byte, ms uint64, source string, n uint32) {
		var a, b uuid.UUID
		copy(a[:], ids)
		copy(b[:], ids[min(len(ids), idLen):])
		if x, y, err := parsePair(pairKey(a, b)); err != nil || x != a || y != b {
			t.Fatal(x, y, err)
		}
		if x, m, err := parseAttempt(attemptKey(a, int(n))); err != nil || x != a || m != int(n) {
			t.Fatal(x, m, err)
		}
		ms = ms%maxMillis + 1
		if m, x, err := parseDone(doneKey(ms, a)); err != nil || m != ms || x != a {
			t.Fatal(m, x, err)
		}
		if m, err := millis(timeOf(ms)); err != nil || m != ms {
			t.Fatal(m, err)
		}
		if checkSource(source) == nil {
			sk := webhook.SubscriptionKey{Webhook: a, Vehicle: b}
			k := dueKey(source, ms, sk)
			if s, m, x, err := parseDue(k); err != nil || s != source || m != ms || x != sk {
				t.Fatal(s, m, x, err)
			}
			if later := dueKey(source, ms+1, sk); bytes.Compare(k, later) >= 0 {
				t.Fatal("the order of keys is not that of times")
			}
		}
		// Anything else is an error or comes out as it went in.
		if s, m, x, err := parseDue(ids); err == nil && !bytes.Equal(dueKey(s, m, x), ids) {
			t.Fatalf("%x", ids)
		}
	})
}

func FuzzSchedule(f *testing.F) {
	b, _ := encodeSchedule(fullSchedule())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSchedule(key(1, 1), b)
		if err != nil {
			return
		}
		back, err := encodeSchedule(s)
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%x came back as %x (%v)", b, back, err)
		}
	})
}
