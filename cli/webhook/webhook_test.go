package webhook

import (
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
)

// TestCadenceInForce: what a webhook leaves to the daemon is told with its value.
func TestCadenceInForce(t *testing.T) {
	fast := clitest.View(clitest.HealthyHook())
	fast.Cadence.Fastest, fast.Effective.Zone = true, "Europe/Berlin"
	for want, v := range map[string]adminapi.WebhookView{
		"unplugged         1h (the daemon's default)\nplugged in        15m\n":                                                                                                     clitest.View(clitest.HealthyHook()),
		"unplugged         1h (the daemon's default)\nplugged in        the make's fastest; 15m where that is not known\nzone              Europe/Berlin (the daemon's default)\n": fast,
	} {
		p := terminal.Page{Now: clitest.Noon}
		showWebhook(&p, &v)
		if !strings.Contains(p.String(), want) {
			t.Errorf("lacks %q:\n%s", want, p.String())
		}
	}
}
