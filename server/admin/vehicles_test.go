package admin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
)

func TestAdminVehicles(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	w.SetStatus(servertest.VehicleA, vehicle.Status{State: vehicle.StatePluggedIn})
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	p := servertest.Must[adminapi.Page[adminapi.VehicleView]](t)(c.Vehicles(ctx, "", 1))
	if len(p.Items) != 1 || p.Next == "" || p.Items[0].Status.State != vehicle.StatePluggedIn {
		t.Fatalf("%+v", p)
	}
	if p = servertest.Must[adminapi.Page[adminapi.VehicleView]](t)(c.Vehicles(ctx, p.Next, 1)); len(p.Items) != 1 || p.Next != "" || p.Items[0].Vehicle.ID != servertest.VehicleB {
		t.Fatalf("%+v", p)
	}
	snap := servertest.Must[vehicle.Snapshot](t)(c.ReadVehicle(ctx, servertest.VehicleA, vehicle.PathsOf(vehicle.PathBattery)))
	if !snap.Battery.OK || snap.Charge.Asked() || w.Reads[0] != vehicle.PathsOf(vehicle.PathBattery) {
		t.Errorf("%+v", snap)
	}
	servertest.Must[vehicle.Snapshot](t)(c.ReadVehicleRegardless(ctx, servertest.VehicleA, 0))
	if snap = servertest.Must[vehicle.Snapshot](t)(c.ReadVehicle(ctx, servertest.VehicleA, 0)); !snap.Charge.OK || snap.Charge.Value.Plug != vehicle.PluggedIn {
		t.Errorf("all paths: %+v", snap)
	}
	if got := servertest.Must[adminapi.Connected](t)(c.ConnectVehicles(ctx, "sim", "")); len(got.Vehicles) != 2 {
		t.Errorf("connected %+v", got)
	}
	_, err := c.ConnectVehicles(ctx, "moon", "refresh-secret")
	servertest.Refused(t, err, adminapi.CodeInvalid, "sim")
	if strings.Contains(err.Error(), "refresh-secret") {
		t.Errorf("%v shows the token", err)
	}
	_, err = c.ConnectVehicles(ctx, "", "")
	servertest.Refused(t, err, adminapi.CodeInvalid, "source")
	_, err = c.Vehicle(ctx, servertest.NoID)
	servertest.Refused(t, err, adminapi.CodeNotFound, "vehicle list")
	if got := servertest.Must[adminapi.Cancelled](t)(c.DisconnectVehicle(ctx, servertest.VehicleB)); got.Cancelled != 3 || !slices.Equal(w.Disconnected, []uuid.UUID{servertest.VehicleB}) {
		t.Errorf("disconnected %+v", got)
	}
}
