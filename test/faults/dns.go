package faults

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// Question is what a resolver asks: a name in lower case without its final dot, for
// IPv4 addresses or for IPv6 ones. N counts the questions for that name and family
// from 1.
type Question struct {
	Name string
	IPv6 bool
	N    int
}

// Reply is what the name server says. The zero value is a name that exists and has
// no address of the family asked for.
type Reply struct {
	// Addrs are the answer; those of the other family than the one asked for are
	// left out.
	Addrs []netip.Addr
	// Silent gives no answer at all.
	Silent bool
	// RCode is the response code; 0 is none, 2 a server that fails, 3 no such name.
	RCode uint8
	// Raw is sent as it is behind the question's id, in place of everything else.
	Raw []byte
}

// zone answers questions and counts them.
type zone struct {
	answer func(Question) Reply
	mu     sync.Mutex
	asked  map[Question]int // N is 0
}

// Names is a resolver that needs no socket: every question is answered by the
// function, which may be called from several goroutines. It also serves tests in a
// bubble of fake time.
func Names(answer func(Question) Reply) *net.Resolver {
	z := &zone{answer: answer, asked: map[Question]int{}}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		us, them := net.Pipe() // no packets: as over TCP
		go func() {
			defer func() { _ = them.Close() }()
			z.talk(them)
		}()
		return us, nil
	}}
}

// DNS is a name server on loopback, over UDP and, for what is too long for that,
// over TCP. It is safe for concurrent use.
type DNS struct {
	zone
	addr   string
	packet net.PacketConn
	stream net.Listener
	done   sync.WaitGroup
}

// NewDNS starts a name server that ends with the test. Every question is answered
// by the function, which may be called from several goroutines.
func NewDNS(t testing.TB, answer func(Question) Reply) *DNS {
	t.Helper()
	d := &DNS{zone: zone{answer: answer, asked: map[Question]int{}}}
	var err error
	if d.stream, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	d.addr = d.stream.Addr().String()
	if d.packet, err = net.ListenPacket("udp", d.addr); err != nil {
		t.Fatal(err)
	}
	d.done.Go(d.packets)
	d.done.Go(d.streams)
	t.Cleanup(func() {
		_ = d.packet.Close()
		_ = d.stream.Close()
		d.done.Wait()
	})
	return d
}

// Resolver asks this server alone.
func (d *DNS) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.addr)
	}}
}

// Asked returns how many questions were answered for a name.
func (d *DNS) Asked(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[Question{Name: name}] + d.asked[Question{Name: name, IPv6: true}]
}

func (d *DNS) packets() {
	buf := make([]byte, 4096)
	for {
		n, from, err := d.packet.ReadFrom(buf)
		if err != nil {
			return
		}
		reply := d.reply(buf[:n])
		if len(reply) > 1232 { // what resolvers take today
			reply[2] |= 2 // truncated: ask again over TCP
			clear(reply[6:8])
			reply = reply[:end(buf[:n])]
		}
		if reply != nil {
			_, _ = d.packet.WriteTo(reply, from)
		}
	}
}

func (d *DNS) streams() {
	for {
		c, err := d.stream.Accept()
		if err != nil {
			return
		}
		d.done.Go(func() {
			defer func() { _ = c.Close() }()
			d.talk(c)
		})
	}
}

// talk answers the questions of a connection, each message with its length before
// it.
func (z *zone) talk(c net.Conn) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		reply := z.reply(q)
		if reply == nil {
			continue
		}
		//nolint:gosec // a few hundred addresses
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// end is where the question of a message ends, 0 where it is none.
func end(q []byte) int {
	at := 12
	for at < len(q) && q[at] != 0 {
		at += int(q[at]) + 1
	}
	if at+5 > len(q) {
		return 0
	}
	return at + 5
}

func (z *zone) reply(q []byte) []byte {
	stop := end(q)
	if stop == 0 {
		return nil
	}
	var labels []string
	for at := 12; q[at] != 0; at += int(q[at]) + 1 {
		labels = append(labels, string(q[at+1:at+1+int(q[at])]))
	}
	kind := binary.BigEndian.Uint16(q[stop-4:])
	ask := Question{Name: strings.ToLower(strings.Join(labels, ".")), IPv6: kind == 28}
	z.mu.Lock()
	z.asked[ask]++
	count := z.asked[ask]
	z.mu.Unlock()
	ask.N = count
	r := z.answer(ask)
	switch {
	case r.Silent:
		return nil
	case r.Raw != nil:
		return append([]byte{q[0], q[1]}, r.Raw...)
	}
	msg := append([]byte{q[0], q[1], 0x81, 0x80 | r.RCode, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:stop]...)
	n := uint16(0)
	for _, a := range r.Addrs {
		if a.Is4() == ask.IPv6 || kind != 1 && kind != 28 {
			continue
		}
		b := a.AsSlice()
		msg = append(msg, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(b)))
		msg = append(msg, b...)
		n++
	}
	binary.BigEndian.PutUint16(msg[6:], n)
	return msg
}
