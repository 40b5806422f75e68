package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/config"
	"plugbeat/receiver"
	"plugbeat/vehicle/simulator"
	"plugbeat/webhook"
)

// DemoOptions choose a demo.
type DemoOptions struct {
	// Seed drives the fleet; the same seed drives the same trips.
	Seed int64
	// Vehicles is the size of the fleet, at least 3: one is plugged in and out,
	// one's account fails, one's payload is refused.
	Vehicles int
	// For is how long the demo runs, at least 20 s. Fifteen simulated hours pass.
	For time.Duration
	// Keep is where config, keys and data stay; empty uses a temporary folder.
	Keep string
	// JSON prints one object an event, and the summary last.
	JSON bool
	Out  io.Writer
	// Color is true where Out is a terminal that shows colours.
	Color bool
}

// demoHours is how many simulated hours a demo shows.
const demoHours = 15

// The demo's course, as shares of its time.
const (
	plugAt      = 0.14
	failAt      = 0.20
	poisonAt    = 0.27
	unplugAt    = 0.36
	healAt      = 0.42
	outageAt    = 0.47
	outageEnd   = 0.60
	restartAt   = 0.70
	restartEnd  = 0.75
	stopAt      = 0.96
	carPlugs    = 0
	carFails    = 1
	carPoisoned = 2
)

// demo is a running demo: the fleet's server, the receiver, and the daemon.
type demo struct {
	DemoOptions
	started time.Time
	hour    time.Duration
	dir     string
	cfg     config.Config
	show    *show

	fleet     *simulator.Fleet
	upstream  *simulator.Server
	receiver  *receiver.Receiver
	receiving listener

	client *adminapi.Client
	hook   webhook.Webhook
	app    *App
	ended  chan error
	stop   context.CancelFunc

	mu     sync.Mutex
	poison string // the webhook-id that the receiver refuses; "armed" until one is chosen
}

// Demo runs the whole of plugbeat for a while: a simulated fleet behind a real
// HTTP server that speaks Smartcar v2.0, the true daemon with its delays scaled
// in the config, and a receiver that verifies what it gets. It reports whether the
// accounts of all three agree.
func Demo(ctx context.Context, o DemoOptions) (balanced bool, err error) {
	switch {
	case o.Vehicles < 3:
		return false, &webhook.Invalid{Field: "--vehicles", Value: fmt.Sprint(o.Vehicles), Allowed: "3 or more: one car is plugged in and out, one's account fails, one's payload is refused"}
	case o.For < 20*time.Second:
		return false, &webhook.Invalid{Field: "--for", Value: o.For.String(), Allowed: "20s or more, so that fifteen simulated hours can be seen"}
	}
	d := &demo{DemoOptions: o, started: time.Now(), hour: o.For / demoHours}
	d.show = newShow(o.Out, o.JSON, o.Color, d.started, d.hour)
	ctx, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	d.show.gone = gone
	if d.dir = o.Keep; d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "plugbeat-demo-"); err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	if _, err := os.Stat(filepath.Join(d.dir, "data", "plugbeat.db")); err == nil {
		return false, &webhook.Invalid{Field: "--keep", Value: d.dir, Why: "there is a data file already, and the demo begins with none", Allowed: "another folder"}
	}
	closeUpstream, err := d.openUpstream(ctx)
	if err != nil {
		return false, err
	}
	defer closeUpstream()
	defer d.receiving.close()
	if err := d.boot(ctx); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, d.halt()) }()
	if err := d.setUp(ctx); err != nil {
		return false, err
	}
	if err := d.course(ctx); err != nil {
		return false, err
	}
	if err := d.halt(); err != nil {
		return false, err
	}
	return d.account(ctx)
}

// openUpstream starts the vendor's side and the application's side.
func (d *demo) openUpstream(ctx context.Context) (closeFn func(), err error) {
	at := func(share float64) time.Duration { return time.Duration(share * float64(d.For)) }
	d.fleet, err = simulator.NewFleet(
		simulator.Settings{Seed: uint64(d.Seed), Vehicles: d.Vehicles, Start: d.started, Hour: d.hour},
		simulator.Event{Vehicle: carPlugs, At: at(plugAt), Do: simulator.Plug},
		simulator.Event{Vehicle: carPlugs, At: at(unplugAt), Do: simulator.Unplug},
		simulator.Event{Vehicle: carFails, At: at(failAt), Until: at(healAt), Do: simulator.Fail},
	)
	if err != nil {
		return nil, err
	}
	for i, v := range d.fleet.Vehicles() {
		d.show.name(v.ID, i, v)
	}
	d.upstream = simulator.NewServer(d.fleet, simulator.ServerOptions{})
	l := listener{handler: d.upstream}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	d.show.say("demo", "upstream", "a simulated fleet of %d speaks Smartcar v2.0 at %s", d.Vehicles, l.url())
	d.receiver = receiver.New(demoToken)
	d.receiver.Rule(d.answer)
	d.receiver.Heard(d.show.heard)
	d.receiving = listener{handler: d.receiver}
	if err := d.receiving.open(ctx); err != nil {
		l.close()
		return nil, err
	}
	d.show.say("demo", "receiver", "an application receives at %s and checks every signature", d.receiving.url())
	if err := d.configure(l.url()); err != nil {
		l.close()
		d.receiving.close()
		return nil, err
	}
	return l.close, nil
}

// answer is the receiver's rule: one payload of one car is refused for its size,
// for ever.
func (d *demo) answer(m receiver.Message) receiver.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.poison == "armed" && m.Vehicle == d.fleet.Vehicle(carPoisoned).ID.String() {
		d.poison = m.ID
	}
	if m.Event != "verify" && m.ID == d.poison {
		return receiver.Answer{Status: http.StatusRequestEntityTooLarge}
	}
	return receiver.Answer{}
}

