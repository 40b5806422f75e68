package server

import (
	"strings"
	"testing"

	"plugbeat/webhook/api"
)

func TestAlertsAreTested(t *testing.T) {
	w := newWorld()
	c := overSocket(t, newServer(t, w))
	_, err := c.TestAlerts(t.Context(), "")
	refused(t, err, api.CodeNotFound)
	w.alerts = []api.AlertTarget{{Name: "phone", Host: "ntfy.example:443"}, {Name: "chat", Host: "chat.example:443", LastError: "it answered 404 Not Found"}}
	got := must[api.AlertsTested](t)(c.TestAlerts(t.Context(), ""))
	if len(got.Results) != 2 || !got.Results[0].Arrived || got.Results[1].Error == "" {
		t.Errorf("%+v", got)
	}
	if got = must[api.AlertsTested](t)(c.TestAlerts(t.Context(), "phone")); len(got.Results) != 1 {
		t.Errorf("%+v", got)
	}
	_, err = c.TestAlerts(t.Context(), "nobody")
	refused(t, err, api.CodeInvalid)
}

// A target that takes nothing, and one that shares a webhook's fate, are told of.
func TestAttentionOfAlerts(t *testing.T) {
	w := newWorld()
	c := overSocket(t, newServer(t, w))
	w.hooks[0].CallbackURI = "https://Shared.example/hook"
	w.alerts = []api.AlertTarget{{Name: "phone", Host: "shared.example:443"}, {Name: "chat", Host: "chat.example:443", LastError: "it answered 404 Not Found", Waiting: 2}}
	lines := strings.Join(must[api.Status](t)(c.Status(t.Context())).Attention, "\n")
	for _, want := range []string{"alerts to phone go to shared.example:443, where the receiver of webhook", "alerts cannot be sent to chat: it answered 404 Not Found; 2 waiting; try: plugbeat alert test chat"} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is not in\n%s", want, lines)
		}
	}
	if strings.Contains(lines, "alerts to chat go to") {
		t.Errorf("a host of its own is told of:\n%s", lines)
	}
}
