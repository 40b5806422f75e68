package admin_test

import (
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
)

func TestAlertsAreTested(t *testing.T) {
	w := servertest.NewWorld(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	_, err := c.TestAlerts(t.Context(), "")
	servertest.Refused(t, err, adminapi.CodeNotFound)
	w.Targets = []adminapi.AlertTarget{{Name: "phone", Host: "ntfy.example:443"}, {Name: "chat", Host: "chat.example:443", LastError: "it answered 404 Not Found"}}
	got := servertest.Must[adminapi.AlertsTested](t)(c.TestAlerts(t.Context(), ""))
	if len(got.Results) != 2 || !got.Results[0].Arrived || got.Results[1].Error == "" {
		t.Errorf("%+v", got)
	}
	if got = servertest.Must[adminapi.AlertsTested](t)(c.TestAlerts(t.Context(), "phone")); len(got.Results) != 1 {
		t.Errorf("%+v", got)
	}
	_, err = c.TestAlerts(t.Context(), "nobody")
	servertest.Refused(t, err, adminapi.CodeInvalid)
}
