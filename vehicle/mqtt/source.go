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
	"net/url"
	"sync"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

type options struct {
	settings Settings
	deps     vehicle.Deps
	broker   *url.URL // with a port
	password []byte
	tls      *tls.Config // nil for none
}

// Source is a source of this kind.
type Source struct {
	*mapping.Fleet
	options
	mu      sync.Mutex
	trouble trouble
}

var (
	_ vehicle.Pusher   = (*Source)(nil)
	_ vehicle.Lister   = (*Source)(nil)
	_ vehicle.Reporter = (*Source)(nil)

	_ vehicle.Inspector  = (*Source)(nil)
	_ vehicle.Discoverer = (*Settings)(nil)
	_ vehicle.Rehearser  = (*Settings)(nil)
)

// Push implements [vehicle.Pusher].
func (s *Source) Push(ctx context.Context, hint func(uuid.UUID)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var settling sync.WaitGroup
	settling.Go(func() { s.Settle(ctx, hint) })
	err := s.connect(ctx)
	cancel()
	settling.Wait()
	return err
}

// take takes one message. It is called on the connection's own goroutine.
func (s *Source) take(topic string, payload []byte, replayed bool) {
	if topic == versionTopic {
		s.Serves(s.broker.Host, cut(string(payload)))
		return
	}
	for _, v := range s.Take(topic, payload, replayed) {
		if v.Refused != "" {
			s.deps.Log.Debug().Str("event", "source.refused").Str("vehicle", v.Vehicle).Str("input", v.Input).Str("topic", topic).
				Str("text", v.Refused).
				Msg("a message could not be taken")
		}
	}
}

// versionTopic is where some brokers say what they are.
const versionTopic = "$SYS/broker/version"

// cut is a broker's word of itself, as long as one may be.
func cut(text string) string { return text[:min(len(text), 80)] }
