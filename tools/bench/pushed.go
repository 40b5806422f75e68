package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"plugbeat/adminapi"
)

// The groups of vehicles that a broker tells of. Those of busy are published once a second
// each while those of beside are plugged in.
var pushedGroups = []struct {
	name, settle string
	vehicles     int
}{{"settled", "2s", 200}, {"at-once", "0s", 200}, {"beside", "0s", 200}, {"busy", "2s", 1000}}

// pushed is how long a plug-in that is published at a real broker takes to the receiver,
// and what a thousand vehicles cost that are published once a second each.
func (b *bench) pushed(ctx context.Context, t *table) error {
	if _, err := exec.LookPath("mosquitto"); err != nil {
		note("pushed is left out: mosquitto is not installed")
		return nil
	}
	shrink, cadence, gap, spacing, span := 1, "", time.Minute, 100*time.Millisecond, 30*time.Second
	if b.quick {
		shrink, cadence, gap, spacing, span = 50, "cadence:\n  gap: 1s\n", time.Second, 20*time.Millisecond, time.Second
	}
	address, stop, err := b.broker(ctx)
	if err != nil {
		return err
	}
	defer stop()
	say, err := publisher(ctx, address)
	if err != nil {
		return err
	}
	f, err := b.folder("pushed", 1)
	if err != nil {
		return err
	}
	defer f.remove()
	vehicles, err := f.pushed(address, cadence, shrink, say)
	if err != nil {
		return err
	}
	if err := b.forget(ctx); err != nil {
		return err
	}
	d, err := f.serve(ctx)
	if err != nil {
		return err
	}
	defer d.kill()
	if err := d.ready(ctx); err != nil {
		return err
	}
	hook := adminapi.NewWebhook{Name: "pushed", CallbackURI: b.receiver.hook(0, 0), AllowPrivate: true}
	if _, err := d.client.AddWebhook(ctx, hook); err != nil {
		return err
	}
	if _, err := d.client.VerifyWebhook(ctx, hook.Name); err != nil {
		return err
	}
	if _, err := d.client.Subscribe(ctx, adminapi.Subscribe{Webhook: hook.Name, All: true}); err != nil {
		return err
	}
	if err := b.receiver.await(ctx, vehicles, time.Minute); err != nil {
		return err
	}
	if err := sleep(ctx, gap+time.Second); err != nil {
		return err
	}
	heading := "published to received, through mosquitto"
	for _, g := range pushedGroups[:2] {
		ms, err := b.plugIns(ctx, g.name, g.vehicles/shrink, spacing, say)
		if err != nil {
			return err
		}
		aim := map[string]string{"2s": "2300 ms", "0s": "50 ms"}[g.settle]
		t.add(heading, "a plug-in, settle "+g.settle+", p50", millis(quantile(ms, 0.5)), aim,
			fmt.Sprintf("%d plug-ins, each more than a minute after the vehicle's last delivery", len(ms)))
		t.add("", "p99", millis(quantile(ms, 0.99)), "", "longest "+millis(quantile(ms, 1)))
		heading = ""
	}
	return b.busy(ctx, t, d, shrink, spacing, span, say)
}

// busy adds what the vehicles cost that are published once a second each.
func (b *bench) busy(ctx context.Context, t *table, d *daemon, shrink int, spacing, span time.Duration, say say) error {
	many := pushedGroups[3].vehicles / shrink
	loaded, unload := context.WithCancel(ctx)
	defer unload()
	sent := make(chan error, 1)
	go func() { sent <- load(loaded, many, say) }()
	if err := sleep(ctx, span/10); err != nil {
		return err
	}
	before, err := d.usage()
	began := time.Now()
	if err != nil {
		return err
	}
	ms, err := b.plugIns(ctx, pushedGroups[2].name, pushedGroups[2].vehicles/shrink, spacing, say)
	if err != nil {
		return err
	}
	if err := sleep(ctx, span-time.Since(began)); err != nil {
		return err
	}
	after, err := d.usage()
	if err != nil {
		return err
	}
	share := 100 * float64(after.cpu-before.cpu) / float64(time.Since(began))
	unload()
	if err := <-sent; err != nil {
		return err
	}
	t.add(fmt.Sprintf("beside %d vehicles at one message a second each", many), "CPU",
		fmt.Sprintf("%.1f %% of a core", share), "", "of plugbeat alone")
	t.add("", "memory", bytesText(float64(after.resident)), "", fmt.Sprintf("resident; %s of it its own", bytesText(float64(after.anonymous))))
	t.add("", "a plug-in, settle 0s, p50", millis(quantile(ms, 0.5)), "50 ms", fmt.Sprintf("%d plug-ins of other vehicles", len(ms)))
	t.add("", "p99", millis(quantile(ms, 0.99)), "", "longest "+millis(quantile(ms, 1)))
	return d.stop()
}

