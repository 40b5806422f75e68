// Package demo shows the whole of plugbeat within a minute or so: a simulated fleet behind
// a real HTTP server that speaks Smartcar v2.0, the true daemon with its delays shortened,
// and an application that verifies what it gets.
//
// It guarantees that the accounts it ends with are drawn up by three parties that share no
// count: the daemon's data file, the receiver and the fleet.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/config"
	"plugbeat/receiver"
	"plugbeat/vehicle/simulator"
	"plugbeat/webhook"
)

// Options choose a demo.
type Options struct {
	// Seed drives the fleet; the same seed drives the same trips.
	Seed int64
	// Source is a file of recorded messages to show in place of the simulated fleet; empty for
	// the fleet.
	Source string
	// Vehicles is the size of the fleet, at least 3: one is plugged in and out, one's
	// account fails, one's payload is refused.
	Vehicles int
	// For is how long the demo runs, at least 20 s. Fifteen simulated hours pass.
	For time.Duration
	// Keep is where config, keys and data stay; empty uses a temporary folder.
	Keep string
	// JSON prints one object an event, and the summary last.
	JSON bool
	// Verbose prints every delivery, where otherwise those that came as expected are counted.
	Verbose bool
	Out     io.Writer
	// Color is true where Out is a terminal that shows colours.
	Color bool
}

// hours is how many simulated hours a demo shows.
const hours = 15

// demo is a running demo: the fleet's server, the receiver, and the daemon.
type demo struct {
	Options
	started time.Time
	hour    time.Duration // how long a simulated hour takes
	dir     string
	cfg     config.Config
	show    *show

	fleet     *simulator.Fleet
	upstream  *simulator.Server
	vendor    listener // at which upstream is
	receiver  *receiver.Receiver
	receiving listener

	client *adminapi.Client
	hook   webhook.Webhook
	app    *app.App
	ended  chan error
	stop   context.CancelFunc

	mu      sync.Mutex
	refused string // the webhook-id that the receiver refuses; "armed" until one is chosen
}

// Run shows a demo. It reports whether the accounts of all three agree.
func Run(ctx context.Context, o Options) (balanced bool, err error) {
	switch {
	case o.Vehicles < 3:
		return false, &webhook.Invalid{Field: "--vehicles", Value: fmt.Sprint(o.Vehicles),
			Allowed: "3 or more: one vehicle is plugged in and out, one's account fails, one's payload is refused"}
	case o.For < 20*time.Second:
		return false, &webhook.Invalid{Field: "--for", Value: o.For.String(), Allowed: "20s or more, so that fifteen simulated hours can be seen"}
	}
	if o.Source != "" {
		return runRecorded(ctx, o)
	}
	return run(ctx, o, func(ctx context.Context, d *demo) error {
		if err := d.openUpstream(ctx); err != nil {
			return err
		}
		if err := d.boot(ctx); err != nil {
			return err
		}
		if err := d.setUp(ctx); err != nil {
			return err
		}
		return d.course(ctx)
	})
}

// run has a demo play in a folder of its own, and draws up its accounts.
func run(ctx context.Context, o Options, play func(ctx context.Context, d *demo) error) (balanced bool, err error) {
	ctx, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	d := newDemo(o)
	d.show.gone = gone
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "plugbeat-demo-"); err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	if _, err := os.Stat(filepath.Join(d.dir, "data", "plugbeat.db")); err == nil {
		return false, &webhook.Invalid{Field: "--keep", Value: d.dir, Why: "there is a data file already, and the demo begins with none",
			Allowed: "another folder"}
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := play(ctx, d); err != nil {
		return false, err
	}
	if err := d.halt(); err != nil {
		return false, err
	}
	return d.account(ctx)
}

func newDemo(o Options) *demo {
	d := &demo{Options: o, started: time.Now(), hour: o.For / hours, dir: o.Keep}
	d.show = newShow(o, d.started, d.hour)
	return d
}

