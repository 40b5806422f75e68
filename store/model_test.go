package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"plugbeat/webhook"
)

// model is what the store should hold, in plain maps.
type model struct {
	dir      string
	f        *fixture
	now      time.Time
	hooks    map[uuid.UUID]*modelHook
	vehicles map[uuid.UUID]uint64 // vehicle to its reads
	due      map[webhook.SubscriptionKey]time.Time
	first    map[webhook.SubscriptionKey]time.Time // of schedules that never fired: where subscribing put them
	items    map[uuid.UUID]*modelDelivery
	names    map[string]string
	// told is what the store told of each delivery's changes.
	told map[uuid.UUID][]modelStep
}

type modelHook struct {
	fires   bool
	ledger  webhook.Ledger
	resends uint64
}

type modelDelivery struct {
	webhook, vehicle uuid.UUID
	state            webhook.State
	attempts         int
	finished         time.Time
	retryAt          time.Time
	payload          string // empty when erased
	steps            []modelStep
	again            bool // it was sent again
}

// modelStep is what happened to a delivery: its state after an attempt, or after
// something else (0).
type modelStep struct {
	state   webhook.State
	attempt int
}

// TestModel drives the store and the model through the same random operations,
// with reopening, and holds one against the other after each step.
func TestModel(t *testing.T) {
	dir := fastDir(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &model{
			dir: filepath.Join(dir, fmt.Sprint(runs)), now: t0, hooks: map[uuid.UUID]*modelHook{}, vehicles: map[uuid.UUID]uint64{},
			due: map[webhook.SubscriptionKey]time.Time{}, first: map[webhook.SubscriptionKey]time.Time{}, items: map[uuid.UUID]*modelDelivery{}, names: map[string]string{}, told: map[uuid.UUID][]modelStep{},
		}
		m.f = &fixture{t: t, now: t0}
		m.f.o = Options{Path: filepath.Join(m.dir, "plugbeat.db"), Key: testKey, Log: zerolog.Nop(), Now: func() time.Time { return m.now }, Committed: m.hear}
		m.f.open()
		defer func() {
			_ = m.f.Close()
			_ = os.RemoveAll(m.dir)
		}()
		m.start()
		rt.Repeat(map[string]func(*rapid.T){
			"":               m.check,
			"vehicle":        m.putVehicle,
			"remove vehicle": m.removeVehicle,
			"webhook":        m.addWebhook,
			"status":         m.setStatus,
			"remove hook":    m.removeWebhook,
			"subscribe":      m.subscribe,
			"unsubscribe":    m.unsubscribe,
			"read":           m.read,
			"read again":     m.read,
			"settle":         m.settle,
			"settle again":   m.settle,
			"resend":         m.resend,
			"resend all":     m.resendAll,
			"sift":           m.sift,
			"sweep":          m.sweep,
			"secret":         m.secret,
			"reopen":         func(*rapid.T) { m.f.reopen() },
			"refused group":  m.refused,
		})
	})
}

// start begins with a small fleet, so that most random steps have something to do.
func (m *model) start() {
	m.f.fleet(2, 2)
	for n := 1; n <= 2; n++ {
		m.hooks[wid(n)], m.vehicles[vid(n)] = &modelHook{fires: true}, 0
		m.due[key(n, 1)], m.due[key(n, 2)] = m.now, m.now
		m.first[key(n, 1)], m.first[key(n, 2)] = m.now, m.now
	}
}

func (m *model) tick(rt *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(-600, 3600).Draw(rt, "seconds")) * time.Second)
}

func some(rt *rapid.T, id func(int) uuid.UUID) uuid.UUID {
	return id(rapid.IntRange(1, 3).Draw(rt, "n"))
}

// expect compares an error with the one the model predicts.
func expect(rt *rapid.T, err, want error) {
	rt.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		rt.Fatalf("error %v, want %v", err, want)
	}
}

func missing(absent bool) error {
	if absent {
		return webhook.ErrNotFound
	}
	return nil
}

func (m *model) secret(rt *rapid.T) {
	name := fmt.Sprint(rapid.IntRange(1, 3).Draw(rt, "name"))
	if rapid.Bool().Draw(rt, "delete") {
		_, had := m.names[name]
		expect(rt, m.f.DeleteSecret(ctx, name), missing(!had))
		delete(m.names, name)
		return
	}
	m.names[name] = rapid.StringN(0, 20, -1).Draw(rt, "secret")
	expect(rt, m.f.PutSecret(ctx, name, []byte(m.names[name])), nil)
}

func (m *model) refused(rt *rapid.T) {
	no := errors.New("no")
	errs := m.f.group(func(*writeTx) error { return no }, func(*writeTx) error { panic("oh") }, putName("4"), func(t *writeTx) error {
		return errors.Join(t.put(bucketWaiting, []byte("x"), nil), no)
	})
	if !errors.Is(errs[0], no) || errs[1] == nil || errs[2] != nil || errs[3] == nil {
		rt.Fatal(errs)
	}
	m.names["4"] = "4"
}
