package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/store"
	"plugbeat/vehicle"
)

// TestReconnect: an owner takes the access back in the middle of everything. It is told
// in the payload, in status and by the alert's condition, with where to give it back; and
// it is over as soon as that was done.
func TestReconnect(t *testing.T) {
	d, ids := hooked(t)
	_, err := d.client.Subscribe(t.Context(), adminapi.Subscribe{Webhook: "hook", Vehicles: []string{ids[0].String()}})
	must(t, err)
	newest := func() string {
		for _, m := range slices.Backward(d.receiver.Messages()) {
			if m.Vehicle == ids[0].String() {
				return string(m.Body)
			}
		}
		return ""
	}
	eventually(t, "a payload with values", func() bool { return strings.Contains(newest(), `"isPluggedIn"`) })
	d.upstream.RevokeAll()
	eventually(t, "a payload with the owner's error", func() bool {
		text := newest()
		return strings.Contains(text, `"code":"AUTHENTICATION_FAILED"`) && strings.Contains(text, `"type":"REAUTHENTICATE","url":"`)
	})
	st, err := d.client.Status(t.Context())
	must(t, err)
	lines := wrong(st)
	for _, want := range []string{
		"CONNECTED_SERVICES_ACCOUNT:AUTHENTICATION_FAILED: Smartcar no longer accepts the account's tokens", "its owner opens http",
		"/oauth/reauthenticate?client_id=", "or gives access again: plugbeat vehicle connect --source smartcar",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("status lacks %q:\n%s", want, lines)
		}
	}
	told := func() bool {
		return slices.ContainsFunc(d.app.health.Health(t.Context()).Conditions, func(c health.Condition) bool { return c.Code == health.VehicleOwner })
	}
	if st.Vehicles.Restricted == 0 || !told() {
		t.Errorf("%+v, alert's condition %t", st.Vehicles, told())
	}

	_, err = d.client.ConnectVehicles(t.Context(), "smartcar", d.upstream.RefreshToken())
	must(t, err)
	eventually(t, "a payload with values again", func() bool { return strings.Contains(newest(), `"isPluggedIn"`) })
	known, err := d.app.store.Vehicles.VehicleStatus(t.Context(), ids[0])
	must(t, err)
	if known.Restricted || known.Trouble() != vehicle.NoTrouble || told() {
		t.Errorf("after the owner came back: %+v, alert's condition %t", known, told())
	}
}

// TestResumeAfterACrash: an exchange of tokens that a killed process had begun is made
// again at the start, though nobody reads.
func TestResumeAfterACrash(t *testing.T) {
	d, _ := hooked(t)
	must(t, d.halt())
	db, err := store.Open(store.Options{Path: d.cfg.DataFile(), Key: mustKey(t, d.cfg)})
	must(t, err)
	name := "source/smartcar/" + d.upstream.User().String()
	kept, err := db.Secrets.Secret(t.Context(), name)
	must(t, err)
	begun := strings.TrimSuffix(string(kept), "}") + `,"trying_since":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"}`
	must(t, db.Secrets.PutSecret(t.Context(), name, []byte(begun)))
	must(t, db.Close())
	before := d.upstream.Requests()["POST /oauth/token"]
	must(t, d.boot(t.Context()))
	eventually(t, "the exchange", func() bool {
		b, err := d.app.store.Secrets.Secret(t.Context(), name)
		return err == nil && d.upstream.Requests()["POST /oauth/token"] == before+1 && !strings.Contains(string(b), "trying_since")
	})
}
