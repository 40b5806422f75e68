package scheduler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/vehicle/sourcetest"
	"plugbeat/webhook"
)

// yard is a scheduler over the real store with sources that push, in a bubble of fake time.
type yard struct {
	t       *testing.T
	t0      time.Time
	store   *store.Store
	sources map[string]scheduler.SourceConfig
	s       *scheduler.Scheduler
	hook    uuid.UUID
	stop    func()

	mu  sync.Mutex
	log bytes.Buffer
}

func (y *yard) Write(b []byte) (int, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.log.Write(b)
}

func (y *yard) logged() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.log.String()
}

func (y *yard) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

// inYard runs a test with a data file and a webhook.
func inYard(t *testing.T, test func(y *yard)) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "plugbeat-yard-*")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	synctest.Test(t, func(t *testing.T) {
		y := &yard{t: t, t0: time.Now(), sources: map[string]scheduler.SourceConfig{}, hook: uuid.New()}
		var err error
		y.store, err = store.Open(store.Options{Path: filepath.Join(dir, "plugbeat.db"), Key: make([]byte, 32), Log: zerolog.Nop()})
		y.must(err)
		y.must(y.store.AddWebhook(t.Context(), webhook.Webhook{ID: y.hook, Name: "hook", Type: webhook.TypeDynamic, CallbackURI: "https://receiver.example/",
			Status: webhook.Active, Signing: webhook.SignBoth, Key: bytes.Repeat([]byte{1}, 24), CreatedAt: y.t0}))
		_, err = y.store.UpdateWebhook(t.Context(), y.hook, func(h *webhook.Webhook) error { h.Status = webhook.Active; return nil })
		y.must(err)
		test(y)
		y.halt()
		y.must(y.store.Close())
	})
}

// car adds a vehicle of a source.
func (y *yard) car(source string) uuid.UUID {
	y.t.Helper()
	id := uuid.New()
	y.must(y.store.PutVehicle(y.t.Context(), vehicle.Vehicle{ID: id, Source: source, Native: id.String(), Make: "KIA", Mode: vehicle.ModeLive, ConnectedAt: time.Now()}))
	return id
}

// start runs the scheduler with the sources.
func (y *yard) start() {
	y.t.Helper()
	var err error
	y.s, err = scheduler.New(scheduler.Options{Store: y.store, Settings: scheduler.Defaults(), Log: zerolog.New(y), Sources: y.sources})
	y.must(err)
	ctx, cancel := context.WithCancel(y.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		y.must(y.s.Run(ctx))
	}()
	y.stop = func() { cancel(); <-ended }
	synctest.Wait()
}

func (y *yard) halt() {
	if y.stop != nil {
		y.stop()
		y.stop = nil
	}
}

func (y *yard) subscribe(ids ...uuid.UUID) {
	y.t.Helper()
	for _, id := range ids {
		_, _, err := y.s.Subscribe(y.t.Context(), y.hook, id, time.Time{})
		y.must(err)
	}
	synctest.Wait()
}

// until lets time pass up to t0 + d.
func (y *yard) until(d time.Duration) {
	time.Sleep(time.Until(y.t0.Add(d)))
	synctest.Wait()
}

// made is a delivery of a vehicle, oldest first.
type made struct {
	at    time.Duration // since t0
	cause webhook.Cause
	plug  string // as the payload has it: true, false, or the error's code
}

func (m made) String() string { return fmt.Sprintf("%s %s %s", m.at, m.cause, m.plug) }

