// Package mqtt is a source whose vehicles are told by a broker of the owner's own, by
// programs that are there already. A map says which topic tells what ([mapping.Vehicle]).
//
// It subscribes and never publishes. It answers every read from memory. Each connection
// subscribes anew, so that the broker repeats what it keeps; package mapping decides what
// that is worth.
package mqtt

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// firstRead is how long a read waits for what the broker repeats after a start.
const firstRead = 10 * time.Second

// pace is how often vehicles are looked through for what has settled, at most.
const pace = 20 * time.Millisecond

type options struct {
	settings Settings
	deps     vehicle.Deps
	broker   *url.URL // with a port
	password []byte
	tls      *tls.Config // nil for none
	opened   time.Time
}

// Source is a source of this kind.
type Source struct {
	options
	vehicles []vehicle.Vehicle
	topics   []string

	mu       sync.Mutex
	memories map[uuid.UUID]*mapping.Memory
	ids      map[*mapping.Memory]uuid.UUID
	exact    map[string][]*mapping.Memory
	patterns map[string][]*mapping.Memory
	due      time.Time     // of the memory that settles first; zero for none
	wake     chan struct{} // buffered: due is earlier than it was
	ready    chan struct{} // closed when what the broker keeps has arrived
	trouble  trouble
}

var (
	_ vehicle.Pusher = (*Source)(nil)
	_ vehicle.Lister = (*Source)(nil)
)

func newSource(o options, known []vehicle.Known) *Source {
	s := &Source{
		options: o, memories: map[uuid.UUID]*mapping.Memory{}, ids: map[*mapping.Memory]uuid.UUID{},
		exact: map[string][]*mapping.Memory{}, patterns: map[string][]*mapping.Memory{},
		wake: make(chan struct{}, 1), ready: make(chan struct{}),
	}
	for _, v := range o.settings.Vehicles {
		one := mapping.VehicleOf(o.deps.Name, v)
		stored := vehicle.Snapshot{}
		if i := slices.IndexFunc(known, func(k vehicle.Known) bool { return k.Vehicle.ID == one.ID }); i >= 0 {
			stored = known[i].Status.Last
		}
		m := mapping.NewMemory(v, o.settings.Settle, stored, o.opened)
		s.vehicles = append(s.vehicles, one)
		s.memories[one.ID], s.ids[m] = m, one.ID
		for _, topic := range m.Topics() {
			index := s.exact
			if strings.Contains(topic, "+") {
				index = s.patterns
			}
			if index[topic] == nil {
				s.topics = append(s.topics, topic)
			}
			index[topic] = append(index[topic], m)
		}
	}
	slices.Sort(s.topics)
	return s
}

// List implements [vehicle.Lister].
func (s *Source) List(context.Context) ([]vehicle.Vehicle, error) {
	return slices.Clone(s.vehicles), nil
}

// Read implements [vehicle.Source] from memory. Shortly after the start it waits for what
// the broker repeats.
func (s *Source) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return vehicle.Snapshot{}, fmt.Errorf("read vehicle %s: %w", ref.ID, err)
	}
	wait := time.NewTimer(time.Until(s.opened.Add(firstRead)))
	defer wait.Stop()
	select {
	case <-s.ready:
	case <-wait.C:
	case <-ctx.Done():
		return vehicle.Snapshot{}, fmt.Errorf("read vehicle %s: %w", ref.ID, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.memories[ref.ID]
	if !ok {
		return vehicle.Snapshot{}, vehicle.NotInMap(s.deps.Name)
	}
	return m.Read(time.Now().UTC(), paths), nil
}

// Push implements [vehicle.Pusher].
func (s *Source) Push(ctx context.Context, hint func(uuid.UUID)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var settling sync.WaitGroup
	settling.Go(func() { s.settle(ctx, hint) })
	err := s.connect(ctx)
	cancel()
	settling.Wait()
	return err
}

// take takes one message. It is called on the connection's own goroutine and does not block.
func (s *Source) take(topic string, payload []byte, replayed bool) {
	msg := mapping.Message{Topic: topic, Payload: payload, Replayed: replayed, At: time.Now().UTC()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble.heard(msg.At)
	for _, m := range s.exact[topic] {
		s.takeBy(m, msg)
	}
	for pattern, ms := range s.patterns {
		if mapping.Matches(pattern, topic) {
			for _, m := range ms {
				s.takeBy(m, msg)
			}
		}
	}
}

func (s *Source) takeBy(m *mapping.Memory, msg mapping.Message) {
	for _, v := range m.Take(msg) {
		if v.Refused != "" {
			s.deps.Log.Debug().Str("event", "source.refused").Str("vehicle", v.Vehicle).Str("input", v.Input).Str("topic", msg.Topic).Str("text", v.Refused).
				Msg("a message could not be taken")
		}
	}
	s.plan(m.Due())
}

// plan has the settling loop look at the time. The caller holds the lock.
func (s *Source) plan(due time.Time) {
	if due.IsZero() || !s.due.IsZero() && !due.Before(s.due) {
		return
	}
	s.due = due
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// settle judges what has settled, and hints, until ctx ends.
func (s *Source) settle(ctx context.Context, hint func(uuid.UUID)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		now := time.Now().UTC()
		for _, id := range s.settled(now) {
			hint(id)
		}
		s.mu.Lock()
		due := s.due
		s.mu.Unlock()
		if !due.IsZero() {
			timer.Reset(max(pace, due.Sub(now)))
		}
	}
}

// settled settles every vehicle that is due, and returns those that are worth a read.
func (s *Source) settled(now time.Time) (ids []uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due.IsZero() || now.Before(s.due) {
		return nil
	}
	s.due = time.Time{}
	for _, m := range s.memories {
		if m.Settle(now) {
			ids = append(ids, s.ids[m])
		}
		if due := m.Due(); !due.IsZero() && (s.due.IsZero() || due.Before(s.due)) {
			s.due = due
		}
	}
	return ids
}

// up is the connection's coming up, once every topic is subscribed.
func (s *Source) up(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.memories {
		m.Connected(now)
	}
}

// down is the connection's going down.
func (s *Source) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.memories {
		m.Disconnected()
	}
}
