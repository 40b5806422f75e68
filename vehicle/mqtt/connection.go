package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/google/uuid"

	"plugbeat/vehicle/mapping"
)

// The times of a connection.
const (
	connectTime = 10 * time.Second
	keepAlive   = 30 // seconds
	// Waits between attempts double from firstWait to lastWait. Where the broker refuses
	// who we are, nobody but a person can help, and it is lastWait at once.
	firstWait = time.Second
	lastWait  = 5 * time.Minute
)

// connection is the broker's side of a source: one connection after another until ctx ends.
type connection struct {
	*Source
	mu sync.Mutex
	// conn is the one that was dialled last.
	conn net.Conn
	// refused is true after the broker refused the login.
	refused bool
	// up is when the connection came up. brief is how many connections in a row were lost
	// within briefTime.
	up    time.Time
	brief int
	// finder is what a discovery finds with; nil for a connection that is kept.
	finder *mapping.Finder
}

// briefTime is how long a connection lasts that is no reason to wait before the next one.
const briefTime = time.Minute

// connect keeps a connection until ctx ends.
func (s *Source) connect(ctx context.Context) error {
	c := &connection{Source: s}
	m, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{s.broker}, KeepAlive: keepAlive, ConnectTimeout: connectTime,
		ConnectUsername: s.settings.Username, ConnectPassword: s.password,
		CleanStartOnInitialConnection: true, AttemptConnection: c.dial, ReconnectBackoff: c.wait,
		ConnectPacketBuilder: ask, OnConnectionUp: func(m *autopaho.ConnectionManager, _ *paho.Connack) { c.came(ctx, m) },
		OnConnectionDown: func() bool { c.went(); return true },
		OnConnectError:   c.failed,
		ClientConfig: paho.ClientConfig{
			ClientID:           "plugbeat-" + uuid.NewString()[:13],
			OnServerDisconnect: c.sentAway,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				s.take(p.Packet.Topic, p.Packet.Payload, p.Packet.Retain)
				return true, nil
			}},
		},
	})
	if err != nil {
		return fmt.Errorf("broker %s: %w", s.broker.Host, err)
	}
	<-m.Done()
	return ctx.Err()
}

// ask completes CONNECT: nothing old is queued for us, and no packet is longer than we look
// at.
func ask(p *paho.Connect, _ *url.URL) (*paho.Connect, error) {
	p.CleanStart = true
	largest := uint32(maxPacket)
	p.Properties = &paho.ConnectProperties{MaximumPacketSize: &largest}
	return p, nil
}

// dial connects to the broker, past plugbeat's dial check. The library gives no time limit
// here.
func (c *connection) dial(ctx context.Context, _ autopaho.ClientConfig, _ *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := c.deps.Dial(ctx, c.settings.Endpoints()[0])
	if err != nil {
		return nil, err
	}
	if a, err := netip.ParseAddrPort(conn.RemoteAddr().String()); c.tls == nil && len(c.password) > 0 && (err != nil || public(a.Addr())) {
		_ = conn.Close()
		return nil, &plainPasswordError{c.broker.Hostname(), conn.RemoteAddr().String()}
	}
	if c.tls != nil {
		secure := tls.Client(conn, c.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	conn = packets.NewThreadSafeConn(&bounded{Conn: conn})
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	return conn, nil
}

// plainPasswordError is a password that would leave one's own network as it is.
type plainPasswordError struct{ host, address string }

// Error implements error.
func (e *plainPasswordError) Error() string {
	return fmt.Sprintf("%s is %s, an address of the internet, and the password would go there as it is", e.host, e.address)
}

// wait is how long to wait before an attempt.
func (c *connection) wait(attempt int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused {
		return lastWait
	}
	attempt += max(0, c.brief-1)
	if attempt == 0 {
		return firstWait / 10
	}
	d := lastWait
	if attempt < 10 {
		d = min(firstWait<<attempt, lastWait)
	}
	return d/2 + rand.N(d/2) //nolint:gosec // no secret
}

// came has every topic subscribed on a connection that came up. It is called on the loop of
// the library and must not block.
func (c *connection) came(ctx context.Context, m *autopaho.ConnectionManager) {
	c.Connected()
	c.mu.Lock()
	c.up = time.Now()
	conn, steady := c.conn, c.brief == 0
	c.mu.Unlock()
	c.deps.Log.Info().Str("event", "source.connected").Str("broker", c.broker.Host).Msg("connected to the broker")
	go func() {
		err := subscribe(ctx, c.Topics(), m)
		if ctx.Err() != nil {
			return
		}
		c.told(err)
		if _, denied := errors.AsType[*deniedError](err); denied {
			time.AfterFunc(lastWait, func() { _ = conn.Close() }) // the next one asks for them anew
		} else if err != nil {
			_ = conn.Close()
			return
		}
		time.AfterFunc(c.settings.Settle+firstWait/2, c.Arrived)
		// A broker that has no such topic, or denies it, says nothing of itself. One that ends the
		// connection for the asking is not asked again at once.
		if steady {
			_, _ = m.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: versionTopic}}})
		}
	}()
}

