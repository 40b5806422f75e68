package cli

import (
	"strings"
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
)

// TestRecoverByTimeLeft: a policy of an earlier version is refused before the daemon
// is asked, with what to do instead.
func TestRecoverByTimeLeft(t *testing.T) {
	d := clitest.NewDaemon(t)
	for _, typed := range []string{"webhook recover fleet 24h", "webhook enable fleet --recover 2026-03-01", "webhook change fleet --recover 24h",
		"webhook add --name x --callback https://example.com --recover 24h"} {
		r := clitest.Session{App: App, Socket: d.Socket}.Run(t, strings.Fields(typed)...)
		for _, want := range []string{"want one of all, latest, none", "recovering by time has left", "delivery resend --webhook NAME --since TIME"} {
			if r.Code != terminal.ExitUsage || !strings.Contains(r.Err, want) {
				t.Errorf("%s: exit %d, want %q in\n%s", typed, r.Code, want, r.Err)
			}
		}
	}
	d.WasAsked(t)
}
