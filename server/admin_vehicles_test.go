package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
)

func TestAdminVehicles(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	w.states[carA] = vehicle.Status{State: vehicle.StatePluggedIn}
	c := overSocket(t, newServer(t, w))
	p := must[adminapi.Page[adminapi.VehicleView]](t)(c.Vehicles(ctx, "", 1))
	if len(p.Items) != 1 || p.Next == "" || p.Items[0].Status.State != vehicle.StatePluggedIn {
		t.Fatalf("%+v", p)
	}
	if p = must[adminapi.Page[adminapi.VehicleView]](t)(c.Vehicles(ctx, p.Next, 1)); len(p.Items) != 1 || p.Next != "" || p.Items[0].Vehicle.ID != carB {
		t.Fatalf("%+v", p)
	}
	snap := must[vehicle.Snapshot](t)(c.ReadVehicle(ctx, carA, vehicle.PathsOf(vehicle.PathBattery)))
	if !snap.Battery.OK || snap.Charge.Asked() || w.reads[0] != vehicle.PathsOf(vehicle.PathBattery) {
		t.Errorf("%+v", snap)
	}
	if snap = must[vehicle.Snapshot](t)(c.ReadVehicle(ctx, carA, 0)); !snap.Charge.OK || snap.Charge.Value.Plug != vehicle.PluggedIn {
		t.Errorf("all paths: %+v", snap)
	}
	if got := must[adminapi.Connected](t)(c.ConnectVehicles(ctx, "sim", "")); len(got.Vehicles) != 2 {
		t.Errorf("connected %+v", got)
	}
	_, err := c.ConnectVehicles(ctx, "moon", "refresh-secret")
	refused(t, err, adminapi.CodeInvalid, "sim")
	if strings.Contains(err.Error(), "refresh-secret") {
		t.Errorf("%v shows the token", err)
	}
	_, err = c.ConnectVehicles(ctx, "", "")
	refused(t, err, adminapi.CodeInvalid, "source")
	_, err = c.Vehicle(ctx, noID)
	refused(t, err, adminapi.CodeNotFound, "vehicle list")
	if got := must[adminapi.Cancelled](t)(c.DisconnectVehicle(ctx, carB)); got.Cancelled != 3 || !slices.Equal(w.disconnected, []uuid.UUID{carB}) {
		t.Errorf("disconnected %+v", got)
	}
}