// subscribeAtOnce is how many topics are asked for in one packet.
const subscribeAtOnce = 100

// subscriber is a connection of the library, one that it keeps or one of ours.
type subscriber interface {
	Subscribe(context.Context, *paho.Subscribe) (*paho.Suback, error)
}

// subscribe asks for every topic and holds the broker to each. The topics of a
// [deniedError] are those that it denies; all others are subscribed.
func subscribe(ctx context.Context, topics []string, conn subscriber) error {
	denied := &deniedError{}
	for from := 0; from < len(topics); from += subscribeAtOnce {
		some := topics[from:min(from+subscribeAtOnce, len(topics))]
		p := &paho.Subscribe{}
		for _, topic := range some {
			p.Subscriptions = append(p.Subscriptions, paho.SubscribeOptions{Topic: topic, QoS: 1})
		}
		ack, err := conn.Subscribe(ctx, p)
		if ack != nil {
			for i, reason := range ack.Reasons {
				if reason >= 0x80 && i < len(some) {
					denied.topics, denied.reason = append(denied.topics, some[i]), reason
				}
			}
		}
		if err != nil && ack == nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	if len(denied.topics) > 0 {
		return denied
	}
	return nil
}

// deniedError is topics that the broker does not let us have.
type deniedError struct {
	topics []string
	reason byte // of the last of them
}

// Error implements error.
func (e *deniedError) Error() string {
	return fmt.Sprintf("the broker denies %s (reason 0x%02x)", e.list(), e.reason)
}

// list names the topics, of many only the first.
func (e *deniedError) list() string {
	const most = 5
	if len(e.topics) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(e.topics[:most], ", "), len(e.topics)-most)
	}
	return strings.Join(e.topics, ", ")
}

func (c *connection) went() {
	c.Disconnected()
	c.mu.Lock()
	c.brief++
	if time.Since(c.up) > briefTime {
		c.brief = 0
	}
	c.mu.Unlock()
	c.Source.mu.Lock()
	if !c.LastMessage().IsZero() {
		c.trouble.connected = time.Time{}
	}
	c.Source.mu.Unlock()
	c.deps.Log.Warn().Str("event", "source.disconnected").
		Str("broker", c.broker.Host).Msg("the connection to the broker is lost; it is made anew")
}

// sentAway is a broker's word at the end of a connection.
func (c *connection) sentAway(d *paho.Disconnect) { c.told(&sentAwayError{d.ReasonCode}) }

type sentAwayError struct{ reason byte }

// Error implements error.
func (e *sentAwayError) Error() string {
	return fmt.Sprintf("the broker ended the connection (reason 0x%02x)", e.reason)
}

func (c *connection) failed(err error) { c.told(err) }

// told notes how the last attempt went; nil is well.
func (c *connection) told(err error) {
	p, refused := problemOf(err, c.Source)
	c.mu.Lock()
	c.refused = refused
	c.mu.Unlock()
	c.Source.mu.Lock()
	news := c.trouble.set(p, time.Now().UTC())
	c.Source.mu.Unlock()
	if news && err != nil {
		c.deps.Log.Error().Str("event", "source.unreachable").Str("broker", c.broker.Host).Err(err).Str("text", p.Text).
			Str("remedy", p.Remedy).Msg("the broker does not serve us")
	}
}

// maxPacket is the longest packet that is read: the longest payload, its topic, and a
// little.
const maxPacket = mapping.MaxPayload + 4096

// bounded refuses a packet that is longer than we asked for before anything is allocated
// for it. It follows the lengths in what is read.
type bounded struct {
	net.Conn
	// left is how much of the packet's body is still to come.
	left int
	// inLength is true within a packet's length, of which length is known and the next byte
	// goes to shift.
	inLength      bool
	shift, length int
	// first is the first byte that came; zero before.
	first byte
}

var (
	errTooLong = errors.New("the broker announced a packet that is longer than plugbeat asked for")
	errOld     = errors.New("the broker answered as MQTT 3.1.1 does")
)

// oldAnswer is the first byte of a CONNACK, whose body is two bytes in MQTT 3.1.1 and more
// in MQTT 5.
const oldAnswer = 0x20

// Read implements net.Conn.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		switch {
		case b.left > 0:
			skip := min(b.left, len(rest))
			b.left -= skip
			rest = rest[skip:]
		case !b.inLength:
			b.inLength, b.shift, b.length = true, 0, 0
			if b.first == 0 {
				b.first = rest[0]
			}
			rest = rest[1:]
		default:
			b.length |= int(rest[0]&0x7f) << b.shift
			b.shift += 7
			last := rest[0]&0x80 == 0
			rest = rest[1:]
			if b.length > maxPacket || b.shift > 28 {
				return 0, errTooLong
			}
			if last && b.first == oldAnswer && b.length == 2 {
				return 0, errOld
			}
			if last {
				b.first = ^byte(oldAnswer) // the answer has been looked at
				b.left, b.inLength = b.length, false
			}
		}
	}
	return n, err
}
