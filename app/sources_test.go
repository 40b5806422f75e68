package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/config"
	"plugbeat/vehicle"
	"plugbeat/vehicle/sourcetest"
)

// with adds a source that the test opens to a config.
func with(cfg config.Config, name string, open func(ctx context.Context, d vehicle.Deps) (vehicle.Source, error)) config.Config {
	cfg.Sources[name] = config.Source{Type: "test", MaxReads: 2, Settings: &opens{open}}
	return cfg
}

// TestSourcesThatFailAreNamedTogether: the daemon does not start, and says of each source
// whose settings fail which it is; one that works is not named.
func TestSourcesThatFailAreNamedTogether(t *testing.T) {
	fail := func(why string) func(context.Context, vehicle.Deps) (vehicle.Source, error) {
		return func(context.Context, vehicle.Deps) (vehicle.Source, error) { return nil, errors.New(why) }
	}
	cfg := configured(t, shortDir(t), simulatorSource)
	cfg = with(with(cfg, "first", fail("no map")), "second", fail("no broker"))
	_, err := New(t.Context(), cfg, Options{})
	wantError(t, err, "sources.first: no map", "sources.second: no broker")
	if strings.Contains(err.Error(), "sources.sim") {
		t.Error(err)
	}
	gone(t, cfg)
}

// TestSourceThatDoesNotOpen: a source that panics or does not return while it is opened
// has a stand-in, which names it in its faults; the log names it too. What opens later is
// closed.
func TestSourceThatDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, closed := make(chan struct{}), make(chan struct{})
		log := &lines{}
		a := &sources{log: zerolog.New(log), cfg: config.Default()}
		a.cfg = with(a.cfg, "panics", func(context.Context, vehicle.Deps) (vehicle.Source, error) { panic("a bug") })
		a.cfg = with(a.cfg, "late", func(ctx context.Context, _ vehicle.Deps) (vehicle.Source, error) { <-ctx.Done(); return nil, ctx.Err() })
		a.cfg = with(a.cfg, "blocks", func(context.Context, vehicle.Deps) (vehicle.Source, error) {
			<-release
			return listing{end: func() { close(closed) }}, nil
		})
		for name, why := range map[string]string{"panics": "its program failed", "late": "did not open within 10s", "blocks": "did not open within 10s"} {
			began := time.Now()
			src, err := a.openOne(t.Context(), name)
			must(t, err)
			if took := time.Since(began); took > openTime+vehicle.Patience {
				t.Errorf("%s took %s", name, took)
			}
			_, err = src.Read(t.Context(), vehicle.Ref{}, vehicle.AllPaths)
			wantError(t, err, "source "+name, why)
			if f := vehicle.AsFault(err); f.Type != vehicle.TypeUpstream || !f.Network {
				t.Errorf("%s: %+v", name, f)
			}
			if !strings.Contains(log.String(), `"event":"source.not_opened","source":"`+name+`"`) {
				t.Errorf("the log does not name %s:\n%s", name, log.String())
			}
		}
		close(release)
		<-closed
	})
}

// TestOthersOpen: beside a source that fails while it is opened the daemon starts and
// reads.
func TestOthersOpen(t *testing.T) {
	cfg := configured(t, shortDir(t), simulatorSource)
	cfg = with(cfg, "lists", func(context.Context, vehicle.Deps) (vehicle.Source, error) {
		return listing{bring: func(context.Context) error { panic("a bug") }}, nil
	})
	d := start(t, with(cfg, "panics", func(context.Context, vehicle.Deps) (vehicle.Source, error) { panic("a bug") }))
	if !strings.Contains(d.log.String(), `"event":"source.not_opened","source":"lists"`) {
		t.Error("the log does not name the source that cannot list its vehicles")
	}
	v := vehicle.Vehicle{ID: uuid.New(), Source: "panics", Make: "KIA"}
	must(t, d.store.Vehicles.PutVehicle(t.Context(), v))
	got, err := d.client.ReadVehicle(t.Context(), v.ID.String(), vehicle.AllPaths)
	must(t, err)
	if f := got.Charge.Fault; f == nil || !strings.Contains(f.Description, "source panics") {
		t.Errorf("%+v", got)
	}
	for _, id := range d.ids() {
		if id == v.ID {
			continue
		}
		got, err := d.client.ReadVehicle(t.Context(), id.String(), vehicle.AllPaths)
		must(t, err)
		if !got.Charge.OK {
			t.Errorf("%+v", got)
		}
	}
}

// TestPushingSource runs a pushing source in the daemon: a plug is a delivery at once, and
// at the next start the source is handed what was stored.
func TestPushingSource(t *testing.T) {
	id := uuid.New()
	var p *sourcetest.Pushed
	var known []vehicle.Known
	open := func(ctx context.Context, d vehicle.Deps) (vehicle.Source, error) {
		var err error
		known, err = d.Known(ctx)
		p = sourcetest.NewPushed(known...)
		return p, err
	}
	cfg := with(configured(t, shortDir(t), simulatorSource), "yard", open)
	cfg.Cadence.Gap = time.Millisecond
	d := start(t, cfg)
	must(t, d.store.Vehicles.PutVehicle(t.Context(), vehicle.Vehicle{ID: id, Source: "yard", Make: "KIA"}))
	if len(known) != 0 {
		t.Errorf("%+v", known)
	}
	p.Tell(id, vehicle.Unplugged)
	eventually(t, "the first state", func() bool {
		st, err := d.store.Vehicles.VehicleStatus(t.Context(), id)
		return err == nil && st.State == vehicle.StateUnplugged
	})
	p.Tell(id, vehicle.PluggedIn)
	eventually(t, "the plug", func() bool {
		st, err := d.store.Vehicles.VehicleStatus(t.Context(), id)
		return err == nil && st.State == vehicle.StatePluggedIn
	})
	before, err := d.store.Vehicles.VehicleStatus(t.Context(), id)
	must(t, err)
	st, err := d.client.Status(t.Context())
	must(t, err)
	for _, s := range st.Sources {
		if s.Name == "yard" && s.Cost != nil {
			t.Errorf("a source that nobody counts has a cost: %+v", s.Cost)
		}
	}
	costs, err := d.client.Cost(t.Context(), adminapi.NewWebhook{})
	must(t, err)
	if len(costs.Lines) != 0 {
		t.Errorf("costs are told: %q", costs.Lines)
	}
	d.stop()
	p.Hint(id) // harmless

	d = start(t, with(cfg, "yard", open))
	if len(known) != 1 || known[0].Vehicle.ID != id || known[0].Status.Last.Charge != before.Last.Charge {
		t.Errorf("handed %+v, stored %+v", known, before)
	}
	p.Replay(id, vehicle.PluggedIn)
	p.Hint(id)
	eventually(t, "a read", func() bool { return p.Reads(id) > 0 })
	after, err := d.store.Vehicles.VehicleStatus(t.Context(), id)
	must(t, err)
	if after.Since != before.Since || after.SeenAt != before.SeenAt || after.ObservedAt != before.ObservedAt {
		t.Errorf("before %+v, after %+v", before, after)
	}
}
