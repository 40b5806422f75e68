package server

import (
	"testing"

	"plugbeat/adminapi"
)

func TestAlertsAreTested(t *testing.T) {
	w := newWorld()
	c := overSocket(t, newServer(t, w))
	_, err := c.TestAlerts(t.Context(), "")
	refused(t, err, adminapi.CodeNotFound)
	w.alerts = []adminapi.AlertTarget{{Name: "phone", Host: "ntfy.example:443"}, {Name: "chat", Host: "chat.example:443", LastError: "it answered 404 Not Found"}}
	got := must[adminapi.AlertsTested](t)(c.TestAlerts(t.Context(), ""))
	if len(got.Results) != 2 || !got.Results[0].Arrived || got.Results[1].Error == "" {
		t.Errorf("%+v", got)
	}
	if got = must[adminapi.AlertsTested](t)(c.TestAlerts(t.Context(), "phone")); len(got.Results) != 1 {
		t.Errorf("%+v", got)
	}
	_, err = c.TestAlerts(t.Context(), "nobody")
	refused(t, err, adminapi.CodeInvalid)
}