// broker starts mosquitto at a free port.
func (b *bench) broker(ctx context.Context) (address string, stop func(), err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(address)
	conf := filepath.Join(b.dir, "mosquitto.conf")
	text := fmt.Appendf(nil, "listener %s 127.0.0.1\nallow_anonymous true\n", port)
	if err := os.WriteFile(conf, text, 0o644); err != nil { //nolint:gosec // it has no secret
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, "mosquitto", "-c", conf) //nolint:gosec // our own file
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return address, stop, nil
}

// say publishes a retained value.
type say func(topic, payload string) error

// publisher connects a client that publishes.
func publisher(ctx context.Context, address string) (say, error) {
	var conn net.Conn
	for end := time.Now().Add(10 * time.Second); ; {
		var err error
		if conn, err = new(net.Dialer).DialContext(ctx, "tcp", address); err == nil {
			break
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("mosquitto: %w", err)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
	c := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn)})
	if _, err := c.Connect(ctx, &paho.Connect{ClientID: "bench", KeepAlive: 30, CleanStart: true}); err != nil {
		return nil, err
	}
	return func(topic, payload string) error {
		_, err := c.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), Retain: true})
		return err
	}, nil
}

// pushed writes a config with the groups as sources, and publishes that every plug is out.
func (f *folder) pushed(address, cadence string, shrink int, say say) (vehicles int, err error) {
	var sources strings.Builder
	for _, g := range pushedGroups {
		fmt.Fprintf(&sources, "  %s:\n    type: mqtt\n    broker: mqtt://%s\n    settle: %s\n    vehicles:\n", g.name, address, g.settle)
		for i := range g.vehicles / shrink {
			fmt.Fprintf(&sources, "      - {id: %[1]s-%[2]d, make: KIA, plug: {topic: %[1]s/%[2]d/plug}, "+
				"battery: {topic: %[1]s/%[2]d/soc, unit: percent}}\n", g.name, i)
			vehicles++
			if err := errors.Join(say(fmt.Sprintf("%s/%d/plug", g.name, i), "false"), say(fmt.Sprintf("%s/%d/soc", g.name, i), "50")); err != nil {
				return 0, err
			}
		}
	}
	file := filepath.Join(f.dir, "config.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	head, tail, _ := strings.Cut(string(text), "  sim:\n")
	_, tail, _ = strings.Cut(tail, "\ndelivery:")
	return vehicles, os.WriteFile(file, []byte(head+sources.String()+cadence+"delivery:"+tail), 0o600)
}

// plugIns publishes a plug-in of each vehicle of the group, one after another, and returns
// how long each took to the receiver, in milliseconds. They arrive in the order in which
// they are published, since they are further apart than they differ.
func (b *bench) plugIns(ctx context.Context, group string, n int, spacing time.Duration, say say) ([]float64, error) {
	if err := b.forget(ctx); err != nil {
		return nil, err
	}
	published := make([]time.Time, n)
	for i := range n {
		if err := sleep(ctx, spacing); err != nil {
			return nil, err
		}
		published[i] = time.Now()
		if err := say(fmt.Sprintf("%s/%d/plug", group, i), "true"); err != nil {
			return nil, err
		}
	}
	if err := b.receiver.await(ctx, n, 30*time.Second); err != nil {
		return nil, err
	}
	as, err := b.receiver.arrivals(ctx)
	if err != nil {
		return nil, err
	}
	if len(as) != n {
		return nil, fmt.Errorf("%d deliveries of %d plug-ins", len(as), n)
	}
	slices.SortFunc(as, func(a, b arrival) int { return int(a.At - b.At) })
	ms := make([]float64, n)
	for i, a := range as {
		ms[i] = float64(time.Unix(0, a.At).Sub(published[i]).Microseconds()) / 1000
	}
	return ms, nil
}

// load publishes a level of each busy vehicle every second until ctx ends.
func load(ctx context.Context, vehicles int, say say) error {
	begin := time.Now()
	for n := 0; ; n++ {
		at := begin.Add(time.Duration(n) * time.Second / time.Duration(vehicles))
		if err := sleep(ctx, time.Until(at)); err != nil {
			return nil //nolint:nilerr // it has been told to end
		}
		topic, level := fmt.Sprintf("%s/%d/soc", pushedGroups[3].name, n%vehicles), fmt.Sprint(50+n/vehicles%10)
		if err := say(topic, level); err != nil {
			return err
		}
	}
}
