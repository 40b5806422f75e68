package terminal

import (
	"bytes"
	"context"
	"io"
	"testing"
)

// TestInterrupted: Ctrl-C at a question ends it at once, though nothing was typed.
func TestInterrupted(t *testing.T) {
	silent, typing := io.Pipe() // nobody types
	defer func() { _ = typing.Close() }()
	var out bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	s := &Session{In: silent, Err: &out}
	answered := make(chan error, 1)
	go func() {
		_, err := s.Prompter().Ask(ctx, "name", "", func(string) error { return nil })
		answered <- err
	}()
	stop()
	if err := <-answered; err == nil || err.Error() != "interrupted; nothing was changed" {
		t.Errorf("%v", err)
	}
	if out.String() != "name: \n" {
		t.Errorf("%q", out.String())
	}
}
