package terminal

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
)

// followRetry is how long a daemon that is away is left alone between questions.
const followRetry = time.Second

// Follower is what a command does with a stream of the daemon's.
type Follower[T any] struct {
	// Name is what the command calls its stream: "tail".
	Name string
	Open func(a *adminapi.Client) (*adminapi.Stream[T], error)
	// Event prints an event. Its error, one of printing, ends the command.
	Event func(event T) error
	// Missed says that so many events were missed, and Back what to do about what happened
	// since a stream was cut off; empty for nothing.
	Missed func(n int) string
	Back   func(cut time.Time) string
}

// Follow follows a stream of the daemon's. One that is cut off is opened again until the
// command ends, which is how it is meant to end.
func Follow[T any](s *Session, c *ucli.Context, f Follower[T]) error {
	path, from, err := s.Socket(c)
	if err != nil {
		return err
	}
	a := adminapi.Dial(path)
	defer a.Close()
	var cut time.Time // when the stream was cut off; zero before the first
	for {
		stream, err := f.Open(a)
		switch {
		case c.Err() != nil:
			return nil
		case err != nil && (cut.IsZero() || !passes(err)):
			return s.Explain(err, path, from)
		case err == nil:
			if !cut.IsZero() {
				s.Say("the daemon is back" + f.Back(cut))
			}
			err = f.events(s, stream)
			stream.Close()
			if err != nil || c.Err() != nil {
				return err
			}
			cut = s.Now()
			s.Say("the " + f.Name + " was cut off; waiting for the daemon")
		}
		if s.Rest(c.Context, followRetry) != nil {
			return nil
		}
	}
}

// events prints until the stream ends.
func (f Follower[T]) events(s *Session, stream *adminapi.Stream[T]) error {
	for {
		event, missed, err := stream.Next()
		if err != nil {
			return nil //nolint:nilerr // however it ended, it is opened again or was meant to end
		}
		if missed > 0 {
			s.Say(f.Missed(missed))
			continue
		}
		if err := f.Event(event); err != nil {
			return err
		}
	}
}

// Say tells of the command itself, beside its lines.
func (s *Session) Say(text string) { _, _ = fmt.Fprintf(s.Err, "plugbeat: %s\n", text) }

// passes reports whether an error of a stream that was open is one that waiting mends.
func passes(err error) bool {
	if errors.Is(err, fs.ErrPermission) {
		return false
	}
	e, ok := errors.AsType[*adminapi.Error](err)
	return !ok || e.Code == adminapi.CodeUnavailable
}
