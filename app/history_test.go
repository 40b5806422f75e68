package app

import (
	"errors"
	"slices"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// The API pages a vehicle's history out of the data file, whole or thinned: page by page it is what it
// is in one, and every change of the plug is in it. Disconnecting the vehicle ends it.
func TestHistoryByAPI(t *testing.T) {
	d := start(t, configured(t, shortDir(t), simulatorSource))
	id := d.ids()[0]
	begin := time.Now().Add(-20 * time.Hour).Truncate(time.Hour)
	const every = 10 * time.Minute
	var rows int
	for at := begin; at.Before(begin.Add(10 * time.Hour)); at = at.Add(every) {
		plug := []vehicle.Plug{vehicle.Unplugged, vehicle.PluggedIn}[rows/7%2]
		_, err := d.store.Schedules.CompleteRead(t.Context(), id, func(v webhook.VehicleView) (webhook.Decision, error) {
			st := v.Status
			st.Last = vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{Plug: plug}, FetchedAt: at}}
			st.State = vehicle.StateOf(st.Last.Charge)
			if rows%6 == 5 { // the plug is not told
				st.Last.Charge = vehicle.Reading[vehicle.Charge]{Fault: vehicle.NoResponse("nothing"), FetchedAt: at}
				st.Last.Battery = vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: 0.5}, FetchedAt: at}
			}
			return webhook.Decision{Status: st}, nil
		})
		must(t, err)
		rows++
	}
	read := func(q adminapi.HistoryQuery) (all []vehicle.Point) {
		for {
			p, err := d.client.History(t.Context(), id.String(), q)
			must(t, err)
			all = append(all, p.Items...)
			if q.After = p.Next; p.Next == "" {
				return all
			}
		}
	}
	if all := read(adminapi.HistoryQuery{Limit: 7}); len(all) != rows {
		t.Errorf("%d rows of %d", len(all), rows)
	}
	whole := read(adminapi.HistoryQuery{Resolution: time.Hour, Limit: 500})
	parts := read(adminapi.HistoryQuery{Resolution: time.Hour, Limit: 1})
	if !slices.EqualFunc(whole, parts, func(a, b vehicle.Point) bool { return a.At.Equal(b.At) && a.Plug == b.Plug }) {
		t.Errorf("by pages\n%v\nin one\n%v", parts, whole)
	}
	changes, before := 0, whole[0].Plug
	for _, p := range whole {
		if p.Plug != vehicle.StateUnknown && p.Plug != before {
			changes++
			before = p.Plug
		}
	}
	if changes != (rows-1)/7 || len(whole) >= rows {
		t.Errorf("%d changes in %d rows of %d", changes, len(whole), rows)
	}
	part := read(adminapi.HistoryQuery{Since: begin.Add(time.Hour), Until: begin.Add(2 * time.Hour)})
	if len(part) != 6 || !part[0].At.Equal(begin.Add(time.Hour)) {
		t.Errorf("an hour of it: %v", part)
	}
	_, err := d.client.DisconnectVehicle(t.Context(), id.String())
	must(t, err)
	_, err = d.client.History(t.Context(), id.String(), adminapi.HistoryQuery{})
	if e, ok := errors.AsType[*adminapi.Error](err); !ok || e.Code != adminapi.CodeNotFound {
		t.Errorf("of a vehicle that was disconnected: %v", err)
	}
}
