package cli

import (
	"strings"

	"github.com/rs/zerolog"
)

// stray takes what the standard library writes to its own log, so that every line
// of the daemon's is an event. What a receiver sent is left out of it: it may be
// anything, an echo of a signature too.
type stray struct{ log zerolog.Logger }

func (s stray) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "Unsolicited response received on idle HTTP channel") {
		s.log.Debug().Str("event", "http.stray").Msg("a receiver sent more than it announced; its connection is closed")
		return len(b), nil
	}
	s.log.Warn().Str("event", "log.other").Str("text", text).Msg("the standard library has something to say")
	return len(b), nil
}
