package demo

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/config"
	"plugbeat/receiver"
	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
	"plugbeat/webhook"
)

// recording is a vehicle of which recorded messages tell, with the recorded time running
// faster than the demo's.
type recording struct {
	vehicle  vehicle.Vehicle
	preset   string
	messages []mapping.Message
	first    time.Time // recorded
	started  time.Time
	factor   float64

	mu     sync.Mutex
	memory *mapping.Memory
}

var (
	_ vehicle.Pusher   = (*recording)(nil)
	_ vehicle.Lister   = (*recording)(nil)
	_ vehicle.Settings = recordedSettings{}
)

// recordedSettings are the section of a recording, which the demo opens itself.
type recordedSettings struct{ *recording }

func (recordedSettings) Check() []vehicle.Complaint { return nil }

func (s recordedSettings) Open(context.Context, vehicle.Deps) (vehicle.Source, error) {
	return s.recording, nil
}

// readRecording reads the messages of a file. The vehicle is the first one that a preset
// understands.
func readRecording(file string) (*recording, error) {
	wrong := func(why string) error {
		return &webhook.Invalid{Field: "--source", Value: file, Why: why,
			Allowed: "a file with lines as mosquitto_sub -F '" + vehicle.RecordedFormat +
				"' prints them, an hour or more of TeslaMate, evcc, openWB, OVMS or fleet-telemetry"}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, wrong(err.Error())
	}
	defer func() { _ = f.Close() }()
	ms, err := mapping.ReadLog(f)
	if err != nil {
		return nil, wrong(err.Error())
	}
	finder := mapping.NewFinder()
	for _, m := range ms {
		finder.Take(m.Topic, m.Payload, m.At)
	}
	offers := finder.Offers(nil)
	if len(offers) == 0 {
		return nil, wrong("it has no topic that a preset understands")
	}
	return newRecording(mapping.Vehicle{ID: "recorded", Preset: offers[0].Preset, With: offers[0].With}, ms), nil
}

func newRecording(m mapping.Vehicle, ms []mapping.Message) *recording {
	r := &recording{preset: m.Preset, messages: ms, first: ms[0].At}
	r.vehicle = vehicle.Vehicle{ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte("plugbeat demo recorded")), Native: m.ID,
		Make: "RECORDED", Model: m.Preset, Mode: vehicle.ModeSimulated}
	r.memory = mapping.NewMemory(m, 2*time.Second, vehicle.Snapshot{}, r.first)
	r.memory.Connected(r.first)
	return r
}

// span is how long the recording is.
func (r *recording) span() time.Duration { return r.messages[len(r.messages)-1].At.Sub(r.first) }

// recorded is the recorded time that a moment of the demo stands for, and real the moment
// of the demo that a recorded time comes at.
func (r *recording) recorded(at time.Time) time.Time {
	return r.first.Add(time.Duration(float64(at.Sub(r.started)) * r.factor))
}

func (r *recording) real(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return r.started.Add(time.Duration(float64(at.Sub(r.first)) / r.factor))
}

// List implements [vehicle.Lister].
func (r *recording) List(context.Context) ([]vehicle.Vehicle, error) {
	return []vehicle.Vehicle{r.vehicle}, nil
}

// Read implements [vehicle.Source].
func (r *recording) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	if ref.ID != r.vehicle.ID {
		return vehicle.Snapshot{}, vehicle.NotInMap("recorded")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.memory.Read(r.recorded(time.Now()), paths)
	for _, at := range []*time.Time{&s.Charge.DataAge, &s.Charge.FetchedAt, &s.Battery.DataAge, &s.Battery.FetchedAt, &s.Location.DataAge,
		&s.Location.FetchedAt} {
		*at = r.real(*at)
	}
	return s, ctx.Err()
}

// Push implements [vehicle.Pusher]: it plays the messages, and what settles of them.
func (r *recording) Push(ctx context.Context, hint func(uuid.UUID)) error {
	for rest := r.messages; ; {
		r.mu.Lock()
		next := r.memory.Due()
		r.mu.Unlock()
		if len(rest) > 0 && (next.IsZero() || rest[0].At.Before(next)) {
			next = rest[0].At
		}
		if next.IsZero() {
			<-ctx.Done()
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(r.real(next))):
		}
		r.mu.Lock()
		for len(rest) > 0 && !rest[0].At.After(next) {
			r.memory.Take(rest[0])
			rest = rest[1:]
		}
		changed := r.memory.Settle(next)
		r.mu.Unlock()
		if changed {
			hint(r.vehicle.ID)
		}
	}
}

// runRecorded shows a recording in place of the simulated fleet.
func runRecorded(ctx context.Context, o Options) (balanced bool, err error) {
	r, err := readRecording(o.Source)
	if err != nil {
		return false, err
	}
	if r.span() < time.Hour {
		return false, &webhook.Invalid{Field: "--source", Value: o.Source, Why: "it is " + r.span().String() + " long",
			Allowed: "an hour or more"}
	}
	o.Verbose = true // one vehicle's deliveries are few
	return run(ctx, o, func(ctx context.Context, d *demo) error { return d.playRecording(ctx, r) })
}

// playRecording sets the demo up around the recording, and lets it play.
func (d *demo) playRecording(ctx context.Context, r *recording) error {
	d.hour = time.Duration(float64(d.For) * 0.9 / r.span().Hours())
	d.show.hour = d.hour
	d.show.name(r.vehicle.ID, 0, r.vehicle)
	d.show.chapter("A recording of %s of one vehicle, by %s: one hour passes in %v, and every delay is shortened alike",
		r.span().Round(time.Minute), r.preset, d.hour.Round(time.Millisecond))
	d.receiver = receiver.New(managementToken)
	d.receiver.Heard(d.show.heard)
	d.receiving = listener{handler: d.receiver}
	if err := d.receiving.open(ctx); err != nil {
		return err
	}
	if err := d.configure("http://127.0.0.1:9"); err != nil { // of the section that the recording takes the place of
		return err
	}
	section := d.cfg.Sources["smartcar"]
	section.Settings = recordedSettings{r}
	d.cfg.Sources = map[string]config.Source{"recorded": section}
	r.started, r.factor = time.Now(), float64(time.Hour)/float64(d.hour)
	if err := d.boot(ctx); err != nil {
		return err
	}
	if err := d.addWebhook(ctx); err != nil {
		return err
	}
	last := r.messages[len(r.messages)-1].At
	if err := d.until(ctx, r.real(last.Add(2*time.Minute)).Sub(d.started)); err != nil {
		return err
	}
	d.show.say("demo", "recording", "the recording ends, after %d messages", len(r.messages))
	return nil
}
