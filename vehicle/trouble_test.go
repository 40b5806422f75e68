package vehicle_test

import (
	"testing"
	"time"

	"plugbeat/vehicle"
)

// TestTroubleOfAnyPath: a fault of whichever path is read is the vehicle's trouble; one that
// concerns a path alone is not while another path has values, for ever or ever again.
func TestTroubleOfAnyPath(t *testing.T) {
	const none, unread, owner = vehicle.NoTrouble, vehicle.Unread, vehicle.NeedsOwner
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	lost := &vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Resolution: vehicle.ResolveReauthenticate}
	denied := &vehicle.Fault{Type: vehicle.TypePermission, Resolution: vehicle.ResolveReauthenticate}
	unable := &vehicle.Fault{Type: vehicle.TypeCompatibility, Code: "PLATFORM_NOT_CAPABLE", Resolution: vehicle.ResolveContactSupport}
	silent := &vehicle.Fault{Type: vehicle.TypeUpstream, Code: "NO_RESPONSE", Network: true}
	asleep := &vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP"}
	type r struct {
		fault *vehicle.Fault // nil for a value
		ago   time.Duration
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		name                      string
		charge, battery, location *r
		restricted                bool
		want                      vehicle.Trouble
	}{
		{name: "never read", want: none},
		{name: "well", charge: &r{}, battery: &r{}, want: none},
		{name: "battery alone is read, the grant is gone", battery: &r{fault: lost}, want: owner},
		{name: "location alone is read, the permission is gone", location: &r{fault: denied}, want: owner},
		{name: "battery alone is read, no answer", battery: &r{fault: silent}, want: unread},
		{name: "battery is read, the rest was read when it was connected", charge: &r{ago: day + time.Hour}, battery: &r{fault: denied}, want: owner},
		{name: "the account, whatever else was read lately", charge: &r{ago: time.Hour}, battery: &r{fault: lost}, want: owner},
		{name: "one permission of charge is missing", charge: &r{fault: denied}, battery: &r{}, restricted: true, want: none},
		{name: "the permission of charge, read in between of battery", charge: &r{fault: denied}, battery: &r{ago: 3 * time.Hour}, restricted: true, want: none},
		{name: "all permissions are missing", charge: &r{fault: denied}, battery: &r{fault: denied}, restricted: true, want: owner},
		{name: "a path the model does not have", charge: &r{}, location: &r{fault: unable}, want: none},
		{name: "a model that has nothing", charge: &r{fault: unable}, location: &r{fault: unable}, want: owner},
		{name: "it sleeps", charge: &r{fault: asleep}, battery: &r{fault: asleep}, want: none},
		{name: "one path does not come", charge: &r{}, location: &r{fault: silent}, want: unread},
		{name: "a path that nobody reads any more", charge: &r{}, location: &r{fault: silent, ago: 2 * day}, want: none},
		{name: "the account refused, and nothing was ever read", restricted: true, want: owner},
		{name: "the account refused, and then there was no network", charge: &r{fault: silent}, restricted: true, want: owner},
	} {
		st := vehicle.Status{Restricted: c.restricted}
		for p, reading := range map[vehicle.Path]*r{vehicle.PathCharge: c.charge, vehicle.PathBattery: c.battery, vehicle.PathLocation: c.location} {
			if reading == nil {
				continue
			}
			var s vehicle.Snapshot
			fetched := at.Add(-reading.ago)
			if s.Fail(vehicle.PathsOf(p), reading.fault, fetched); reading.fault == nil {
				s = vehicle.Snapshot{}
				switch p {
				case vehicle.PathCharge:
					s.Charge = vehicle.Reading[vehicle.Charge]{OK: true, FetchedAt: fetched}
				case vehicle.PathBattery:
					s.Battery = vehicle.Reading[vehicle.Battery]{OK: true, FetchedAt: fetched}
				case vehicle.PathLocation:
					s.Location = vehicle.Reading[vehicle.Location]{OK: true, FetchedAt: fetched}
				}
			}
			st.Last = st.Last.Merge(s)
		}
		if got := st.Trouble(); got != c.want {
			t.Errorf("%s: trouble %d, want %d", c.name, got, c.want)
		}
		if f := st.TroubleFault(); (f != nil) != (c.want != none && f != nil) || c.want != none && f == nil && !c.restricted {
			t.Errorf("%s: fault %v", c.name, f)
		}
	}
}
