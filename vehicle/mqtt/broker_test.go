package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// broker is a real mosquitto.
type broker struct {
	t    *testing.T
	dir  string
	port string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// startBroker starts mosquitto with these lines of config beside its listener.
func startBroker(t *testing.T, lines ...string) *broker {
	t.Helper()
	b := newBroker(t, lines...)
	b.start()
	return b
}

// newBroker is a broker that is not started yet.
func newBroker(t *testing.T, lines ...string) *broker {
	t.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		t.Skip("mosquitto is not installed: apt-get install mosquitto mosquitto-clients")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	b := &broker{t: t, dir: t.TempDir(), port: port}
	if err := os.Chmod(b.dir, 0o777); err != nil { //nolint:gosec // mosquitto leaves root
		t.Fatal(err)
	}
	if len(lines) == 0 {
		lines = []string{"allow_anonymous true"}
	}
	conf := strings.ReplaceAll(fmt.Sprintf("listener %s 127.0.0.1\nuser root\n%s\n", port, strings.Join(lines, "\n")), "DIR", b.dir)
	b.file("mosquitto.conf", conf)
	t.Cleanup(b.kill)
	return b
}

func (b *broker) file(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // the broker reads it
		b.t.Fatal(err)
	}
	return path
}

func (b *broker) start() {
	b.t.Helper()
	b.cmd = exec.Command("mosquitto", "-c", filepath.Join(b.dir, "mosquitto.conf"))
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "the broker listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+b.port)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (b *broker) kill() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

// publish publishes by the broker's own client.
func (b *broker) publish(topic, payload string, more ...string) {
	b.t.Helper()
	args := append([]string{"-p", b.port, "-h", "127.0.0.1", "-t", topic}, more...)
	if payload == "" {
		args = append(args, "-n")
	} else {
		args = append(args, "-m", payload)
	}
	if out, err := exec.Command("mosquitto_pub", args...).CombinedOutput(); err != nil { //nolint:gosec // a test's
		b.t.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

var leaf = mapping.Vehicle{
	ID:       "leaf",
	Make:     "nissan",
	Plug:     &mapping.Field{Topic: "leaf/plug"},
	Charging: &mapping.Field{Topic: "leaf/charging"},
	Battery:  &mapping.Field{Topic: "leaf/soc", Unit: mapping.Percent},
	Location: &mapping.Location{Topic: "leaf/place", Latitude: "/lat", Longitude: "/lon"},
}

// opened is a source that pushes.
type opened struct {
	*Source
	id uuid.UUID

	mu    sync.Mutex
	hints []time.Time
}

func (o *opened) hinted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.hints)
}

func (o *opened) read() vehicle.Snapshot {
	s, _ := o.Read(context.Background(), vehicle.Ref{ID: o.id}, vehicle.AllPaths)
	return s
}

// problem waits for a problem and returns it.
func (o *opened) problem(t *testing.T, code string) vehicle.Problem {
	t.Helper()
	var p vehicle.Problem
	eventually(t, "problem "+code, func() bool {
		ps := o.Problems(time.Now())
		if len(ps) > 0 {
			p = ps[0]
		}
		return p.Code == code
	})
	t.Logf("%s; %s", p.Text, p.Remedy)
	return p
}

func deps(t *testing.T, known ...vehicle.Known) vehicle.Deps {
	return vehicle.Deps{
		Name: "broker", Log: zerolog.New(zerolog.NewTestWriter(t)),
		Dial: func(ctx context.Context, e vehicle.Endpoint) (net.Conn, error) {
			_, address, _ := strings.Cut(e.URL, "://")
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
		Secret: func(string) (string, error) { return "secret", nil },
		Known:  func(context.Context) ([]vehicle.Known, error) { return known, nil },
	}
}

// open opens a source and has it push until the test ends.
func open(t *testing.T, s Settings, known ...vehicle.Known) *opened {
	t.Helper()
	return openWith(t, s, deps(t, known...))
}

// openWith is open with deps of the test's own.
func openWith(t *testing.T, s Settings, d vehicle.Deps) *opened {
	t.Helper()
	if len(s.Vehicles) == 0 {
		s.Vehicles = []mapping.Vehicle{leaf}
	}
	src, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	o := &opened{Source: src.(*Source)}
	vs, _ := o.List(t.Context())
	o.id = vs[0].ID
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = o.Push(ctx, func(uuid.UUID) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.hints = append(o.hints, time.Now())
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return o
}