func (y *yard) made(car uuid.UUID) (all []made) {
	y.t.Helper()
	var ds []webhook.Delivery
	for before := uuid.Nil; ; {
		page, err := y.store.Deliveries(y.t.Context(), webhook.DeliveryFilter{Vehicle: car}, before, 100)
		y.must(err)
		ds = append(ds, page...)
		if len(page) < 100 {
			break
		}
		before = page[len(page)-1].ID
	}
	slices.SortFunc(ds, func(a, b webhook.Delivery) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, d := range ds {
		body, err := y.store.Payload(y.t.Context(), d.ID)
		y.must(err)
		m := made{at: d.CreatedAt.Sub(y.t0).Round(time.Millisecond), cause: d.Cause}
		var env struct {
			Payload struct {
				Vehicles []struct {
					Data []struct {
						Path string
						Code int
						Body json.RawMessage
					}
				}
			}
		}
		y.must(json.Unmarshal(body, &env))
		for _, e := range env.Payload.Vehicles[0].Data {
			var b struct {
				IsPluggedIn *bool
				Code        *string
			}
			y.must(json.Unmarshal(e.Body, &b))
			switch {
			case e.Path != "/charge":
			case b.IsPluggedIn != nil:
				m.plug = fmt.Sprint(*b.IsPluggedIn)
			case b.Code != nil:
				m.plug = *b.Code
			}
		}
		all = append(all, m)
	}
	return all
}

func (y *yard) wantMade(car uuid.UUID, want ...string) {
	y.t.Helper()
	var got []string
	for _, m := range y.made(car) {
		got = append(got, m.String())
	}
	if !slices.Equal(got, want) {
		y.t.Errorf("delivered\n%q, want\n%q", got, want)
	}
}

// known is what a source is handed when it opens.
func (y *yard) known(ids ...uuid.UUID) (list []vehicle.Known) {
	y.t.Helper()
	for _, id := range ids {
		v, err := y.store.Vehicle(y.t.Context(), id)
		y.must(err)
		st, err := y.store.VehicleStatus(y.t.Context(), id)
		y.must(err)
		list = append(list, vehicle.Known{Vehicle: v, Status: st})
	}
	return list
}

// TestPushedPlugIsDeliveredAtOnce: a plug that a source is told of is a delivery within a
// tenth of a second, although the vehicle was read just before; within a minute of the
// last delivery it comes at the minute's end, with what the source says then.
func TestPushedPlugIsDeliveredAtOnce(t *testing.T) {
	inYard(t, func(y *yard) {
		p := sourcetest.NewPushed()
		y.sources["yard"] = scheduler.SourceConfig{Source: p}
		id := y.car("yard")
		y.start()
		p.Tell(id, vehicle.Unplugged)
		y.subscribe(id)
		y.until(85 * time.Second)
		_, err := y.s.ReadNow(y.t.Context(), id, vehicle.AllPaths)
		y.must(err)
		y.until(90 * time.Second)
		p.Tell(id, vehicle.PluggedIn)
		time.Sleep(100 * time.Millisecond)
		y.wantMade(id, "0s first false", "1m30s change true")

		y.until(120 * time.Second)
		p.Tell(id, vehicle.Unplugged)
		y.until(140 * time.Second)
		p.Tell(id, vehicle.Unplugged) // confirmed
		y.until(150*time.Second - time.Millisecond)
		y.wantMade(id, "0s first false", "1m30s change true")
		y.until(151 * time.Second)
		y.wantMade(id, "0s first false", "1m30s change true", "2m30s change false")
		st := y.known(id)[0].Status
		if got := st.Last.Charge.FetchedAt.Sub(y.t0); got != 140*time.Second {
			t.Errorf("it carries what was confirmed at %s", got)
		}
	})
}

// slow makes reads take time, and counts those at a time.
type slow struct {
	*sourcetest.Pushed
	took      time.Duration
	mu        sync.Mutex
	now, most int
}

func (s *slow) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	s.count(1)
	defer s.count(-1)
	time.Sleep(s.took)
	return s.Pushed.Read(ctx, ref, paths)
}

func (s *slow) count(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += by
	s.most = max(s.most, s.now)
}

