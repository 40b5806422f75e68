package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"plugbeat/adminapi"
)

// What a command says of a daemon that is gone comes before how to start one.
func TestExplainKeepsTheCommandsHint(t *testing.T) {
	s := &Session{}
	err := s.Explain(Hint(adminapi.ErrNoDaemon, "a connect ends with the daemon"), "/run/x.sock", "config c.yaml")
	h, ok := errors.AsType[*Hinted](err)
	if !ok || !errors.Is(err, adminapi.ErrNoDaemon) {
		t.Fatalf("%v", err)
	}
	if !strings.HasPrefix(h.Hint, "a connect ends with the daemon\nstart it: plugbeat serve --config c.yaml\n") {
		t.Errorf("hint %q", h.Hint)
	}
	h, _ = errors.AsType[*Hinted](s.Explain(adminapi.ErrNoDaemon, "/run/x.sock", "config c.yaml"))
	if !strings.HasPrefix(h.Hint, "start it:") {
		t.Errorf("hint %q", h.Hint)
	}
}

// TestSilentDaemon: a daemon that takes a call and does not answer has a code of its own.
func TestSilentDaemon(t *testing.T) {
	var errs bytes.Buffer
	(&Session{Err: &errs}).Report(fmt.Errorf("the daemon at s %w", adminapi.ErrNoAnswer), true)
	if got, want := errs.String(), `{"error":{"code":"no_answer","message":"the daemon at s accepts connections but does not answer"}}`+"\n"; got != want {
		t.Errorf("%s", got)
	}
}
