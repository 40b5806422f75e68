package cli

import (
	"errors"
	"strings"
	"testing"

	"plugbeat/adminapi"
)

// What a command says of a daemon that is gone comes before how to start one.
func TestExplainKeepsTheCommandsHint(t *testing.T) {
	s := &shell{}
	err := s.explain(hint(adminapi.ErrNoDaemon, "a connect ends with the daemon"), "/run/x.sock", "config c.yaml")
	h, ok := errors.AsType[*hinted](err)
	if !ok || !errors.Is(err, adminapi.ErrNoDaemon) {
		t.Fatalf("%v", err)
	}
	if !strings.HasPrefix(h.hint, "a connect ends with the daemon\nstart it: plugbeat serve --config c.yaml\n") {
		t.Errorf("hint %q", h.hint)
	}
	h, _ = errors.AsType[*hinted](s.explain(adminapi.ErrNoDaemon, "/run/x.sock", "config c.yaml"))
	if !strings.HasPrefix(h.hint, "start it:") {
		t.Errorf("hint %q", h.hint)
	}
}