// TestPushedFaultStands: a path without a value does not delay the plug: the source is
// not asked again for what is not in its memory.
func TestPushedFaultStands(t *testing.T) {
	inYard(t, func(y *yard) {
		p := &slow{Pushed: sourcetest.NewPushed(), took: 10 * time.Millisecond}
		y.sources["yard"] = scheduler.SourceConfig{Source: p}
		id := y.car("yard")
		y.start()
		p.Tell(id, vehicle.Unplugged)
		y.subscribe(id)
		y.until(90 * time.Second)
		before := p.Reads(id)
		p.Tell(id, vehicle.PluggedIn)
		p.Fail(id, vehicle.NoResponse("no level"), vehicle.PathsOf(vehicle.PathBattery))
		time.Sleep(100 * time.Millisecond)
		y.wantMade(id, "10ms first false", "1m30.01s change true")
		y.until(2 * time.Minute)
		if n := p.Reads(id) - before; n != 1 {
			t.Errorf("%d reads", n)
		}
	})
}

// TestStormOfHints: a thousand hints a second are one read under way and one pending.
func TestStormOfHints(t *testing.T) {
	for _, took := range []time.Duration{0, 400 * time.Millisecond} {
		inYard(t, func(y *yard) {
			p := &slow{Pushed: sourcetest.NewPushed(), took: took}
			y.sources["yard"] = scheduler.SourceConfig{Source: p}
			id := y.car("yard")
			y.start()
			p.Tell(id, vehicle.Unplugged)
			y.subscribe(id)
			y.until(2 * time.Minute)
			before := p.Reads(id)
			for i := range 10_000 {
				if i == 5000 {
					p.Tell(id, vehicle.PluggedIn)
				}
				p.Hint(id)
				time.Sleep(time.Millisecond)
			}
			during := p.Reads(id) - before
			time.Sleep(time.Minute)
			synctest.Wait()
			if most := int(10*time.Second/(took+50*time.Millisecond)) + 1; during > most || during < most/2 {
				t.Errorf("%d reads of %s in 10 s, want at most %d", during, took, most)
			}
			if after := p.Reads(id) - before - during; after > 2 || p.most > 1 {
				t.Errorf("%d reads after the storm, %d at a time", after, p.most)
			}
			if got := y.made(id); len(got) != 2 || got[1].cause != webhook.CauseChange || got[1].at > 2*time.Minute+5*time.Second+2*took+100*time.Millisecond {
				t.Errorf("delivered %v", got)
			}
		})
	}
}

// TestRestartOfAPushingSource: a replay that says what is stored changes nothing and makes
// nothing younger, over any number of restarts; one that says something else is one change.
func TestRestartOfAPushingSource(t *testing.T) {
	inYard(t, func(y *yard) {
		p := sourcetest.NewPushed()
		y.sources["yard"] = scheduler.SourceConfig{Source: p}
		id := y.car("yard")
		y.start()
		p.Tell(id, vehicle.Unplugged)
		y.subscribe(id)
		y.until(10 * time.Minute)
		p.Tell(id, vehicle.PluggedIn)
		y.until(11 * time.Minute)
		told := y.known(id)[0].Status
		if told.State != vehicle.StatePluggedIn || told.Since.Sub(y.t0) != 10*time.Minute {
			t.Fatalf("%+v", told)
		}
		for h := 1; h <= 23; h++ {
			y.until(time.Duration(h) * time.Hour)
			y.halt()
			p = sourcetest.NewPushed(y.known(id)...)
			y.sources["yard"] = scheduler.SourceConfig{Source: p}
			p.Replay(id, vehicle.PluggedIn)
			y.start()
			p.Hint(id)
		}
		y.until(23*time.Hour + 30*time.Minute)
		st := y.known(id)[0].Status
		if !st.SeenAt.Equal(told.SeenAt) || !st.ObservedAt.Equal(told.ObservedAt) || !st.Since.Equal(told.Since) || st.Last.Charge != told.Last.Charge {
			t.Errorf("after restarts\n%+v, before\n%+v", st, told)
		}
		count := map[webhook.Cause]int{}
		for _, m := range y.made(id) {
			count[m.cause]++
		}
		if count[webhook.CauseChange] != 1 || count[webhook.CauseDue] < 45 {
			t.Errorf("delivered %v", count)
		}
		// Nobody confirmed it for a day: the unplugged cadence.
		y.until(30 * time.Hour)
		before := len(y.made(id))
		y.until(40 * time.Hour)
		if n := len(y.made(id)) - before; n != 10 {
			t.Errorf("%d deliveries in 10 h, want the unplugged cadence", n)
		}

		y.halt()
		time.Sleep(time.Hour)
		p = sourcetest.NewPushed(y.known(id)...)
		y.sources["yard"] = scheduler.SourceConfig{Source: p}
		p.Replay(id, vehicle.Unplugged)
		opened := time.Since(y.t0)
		y.start()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		changes := slices.DeleteFunc(y.made(id), func(m made) bool { return m.cause != webhook.CauseChange })
		if len(changes) != 2 || changes[1].plug != "false" || changes[1].at < opened {
			t.Errorf("changes %v, opened at %s", changes, opened)
		}
	})
}

