package store

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// A record is what its bytes say, however often it was read and whatever stood in
// its place, or beside it in the memo, before.
func TestMemo(t *testing.T) {
	var m memos
	one, other := uuid.UUID{1, 15: 7}, uuid.UUID{2, 15: 7} // the same row
	read := func(id uuid.UUID, text string) vehicleRecord {
		t.Helper()
		var rec vehicleRecord
		if err := m.vehicle(id, []byte(text), &rec); err != nil {
			t.Fatal(err)
		}
		return rec
	}
	for range 2 {
		if got := read(one, `{"make":"KIA","permissions":["a","b"]}`); got.Make != "KIA" || !slices.Equal(got.Permissions, []string{"a", "b"}) || got.Removing {
			t.Errorf("%+v", got)
		} else {
			got.Permissions[0] = "changed by a caller"
		}
	}
	if got := read(one, `{"make":"KIA","permissions":["a","b"],"removing":true}`); !got.Removing {
		t.Errorf("after a change: %+v", got)
	}
	if got := read(one, `{"make":"KIA","permissions":["a","c"],"removing":true}`); got.Permissions[1] != "c" {
		t.Errorf("after a change of the same length: %+v", got)
	}
	if got := read(other, `{"make":"BMW"}`); got.Make != "BMW" || got.Permissions != nil {
		t.Errorf("another vehicle: %+v", got)
	}
	var rec vehicleRecord
	for range 2 {
		if err := m.vehicle(other, []byte(`{"make":`), &rec); err == nil {
			t.Error("half a record was taken")
		}
	}
}

// What the store hands out is the caller's: changing it changes nothing for others.
func TestRecordsAreNotShared(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	v, err := f.Vehicle(ctx, vid(1))
	must(t, err)
	v.Permissions = []string{"read_charge", "read_battery"}
	must(t, f.PutVehicle(ctx, v))
	for range 3 {
		v, err := f.Vehicle(ctx, vid(1))
		must(t, err)
		if v.Permissions[0] != "read_charge" {
			t.Fatalf("permissions %q", v.Permissions)
		}
		v.Permissions[0] = "changed by a caller"
	}
	_, err = f.CompleteRead(ctx, vid(1), func(v webhook.VehicleView) (webhook.Decision, error) {
		v.Status.NotBeforeFault = &vehicle.Fault{Code: "C", Detail: []byte(`["d"]`)}
		km := 300.0
		v.Status.Last.Battery = vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{RangeKm: &km}, FetchedAt: f.now}
		v.Status.Last.Charge.Fault = &vehicle.Fault{Code: "C"}
		return webhook.Decision{Status: v.Status}, nil
	})
	must(t, err)
	for range 3 {
		st, err := f.VehicleStatus(ctx, vid(1))
		must(t, err)
		if st.NotBeforeFault.Code != "C" || string(st.NotBeforeFault.Detail) != `["d"]` || *st.Last.Battery.Value.RangeKm != 300 || st.Last.Charge.Fault.Code != "C" {
			t.Fatalf("%+v", st)
		}
		st.NotBeforeFault.Code, st.NotBeforeFault.Detail[2] = "changed by a caller", 'x'
		*st.Last.Battery.Value.RangeKm, st.Last.Charge.Fault.Code = 0, "changed by a caller"
	}
	first := f.produce(1)[0]
	f.settle(first, "delivered")
	again, err := f.Resend(ctx, first.ID)
	must(t, err)
	for range 3 {
		d, err := f.Delivery(ctx, again.ID)
		must(t, err)
		if *d.ResendOf != first.ID {
			t.Fatalf("resend of %s, want %s", d.ResendOf, first.ID)
		}
		*d.ResendOf = uuid.Nil
	}
}

// What is kept of a delivery as it is written is what its bytes decode to.
func TestWrittenIsWhatIsRead(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	made := f.produce(1)[0]
	f.settle(made, webhook.Delivered)
	again, err := f.Resend(ctx, made.ID)
	must(t, err)
	first := made.ID
	*again.ResendOf = uuid.Nil // a caller's doing
	// Of another zone, and with a monotonic reading: no record has these.
	due := time.Now().In(time.FixedZone("elsewhere", 3600))
	ds, err := f.CompleteRead(ctx, vid(1), func(v webhook.VehicleView) (webhook.Decision, error) {
		return webhook.Decision{Status: v.Status, Schedules: []webhook.ScheduleChange{{Schedule: v.Schedules[0].Schedule, Draft: &webhook.Draft{EventName: "dynamic", Payload: []byte("{}"), Due: due}}}}, nil
	})
	must(t, err)
	made = ds[0]
	if d, err := f.Delivery(ctx, again.ID); err != nil || *d.ResendOf != first {
		t.Errorf("resend of %v, %v; want %s", d.ResendOf, err, first)
	}
	for _, id := range []uuid.UUID{made.ID, again.ID} {
		kept, err := f.Delivery(ctx, id)
		must(t, err)
		f.memos.deliveries.keep(id, nil, deliveryRecord{})
		read, err := f.Delivery(ctx, id)
		must(t, err)
		if !equalDelivery(kept, read) {
			t.Errorf("kept %+v\nread %+v", kept, read)
		}
	}
}

// equalDelivery compares also how times are represented, but what pointers point to.
func equalDelivery(a, b webhook.Delivery) bool {
	if (a.ResendOf == nil) != (b.ResendOf == nil) || a.ResendOf != nil && *a.ResendOf != *b.ResendOf {
		return false
	}
	b.ResendOf, b.ResentAs, b.SupersededBy = a.ResendOf, a.ResentAs, a.SupersededBy
	return a == b
}
