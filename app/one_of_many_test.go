package app

import (
	"context"
	"net/url"
	"slices"
	"testing"

	"github.com/google/uuid"

	"plugbeat/health"
	"plugbeat/vehicle"
)

// account is a source of one account with vehicles.
type account struct {
	vehicles  []vehicle.Vehicle
	ended     []string // connections that access was ended of
	forgotten []string
}

func (a *account) Read(_ context.Context, _ vehicle.Ref, paths vehicle.Paths) (s vehicle.Snapshot, err error) {
	return s, vehicle.NoResponse("not in this test")
}
func (a *account) AuthorizeURL(string, string, url.Values) string { return "" }
func (a *account) ConnectCode(context.Context, string, string) ([]vehicle.Vehicle, error) {
	return slices.Clone(a.vehicles), nil
}
func (a *account) Connect(context.Context, string) ([]vehicle.Vehicle, error) {
	return slices.Clone(a.vehicles), nil
}
func (a *account) Disconnect(_ context.Context, v vehicle.Vehicle) error {
	a.ended = append(a.ended, v.Connections()...)
	return nil
}
func (a *account) Forget(_ context.Context, connection string) error {
	a.forgotten = append(a.forgotten, connection)
	return nil
}

// TestOneOfManyIsConnected: a vehicle that its source could not describe is connected and in
// trouble, keeping what was known of it; one that another source has stays there; the
// others are connected.
func TestOneOfManyIsConnected(t *testing.T) {
	src := &account{}
	d := start(t, configured(t, shortDir(t), simulatorSource), as("vendor", src))
	theirs := d.ids()[0]
	good, bad := uuid.New(), uuid.New()
	src.vehicles = []vehicle.Vehicle{
		{ID: theirs, Connection: "owner", Make: "TESLA"}, {ID: good, Connection: "owner", Make: "KIA"}, {ID: bad, Connection: "owner", Make: "VOLVO", Permissions: []string{"read_charge"}},
	}
	connect := func() {
		t.Helper()
		if vs, err := d.fleet.Connect(t.Context(), "vendor", "token"); err != nil || len(vs) != 2 {
			t.Fatalf("%+v %v", vs, err)
		}
	}
	connect()
	src.vehicles[2] = vehicle.Vehicle{ID: bad, Connection: "owner", Trouble: &vehicle.Fault{Type: vehicle.TypeAccount, Code: "NO_VEHICLES", Status: 400, Description: "The account is empty."}}
	connect()
	for id, want := range map[uuid.UUID]string{theirs: "sim", good: "vendor", bad: "vendor"} {
		v, err := d.store.Vehicles.Vehicle(t.Context(), id)
		must(t, err)
		if v.Source != want {
			t.Errorf("vehicle %s is read through %s, want %s", id, v.Source, want)
		}
		if id == bad && (v.Make != "VOLVO" || len(v.Permissions) != 1) {
			t.Errorf("what was known is lost: %+v", v)
		}
	}
	var named []string
	for _, c := range d.health.Health(t.Context()).Conditions {
		if c.Code == health.VehicleOwner {
			named = append(named, c.Subject.ID)
		}
	}
	if !slices.Equal(named, []string{bad.String()}) {
		t.Errorf("in trouble: %v, want %s", named, bad)
	}
}

// TestTwoAccountsOfOneVehicle: the account that listed it first is kept beside the newer one,
// once, and disconnecting ends both, but for tokens that another vehicle needs.
func TestTwoAccountsOfOneVehicle(t *testing.T) {
	src := &account{}
	d := start(t, configured(t, shortDir(t), simulatorSource), as("vendor", src))
	shared, alone := uuid.New(), uuid.New()
	connect := func(connection string, ids ...uuid.UUID) {
		t.Helper()
		src.vehicles = nil
		for _, id := range ids {
			src.vehicles = append(src.vehicles, vehicle.Vehicle{ID: id, Connection: connection})
		}
		_, err := d.fleet.Connect(t.Context(), "vendor", "token")
		must(t, err)
	}
	connect("first", shared, alone)
	connect("second", shared)
	connect("second", shared)
	connect("third", shared)
	v, err := d.store.Vehicles.Vehicle(t.Context(), shared)
	must(t, err)
	if got := v.Connections(); !slices.Equal(got, []string{"third", "second", "first"}) {
		t.Errorf("reached through %v", got)
	}
	_, err = d.fleet.Disconnect(t.Context(), shared)
	must(t, err)
	if !slices.Equal(src.ended, []string{"third", "second", "first"}) || !slices.Equal(src.forgotten, []string{"third", "second"}) {
		t.Errorf("ended %v, forgotten %v", src.ended, src.forgotten)
	}
	_, err = d.fleet.Disconnect(t.Context(), alone)
	must(t, err)
	if !slices.Contains(src.forgotten, "first") {
		t.Errorf("forgotten %v", src.forgotten)
	}
}