// TestHarmlessHints: for vehicles that plugbeat does not know or that are another
// source's, before the scheduler runs, and after it has stopped.
func TestHarmlessHints(t *testing.T) {
	inYard(t, func(y *yard) {
		p, other := sourcetest.NewPushed(), sourcetest.NewPushed()
		y.sources["yard"], y.sources["other"] = scheduler.SourceConfig{Source: p}, scheduler.SourceConfig{Source: other}
		mine, theirs, gone := y.car("yard"), y.car("other"), y.car("yard")
		for _, id := range []uuid.UUID{mine, theirs, gone} {
			p.Tell(id, vehicle.Unplugged)
			other.Tell(id, vehicle.Unplugged)
		}
		_, err := y.store.RemoveVehicle(y.t.Context(), gone)
		y.must(err)
		y.start()
		for range 100 {
			p.Hint(uuid.New())
			p.Hint(uuid.Nil)
			p.Hint(theirs)
			p.Hint(gone)
		}
		time.Sleep(time.Minute)
		y.s.Forget(mine)
		p.Hint(mine)
		time.Sleep(time.Second)
		y.halt()
		for range 100 {
			p.Hint(mine)
			p.Hint(theirs)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.Reads(theirs) != 0 || other.Reads(mine) != 0 || other.Reads(theirs) != 1 || p.Reads(gone) != 0 || p.Reads(mine) != 2 {
			t.Errorf("read %d %d %d %d %d times", p.Reads(theirs), other.Reads(mine), other.Reads(theirs), p.Reads(gone), p.Reads(mine))
		}
		if text := y.logged(); strings.Contains(text, `"level":"error"`) {
			t.Errorf("logged %s", text)
		}
	})
}

// TestHintsKeepToLimits: a hint does not undercut a retry-after, and costs no more than
// the budget has.
func TestHintsKeepToLimits(t *testing.T) {
	inYard(t, func(y *yard) {
		p := sourcetest.NewPushed()
		y.sources["yard"] = scheduler.SourceConfig{Source: p, Plan: cadence.Plan{Metered: true, Calls: 15, Per: cadence.Day}}
		id := y.car("yard")
		y.start()
		p.Fail(id, &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, Description: "later", RetryAfter: 90 * time.Second}, vehicle.AllPaths)
		p.Hint(id)
		y.until(time.Minute)
		p.Tell(id, vehicle.Unplugged)
		y.until(89 * time.Second)
		if n := p.Reads(id); n != 1 {
			t.Errorf("%d reads within the retry-after", n)
		}
		y.until(91 * time.Second)
		if n := p.Reads(id); n != 3 { // the second try, and the hint that was pending
			t.Errorf("%d reads after it", n)
		}
		p.Fail(id, &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, Description: "later", RetryAfter: 30 * time.Minute}, vehicle.AllPaths)
		p.Hint(id)
		y.until(100 * time.Second)
		p.Tell(id, vehicle.Unplugged)
		y.until(31 * time.Minute)
		if n := p.Reads(id); n != 4 {
			t.Errorf("%d reads within the long retry-after", n)
		}
		for range 10 {
			time.Sleep(10 * time.Minute)
			p.Hint(id)
		}
		synctest.Wait()
		if st := y.known(id)[0].Status; p.Reads(id) != 5 || st.Spent.Calls != 15 {
			t.Errorf("%d reads, %+v spent of 15", p.Reads(id), st.Spent)
		}
	})
}