// boot starts the daemon; its socket is bound when it returns.
func (d *demo) boot(ctx context.Context) error {
	log := zerolog.New(d.show).Level(zerolog.DebugLevel)
	a, err := New(ctx, d.cfg, Options{Log: log, Version: "demo"})
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

// setUp does what an operator does by hand: connect, add, verify, subscribe.
func (d *demo) setUp(ctx context.Context) error {
	cars, err := d.client.ConnectVehicles(ctx, "smartcar", d.upstream.RefreshToken())
	if err != nil {
		return fmt.Errorf("connect the vehicles: %w", err)
	}
	d.show.say("demo", "connected", "%d vehicles connected with a refresh token", len(cars.Vehicles))
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("plugbeat demo"))
	added, err := d.client.AddWebhook(ctx, adminapi.NewWebhook{ID: &id, Name: "demo", CallbackURI: d.receiving.url() + "/hook", AllowPrivate: true})
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
	if _, err := d.client.Subscribe(ctx, adminapi.Subscribe{Webhook: "demo", All: true}); err != nil {
		return fmt.Errorf("subscribe the vehicles: %w", err)
	}
	return nil
}

// course lets the time pass and makes happen what the demo is to show.
func (d *demo) course(ctx context.Context) error {
	steps := []struct {
		at   float64
		what func() error
	}{
		{plugAt, d.note("plug", "%s is plugged in", carPlugs)},
		{failAt, d.note("fail", "the owner of %s changes the account's password", carFails)},
		{poisonAt, func() error {
			d.show.say("demo", "poison", "the receiver will refuse one payload of %s with 413, for ever: it dies alone once another payload gets through", d.show.car(d.fleet.Vehicle(carPoisoned).ID))
			d.mu.Lock()
			defer d.mu.Unlock()
			d.poison = "armed"
			return nil
		}},
		{unplugAt, d.note("unplug", "%s is unplugged", carPlugs)},
		{healAt, d.note("heal", "the owner of %s signs in again", carFails)},
		{outageAt, func() error {
			d.show.say("demo", "outage", "the receiver goes down")
			d.receiving.close()
			return nil
		}},
		{outageEnd, func() error {
			d.show.say("demo", "outage", "the receiver is back")
			return d.receiving.open(ctx)
		}},
		{restartAt, func() error {
			d.show.say("demo", "restart", "plugbeat is told to stop, as by SIGTERM")
			return d.halt()
		}},
		{restartEnd, func() error {
			d.show.say("demo", "restart", "plugbeat is started again on the same file")
			return d.boot(ctx)
		}},
		{stopAt, func() error { return nil }},
	}
	for _, s := range steps {
		t := time.NewTimer(time.Until(d.started.Add(time.Duration(s.at * float64(d.For)))))
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case err := <-d.ended:
			t.Stop()
			d.app = nil
			return errors.Join(errors.New("the daemon ended by itself"), err)
		case <-t.C:
		}
		if err := s.what(); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) note(event, text string, car int) func() error {
	return func() error {
		d.show.say("demo", event, text, d.show.car(d.fleet.Vehicle(car).ID))
		return nil
	}
}

// listener is an HTTP server that can go away and come back at its address.
type listener struct {
	handler http.Handler
	addr    string
	server  *http.Server
	served  chan struct{} // closed once nothing is accepted any more
}

func (l *listener) open(ctx context.Context) error {
	addr := l.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	l.addr = ln.Addr().String()
	l.server = &http.Server{Handler: l.handler, ReadHeaderTimeout: 5 * time.Second}
	l.served = make(chan struct{})
	go func(s *http.Server, served chan struct{}) {
		defer close(served)
		_ = s.Serve(ln)
	}(l.server, l.served)
	return nil
}

// close ends the server and its connections, and its address is free again; no request may be in it forever.
func (l *listener) close() {
	if l.server != nil {
		_ = l.server.Close()
		<-l.served
		l.server = nil
	}
}

func (l *listener) url() string { return "http://" + l.addr }

// demoToken is the demo's application management token; nothing outside the demo
// knows it.
const demoToken = "demo-application-management-token"

// configure writes the demo's config into its folder, loads it as serve does, and
// scales it: an hour becomes seconds in the config, not in the code.
func (d *demo) configure(upstream string) error {
	data := filepath.Join(d.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf(demoConfig, upstream)
	files := map[string]string{
		"config.yaml":      text,
		"sealing_key":      string(config.NewSealingKey()) + "\n",
		"management_token": demoToken + "\n",
		"client_secret":    "simulator-secret\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	cfg, err := config.Load(filepath.Join(d.dir, "config.yaml"))
	if err != nil {
		return fmt.Errorf("the demo's config: %w", err)
	}
	d.show.cadence(cfg.Cadence)
	d.cfg = cfg.Scaled(float64(time.Hour) / float64(d.hour))
	d.show.say("demo", "scale", "one hour passes in %v; every delay of the config is divided by %.0f", d.hour.Round(time.Millisecond), float64(time.Hour)/float64(d.hour))
	return nil
}

// demoConfig is what the demo's daemon runs with; its one hole is the fleet's URL.
const demoConfig = `# The config of plugbeat's demo, before its durations were scaled.
data_dir: data
key_file: sealing_key
http:
  api: {listen: "127.0.0.1:0"}
  admin: {listen: "127.0.0.1:0"}
application:
  management_token_file: management_token
sources:
  smartcar:
    type: smartcar
    client_id: simulator
    client_secret_file: client_secret
    mode: simulated
    api_origin: %[1]s
    auth_origin: %[1]s
    bucket: 0    # this vendor has no limit
`
