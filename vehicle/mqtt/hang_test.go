package mqtt

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// deaf is a far side in fake time that takes every byte, and answers packets of these
// types only. Where ends is true, it hangs up after each of its SUBACKs, with these last
// words.
type deaf struct {
	answers []byte
	ends    bool
	last    []byte
	mu      sync.Mutex
	dialled []time.Time
}

// dial is one more connection to the far side.
func (d *deaf) dial(context.Context, vehicle.Endpoint) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialled = append(d.dialled, time.Now())
	ours, theirs := net.Pipe()
	go d.serve(theirs)
	return ours, nil
}

func (d *deaf) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	for {
		p, err := packets.ReadPacket(c)
		if err != nil {
			return
		}
		if !slices.Contains(d.answers, p.Type) {
			continue
		}
		switch p.Type {
		case packets.CONNECT:
			_, _ = c.Write([]byte{packets.CONNACK << 4, 3, 0, 0, 0})
		case packets.SUBSCRIBE:
			id, n := p.PacketID(), len(p.Content.(*packets.Subscribe).Subscriptions)
			ack := append([]byte{packets.SUBACK << 4, byte(3 + n), byte(id >> 8), byte(id), 0}, make([]byte, n)...)
			_, _ = c.Write(ack)
			d.mu.Lock()
			ends := d.ends
			d.mu.Unlock()
			if ends {
				_, _ = c.Write(d.last)
				return
			}
		case packets.PINGREQ:
			_, _ = c.Write([]byte{packets.PINGRESP << 4, 0})
		}
	}
}

// attempts is how often the source has dialled.
func (d *deaf) attempts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.dialled)
}

// hung opens a source in fake time whose broker is the far side. It pushes until the test
// ends.
func hung(t *testing.T, far *deaf) *opened {
	t.Helper()
	s := Settings{Broker: "mqtt://192.0.2.1", Settle: time.Second, Vehicles: []mapping.Vehicle{leaf}}
	d := deps(t)
	d.Dial = far.dial
	src, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	o := &opened{Source: src.(*Source)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = o.Push(ctx, nil)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return o
}

// TestHangs: a network that takes everything and answers nothing more is told within the
// time limits, and another attempt follows.
func TestHangs(t *testing.T) {
	for name, c := range map[string]struct {
		answers []byte
		code    string
		text    string
		told    time.Duration // when at the latest
		again   time.Duration // when the next attempt is made at the latest
	}{
		"no CONNACK": {nil, "unreachable", "did not answer within 10s", 11 * time.Second, 13 * time.Second},
		"no SUBACK":  {[]byte{packets.CONNECT}, "unreachable", "did not answer within 10s", 11 * time.Second, 13 * time.Second},
		"nothing any more after that": {[]byte{packets.CONNECT, packets.SUBSCRIBE}, "nothing_arrives", "nothing arrives",
			silence + time.Second, 2 * keepAlive * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := &deaf{answers: c.answers}
				o := hung(t, far)
				time.Sleep(c.told)
				ps := o.Problems(time.Now())
				if len(ps) != 1 || ps[0].Code != c.code || !strings.Contains(ps[0].Text, c.text) || ps[0].Remedy == "" {
					t.Errorf("%v after the start: %+v", c.told, ps)
				}
				time.Sleep(c.again - c.told)
				if n := far.attempts(); n < 2 {
					t.Errorf("%d attempts within %v", n, c.again)
				}
			})
		})
	}
}

// TestBriefConnections: a far side that takes every connection and ends it soon is asked
// less and less often.
func TestBriefConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := &deaf{answers: []byte{packets.CONNECT, packets.SUBSCRIBE}, ends: true}
		hung(t, far)
		time.Sleep(10 * time.Minute)
		if n := far.attempts(); n < 6 || n > 16 {
			t.Errorf("%d attempts in ten minutes, want about ten, with ever longer waits", n)
		}
	})
}

// TestSentAway: a broker's word at the end of a connection is told until the next one
// holds.
func TestSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := &deaf{answers: []byte{packets.CONNECT, packets.SUBSCRIBE}, ends: true, last: []byte{packets.DISCONNECT << 4, 1, takenOver}}
		o := hung(t, far)
		time.Sleep(firstWait / 8) // the first connection came and went, the next one is not due
		ps := o.Problems(time.Now())
		if len(ps) != 1 || ps[0].Code != "taken_over" || !strings.Contains(ps[0].Text, "another client of the same id") {
			t.Errorf("%+v", ps)
		}
		far.mu.Lock()
		far.ends = false
		far.mu.Unlock()
		time.Sleep(firstWait)
		if ps := o.Problems(time.Now()); len(ps) != 0 || far.attempts() != 2 {
			t.Errorf("%+v after %d attempts", ps, far.attempts())
		}
	})
}