// broken is a source that does what no source may.
type broken struct {
	read func()
	push func()
}

func (b *broken) Read(context.Context, vehicle.Ref, vehicle.Paths) (vehicle.Snapshot, error) {
	b.read()
	return vehicle.Snapshot{}, nil
}

func (b *broken) Push(ctx context.Context, _ func(uuid.UUID)) error {
	b.push()
	<-ctx.Done()
	return nil
}

// TestBrokenSource: a source that panics or does not return is named, its vehicles get
// deliveries that say so, and other sources know nothing of it.
func TestBrokenSource(t *testing.T) {
	release := func() {}
	var blocked atomic.Int32
	for name, bad := range map[string]func() (src *broken, event, fault string){
		"read panics": func() (*broken, string, string) {
			return &broken{read: func() { panic("a bug") }, push: func() {}}, "source.panicked", "its program failed"
		},
		"read blocks": func() (*broken, string, string) {
			held := make(chan struct{})
			release = func() { close(held) }
			return &broken{read: func() { blocked.Add(1); <-held }, push: func() {}}, "source.stuck", "it does not return"
		},
		"push panics": func() (*broken, string, string) {
			return &broken{read: func() {}, push: func() { panic("a bug") }}, "source.panicked", ""
		},
		"push blocks": func() (*broken, string, string) {
			held := make(chan struct{})
			release = func() { close(held) }
			return &broken{read: func() {}, push: func() { <-held }}, "", ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			inYard(t, func(y *yard) {
				release = func() {}
				src, event, fault := bad()
				good := sourcetest.NewPushed()
				y.sources["bad"] = scheduler.SourceConfig{Source: src, MaxReads: 2}
				y.sources["good"] = scheduler.SourceConfig{Source: good}
				well := y.car("good")
				var ill []uuid.UUID
				for range 8 {
					ill = append(ill, y.car("bad"))
				}
				good.Tell(well, vehicle.Unplugged)
				y.start()
				y.subscribe(append(ill, well)...)
				y.until(90 * time.Second)
				good.Tell(well, vehicle.PluggedIn)
				y.until(100 * time.Second)
				y.wantMade(well, "0s first false", "1m30s change true")
				y.until(2 * time.Hour)
				for _, id := range ill {
					got := y.made(id)
					if len(got) < 2 || got[0].plug == "" || got[0].plug == "true" || got[0].plug == "false" {
						t.Errorf("of the broken source: %v", got)
					}
				}
				for _, s := range y.s.Sources() {
					if s.Name == "bad" && (!strings.Contains(s.LastFault, fault) || fault != "" && !strings.Contains(s.LastFault, "source bad")) || s.Name == "good" && s.LastFault != "" {
						t.Errorf("source %s: %q", s.Name, s.LastFault)
					}
				}
				if !strings.Contains(y.logged(), `"event":"`+event) || !strings.Contains(y.logged(), `"source":"bad"`) && event != "" {
					t.Errorf("the log does not have %q:\n%s", event, y.logged())
				}
				began := time.Now()
				y.halt()
				if took := time.Since(began); took > 25*time.Second {
					t.Errorf("the stop took %s", took)
				}
				release()
			})
		})
	}
	if n := blocked.Load(); n < 2 || n > 4 {
		t.Errorf("%d reads were begun that do not return; the source has two places", n)
	}
}

// TestPushEnds: a source that stops listening is asked to again.
func TestPushEnds(t *testing.T) {
	inYard(t, func(y *yard) {
		var began []time.Duration
		y.sources["bad"] = scheduler.SourceConfig{Source: &broken{read: func() {}, push: func() {
			began = append(began, time.Since(y.t0))
			if len(began) < 4 {
				panic("the broker is away")
			}
		}}}
		y.start()
		y.until(time.Minute)
		if want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}; !slices.Equal(began, want) {
			t.Errorf("began at %v, want %v", began, want)
		}
		if n := strings.Count(y.logged(), "source.push_ended"); n != 3 {
			t.Errorf("told %d times", n)
		}
	})
}
