package app

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/config"
	"plugbeat/receiver"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
	"plugbeat/webhook"
)

// world is a vendor with three vehicles, a receiver, and a daemon between them whose hour
// takes a second.
type world struct {
	t         *testing.T
	cfg       config.Config
	upstream  *simulator.Server
	receiver  *receiver.Receiver
	receiving *httptest.Server

	app    *App
	client *adminapi.Client
	hook   webhook.Webhook
	ended  chan error
	stop   context.CancelFunc
}

// quiet is a world before its daemon starts.
func quiet(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	fleet, err := simulator.NewFleet(simulator.Settings{Seed: 5, Vehicles: 3, Start: time.Now(), Hour: time.Second})
	must(t, err)
	w.upstream = simulator.NewServer(fleet, simulator.ServerOptions{})
	vendor := httptest.NewServer(w.upstream)
	t.Cleanup(vendor.Close)
	cfg := configured(t, shortDir(t), strings.Replace(smartcarAt(vendor.URL), "vendor:", "smartcar:", 1))
	must(t, os.WriteFile(filepath.Join(cfg.Dir, "secret"), []byte("simulator-secret"), 0o600))
	account := cfg.Sources["smartcar"].Settings.(*smartcar.Settings)
	account.ClientID, account.Bucket = "simulator", 0
	cfg.Floor = 10 * time.Millisecond
	c := &cfg.Cadence
	c.Unplugged, c.PluggedIn, c.Gap, c.Freshness, c.UnknownAfter, c.ClockBack = "1s", "500ms", 17*time.Millisecond, 17*time.Millisecond, 24*time.Second, 17*time.Millisecond
	d := &cfg.Delivery
	d.Retries = config.RetrySchedule{3 * time.Millisecond, 14 * time.Millisecond, 69 * time.Millisecond, 347 * time.Millisecond, 2 * time.Second, 9 * time.Second}
	d.ChallengeAfter, d.Timeout, d.RecoverRate = 250*time.Millisecond, 2*time.Second, 10000
	cfg.Grace, cfg.Reading.Time = 20*time.Second, 2*time.Second
	w.cfg = cfg
	w.receiver = receiver.New(strings.Repeat("t", 40))
	w.receiving = httptest.NewServer(w.receiver)
	t.Cleanup(w.receiving.Close)
	t.Cleanup(func() { must(t, w.halt()) })
	return w
}

func (w *world) boot(ctx context.Context, replace ...func(*App)) error {
	a, err := New(ctx, w.cfg, Options{Log: zerolog.Nop(), Version: "test"})
	if err != nil {
		return err
	}
	for _, f := range replace {
		f(a)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.app, w.stop, w.ended = a, stop, make(chan error, 1)
	go func() { w.ended <- a.Run(run) }()
	w.client = adminapi.Dial(w.cfg.Socket)
	return nil
}

// halt stops the daemon, if it runs.
func (w *world) halt() error {
	if w.app == nil {
		return nil
	}
	w.client.Close()
	w.stop()
	w.app = nil
	return <-w.ended
}

// setUp connects the vehicles, adds a webhook at the receiver, has it verified, and subscribes
// the vehicles to it.
func (w *world) setUp(ctx context.Context) error {
	_, err := w.client.ConnectVehicles(ctx, "smartcar", w.upstream.RefreshToken())
	must(w.t, err)
	w.addHook(ctx, "demo")
	_, err = w.client.Subscribe(ctx, adminapi.Subscribe{Webhook: "demo", All: true})
	return err
}

func (w *world) addHook(ctx context.Context, name string) {
	added, err := w.client.AddWebhook(ctx, adminapi.NewWebhook{Name: name, CallbackURI: w.receiving.URL, AllowPrivate: true})
	must(w.t, err)
	w.hook = added.Webhook
	must(w.t, w.receiver.Know(w.hook.ID.String(), added.SigningKey))
	_, err = w.client.VerifyWebhook(ctx, name)
	must(w.t, err)
}
