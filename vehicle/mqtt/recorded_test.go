package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// heard keeps what a connection reads.
type heard struct {
	net.Conn
	mu    *sync.Mutex
	bytes *bytes.Buffer
}

// Read implements net.Conn.
func (h heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes.Write(p[:n])
	return n, err
}

// messages are the whole messages that were read.
func (h heard) messages() (ms []mapping.Message) {
	h.mu.Lock()
	rest := bytes.NewReader(bytes.Clone(h.bytes.Bytes()))
	h.mu.Unlock()
	for {
		p, err := packets.ReadPacket(rest)
		if err != nil {
			return ms
		}
		if m, ok := p.Content.(*packets.Publish); ok && m.Topic != versionTopic {
			ms = append(ms, mapping.Message{Topic: m.Topic, Payload: m.Payload, Replayed: m.Retain})
		}
	}
}

// TestRecorded publishes what real programs published at a real broker: what the broker
// kept before the source connects, the rest after. Each message reaches the source as it
// was recorded, so that mapping's golden files hold what becomes of it.
func TestRecorded(t *testing.T) {
	t.Parallel() // it waits more than it works
	for name, c := range map[string]struct {
		preset string
		with   map[string]string
	}{
		"evcc-0.306":           {"evcc", map[string]string{"vehicle": "zoe"}},
		"evcc-0.313":           {"evcc", map[string]string{"vehicle": "zoe"}},
		"evcc-0.313-detection": {"evcc", map[string]string{"vehicle": "kona"}},
		"fleet-telemetry":      {"fleet-telemetry", map[string]string{"vin": "5YJ3E1EA0TEST0001"}},
		"teslamate-day":        {"teslamate", map[string]string{"car": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open("../mapping/testdata/" + name + ".log")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			recorded, err := mapping.ReadLog(f)
			if err != nil {
				t.Fatal(err)
			}
			v := mapping.Vehicle{ID: "one", Preset: c.preset, With: c.with}
			b := startBroker(t, "allow_anonymous true", "max_inflight_messages 1", "max_queued_messages 0")
			publish := publisher(t, b)
			live := slices.IndexFunc(recorded, func(m mapping.Message) bool { return !m.Replayed })
			for _, m := range recorded[:live] {
				publish(m, true)
			}
			h := heard{mu: new(sync.Mutex), bytes: new(bytes.Buffer)}
			d := deps(t)
			d.Dial = func(ctx context.Context, e vehicle.Endpoint) (net.Conn, error) {
				var err error
				h.Conn, err = new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+b.port)
				return h, err
			}
			o := openWith(t, Settings{Broker: "mqtt://127.0.0.1:" + b.port, Vehicles: []mapping.Vehicle{v}}, d)
			eventually(t, "connected", func() bool { return !o.connectedSince().IsZero() })
			for _, m := range recorded[live:] {
				publish(m, c.preset != "fleet-telemetry")
			}
			want := lines(understood(v, recorded))
			eventually(t, "every message", func() bool { return len(h.messages()) >= len(want) })
			if got := lines(h.messages()); !slices.Equal(got, want) {
				t.Errorf("%d messages, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
			}
			if o.LastMessage().IsZero() || o.hinted() == 0 {
				t.Errorf("the source took its last message at %v, %d hints", o.LastMessage(), o.hinted())
			}
		})
	}
}

// understood are the messages that the map speaks of.
func understood(v mapping.Vehicle, all []mapping.Message) (ms []mapping.Message) {
	at := 0
	for _, h := range mapping.Try([]mapping.Vehicle{v}, 0, all) {
		if h.Topic == "" {
			continue // what changed
		}
		if len(h.Verdicts) > 0 {
			ms = append(ms, all[at])
		}
		at++
	}
	return ms
}

// lines are the messages in order, one a line. What a broker repeats has no order.
func lines(ms []mapping.Message) (ls []string) {
	replayed := 0
	for _, m := range ms {
		ls = append(ls, fmt.Sprintf("%v %s %q", m.Replayed, m.Topic, m.Payload))
		if m.Replayed {
			replayed++
		}
	}
	slices.Sort(ls[:replayed])
	return ls
}

// publisher returns a function that publishes a message and returns once the broker has it.
func publisher(t *testing.T, b *broker) func(m mapping.Message, retain bool) {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+b.port)
	if err != nil {
		t.Fatal(err)
	}
	c := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn)})
	if _, err := c.Connect(t.Context(), &paho.Connect{ClientID: "recorded", KeepAlive: keepAlive, CleanStart: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) })
	return func(m mapping.Message, retain bool) {
		if _, err := c.Publish(t.Context(), &paho.Publish{Topic: m.Topic, Payload: m.Payload, QoS: 1, Retain: retain}); err != nil {
			t.Fatal(err)
		}
	}
}
