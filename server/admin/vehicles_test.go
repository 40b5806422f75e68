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
	snap := servertest.Must[vehicle.Snapshot](t)(c.ReadVehicle(ctx, servertest.VehicleA.String(), vehicle.PathsOf(vehicle.PathBattery)))
	if !snap.Battery.OK || snap.Charge.Asked() || w.Reads[0] != vehicle.PathsOf(vehicle.PathBattery) {
		t.Errorf("%+v", snap)
	}
	servertest.Must[vehicle.Snapshot](t)(c.ReadVehicleRegardless(ctx, servertest.VehicleA.String(), 0))
	if snap = servertest.Must[vehicle.Snapshot](t)(c.ReadVehicle(ctx, servertest.VehicleA.String(), 0)); !snap.Charge.OK || snap.Charge.Value.Plug != vehicle.PluggedIn {
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
	_, err = c.Vehicle(ctx, servertest.NoID.String())
	servertest.Refused(t, err, adminapi.CodeNotFound, "vehicle list")
	if got := servertest.Must[adminapi.Cancelled](t)(c.DisconnectVehicle(ctx, servertest.VehicleB.String())); got.Cancelled != 3 || !slices.Equal(w.Disconnected, []uuid.UUID{servertest.VehicleB}) {
		t.Errorf("disconnected %+v", got)
	}
}

// A vehicle goes by its name, its id and any beginning of it that no other id has. What several
// have is refused with their ids, and nothing is done.
func TestVehiclesByName(t *testing.T) {
	third := vehicle.Vehicle{ID: uuid.MustParse("ab000000-0000-4000-8000-00000000000c"), Source: "sim", Native: "c"}
	ctx, w := t.Context(), servertest.NewWorld(t)
	w.AddVehicles(third)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	a, b := servertest.VehicleA.String(), servertest.VehicleB.String()
	rename := servertest.Must[vehicle.Vehicle](t)
	rename(c.RenameVehicle(ctx, a, "the blue one"))
	rename(c.RenameVehicle(ctx, b, "EV6"))
	for ref, want := range map[string]string{"the blue one": a, a: a, "EV6": b, b: b, "AB0": third.ID.String()} {
		if v := servertest.Must[adminapi.VehicleView](t)(c.Vehicle(ctx, ref)); v.Vehicle.ID.String() != want {
			t.Errorf("%q is %s", ref, v.Vehicle.ID)
		}
	}
	_, err := c.DisconnectVehicle(ctx, "0000")
	servertest.Refused(t, err, adminapi.CodeConflict, a, b, "plugbeat vehicle rename")
	rename(c.RenameVehicle(ctx, b, "the blue one"))
	_, err = c.DisconnectVehicle(ctx, "the blue one")
	servertest.Refused(t, err, adminapi.CodeConflict, a, b, "2 vehicles are named")
	before := len(w.Subscribed())
	_, err = c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", Vehicles: []string{a, "the blue one"}})
	servertest.Refused(t, err, adminapi.CodeConflict, b)
	_, err = c.Vehicle(ctx, "the green one")
	servertest.Refused(t, err, adminapi.CodeNotFound, "vehicle list")
	if len(w.Disconnected) > 0 || len(w.Subscribed()) != before {
		t.Errorf("disconnected %v, subscribed %v", w.Disconnected, w.Subscribed())
	}
	if v := rename(c.RenameVehicle(ctx, "ab", "red")); v.ID != third.ID || v.Name != "red" {
		t.Errorf("renamed %+v", v)
	}
	if v := servertest.Must[adminapi.TokenAdded](t)(c.AddToken(ctx, adminapi.NewToken{Name: "for-red", Vehicles: []string{"red", "ab"}})); len(v.Vehicles) != 1 {
		t.Errorf("the token reaches %v", v.Vehicles)
	}
}