// openUpstream starts the vendor's side and the application's side, and writes the config.
func (d *demo) openUpstream(ctx context.Context) (err error) {
	//nolint:gosec // any seed will do
	d.fleet, err = simulator.NewFleet(simulator.Settings{Seed: uint64(d.Seed), Vehicles: d.Vehicles, Start: d.started, Hour: d.hour},
		d.script()...)
	if err != nil {
		return err
	}
	for i, v := range d.fleet.Vehicles() {
		d.show.name(v.ID, i, v)
	}
	d.show.chapter("Setting up: an hour passes in %v, and every delay is as much shorter", d.hour.Round(time.Millisecond))
	d.upstream = simulator.NewServer(d.fleet, simulator.ServerOptions{})
	d.vendor = listener{handler: d.upstream}
	if err := d.vendor.open(ctx); err != nil {
		return err
	}
	d.show.say("fleet", "upstream", "%d simulated vehicles, behind an HTTP API as Smartcar's v2.0, at %s", d.Vehicles, d.vendor.url())
	d.receiver = receiver.New(managementToken)
	d.receiver.Rule(d.answer)
	d.receiver.Heard(d.show.heard)
	d.receiving = listener{handler: d.receiver}
	if err := d.receiving.open(ctx); err != nil {
		return err
	}
	d.show.say("receiver", "receiver", "an application, at %s, which checks every signature", d.receiving.url())
	return d.configure(d.vendor.url())
}

// answer is the receiver's rule: one payload of one vehicle is refused, for ever.
func (d *demo) answer(m receiver.Message) receiver.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused == "armed" && m.Vehicle == d.fleet.Vehicle(refusedOne).ID.String() {
		d.refused = m.ID
	}
	if m.Event != "verify" && m.ID == d.refused {
		return receiver.Answer{Status: http.StatusRequestEntityTooLarge}
	}
	return receiver.Answer{}
}

// boot starts the daemon; its socket is bound when it returns.
func (d *demo) boot(ctx context.Context) error {
	log := zerolog.New(d.show).Level(zerolog.DebugLevel)
	a, err := app.New(ctx, d.cfg, app.Options{Log: log, Version: "demo"})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.app, d.stop, d.ended = a, stop, make(chan error, 1)
	go func() { d.ended <- a.Run(run) }()
	d.client = adminapi.Dial(d.cfg.Socket)
	return nil
}

// halt stops the daemon as SIGTERM does, and waits for it. It may be called twice.
func (d *demo) halt() error {
	if d.app == nil {
		return nil
	}
	d.client.Close()
	d.stop()
	d.app = nil
	return <-d.ended
}

// close ends everything that is open.
func (d *demo) close() error {
	err := d.halt()
	d.vendor.close()
	d.receiving.close()
	return err
}

// setUp does what an operator does by hand: connect, add, verify, subscribe.
func (d *demo) setUp(ctx context.Context) error {
	connected, err := d.client.ConnectVehicles(ctx, "smartcar", d.upstream.RefreshToken())
	if err != nil {
		return fmt.Errorf("connect the vehicles: %w", err)
	}
	d.show.say("operator", "connected", "connects the %d vehicles with the refresh token of their owner", len(connected.Vehicles))
	return d.addWebhook(ctx)
}

// addWebhook has a webhook added and verified, and subscribes every vehicle.
func (d *demo) addWebhook(ctx context.Context) error {
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("plugbeat demo"))
	add := adminapi.NewWebhook{ID: &id, Name: "demo", CallbackURI: d.receiving.url() + "/hook", AllowPrivate: true}
	d.show.say("operator", "webhook", "adds a webhook to %s and has it verified", add.CallbackURI)
	added, err := d.client.AddWebhook(ctx, add)
	if err != nil {
		return fmt.Errorf("add the webhook: %w", err)
	}
	d.hook = added.Webhook
	if err := d.receiver.Know(d.hook.ID.String(), added.SigningKey); err != nil {
		return err
	}
	if _, err := d.client.VerifyWebhook(ctx, "demo"); err != nil {
		return fmt.Errorf("verify the webhook: %w", err)
	}
	d.show.say("operator", "subscribed", "subscribes the vehicles: a delivery at once, "+
		"then every %s while unplugged, every %s while plugged in", d.show.unplugged, d.show.pluggedIn)
	d.show.payloadIsNext()
	if _, err := d.client.Subscribe(ctx, adminapi.Subscribe{Webhook: "demo", All: true}); err != nil {
		return fmt.Errorf("subscribe the vehicles: %w", err)
	}
	return nil
}
