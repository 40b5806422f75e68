package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const kept = 400 * 24 * time.Hour

// recorded is a store that keeps history, with its places where wanted, and a vehicle.
func recorded(t *testing.T, places bool) (*fixture, uuid.UUID) {
	f := open(t, func(o *Options) { o.History, o.Places = kept, places })
	must(t, f.PutVehicle(ctx, newVehicle(1)))
	return f, vid(1)
}

// read commits a reading of the vehicle that was observed now.
func (f *fixture) read(id uuid.UUID, level float64, plug vehicle.Plug) {
	f.t.Helper()
	_, err := f.CompleteRead(ctx, id, func(v webhook.VehicleView) (webhook.Decision, error) {
		st := v.Status
		st.Last = vehicle.Snapshot{
			Charge:   vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{Plug: plug}, FetchedAt: f.now},
			Battery:  vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: level}, FetchedAt: f.now},
			Location: vehicle.Reading[vehicle.Location]{OK: true, Value: vehicle.Location{Latitude: -33.8567844, Longitude: 151.2152967}, FetchedAt: f.now},
		}
		st.State = vehicle.StateOf(st.Last.Charge)
		return webhook.Decision{Status: st}, nil
	})
	must(f.t, err)
}

func (f *fixture) history(id uuid.UUID) []vehicle.Point {
	f.t.Helper()
	ps, err := f.History(ctx, id, time.Time{}, time.Time{}, 1000)
	must(f.t, err)
	return ps
}

// A read's transaction keeps its readings in short form: one row a change, and at most one every five
// minutes without. What is kept is read again as it was, after a restart as well.
func TestHistoryIsKept(t *testing.T) {
	f, id := recorded(t, true)
	for range 11 {
		f.read(id, 0.5, vehicle.Unplugged)
		f.now = f.now.Add(time.Minute)
	}
	f.read(id, 0.5, vehicle.PluggedIn)
	f.now = f.now.Add(time.Second)
	f.read(id, 0.501, vehicle.PluggedIn)
	f.reopen()
	var got []time.Duration
	ps := f.history(id)
	for _, p := range ps {
		got = append(got, p.At.Sub(t0))
	}
	if d := cmp.Diff([]time.Duration{0, 5 * time.Minute, 10 * time.Minute, 11 * time.Minute, 11*time.Minute + time.Second}, got); d != "" {
		t.Fatal(d)
	}
	level := 0.501
	want := vehicle.Point{At: f.now, Level: &level, Plug: vehicle.StatePluggedIn, Location: &vehicle.Location{Latitude: -33.8567844, Longitude: 151.2152967}}
	if d := cmp.Diff(want, ps[4]); d != "" {
		t.Error(d)
	}
	if ps, err := f.History(ctx, id, t0.Add(5*time.Minute), t0.Add(11*time.Minute), 9); err != nil || len(ps) != 2 || !ps[0].At.Equal(t0.Add(5*time.Minute)) {
		t.Errorf("a part: %+v, %v", ps, err)
	}
	f.sound()
	f.o.Places = false
	f.reopen()
	if f.history(id)[0].Location != nil {
		t.Error("a place is shown that is not to be kept")
	}
}

// A clock that was far ahead does not keep later readings out, and its rows go once it is believed.
func TestHistoryOfAWrongClock(t *testing.T) {
	f, id := recorded(t, false)
	f.now = t0.AddDate(20, 0, 0)
	f.read(id, 0.4, vehicle.Unplugged)
	f.now = t0
	f.read(id, 0.5, vehicle.Unplugged)
	if ps := f.history(id); len(ps) != 2 || *ps[0].Level != 0.5 {
		t.Fatalf("%+v", ps)
	}
	if res, err := f.Sweep(ctx, time.Time{}, kept, kept); err != nil || res.Points != 0 {
		t.Errorf("a clock that is not believed: %+v, %v", res, err)
	}
	if res, err := f.Sweep(ctx, t0, kept, kept); err != nil || res.Points != 1 || len(f.history(id)) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// Rows go for their age, of each vehicle, and others stay.
func TestHistoryIsSweptForItsAge(t *testing.T) {
	f, id := recorded(t, false)
	must(t, f.PutVehicle(ctx, newVehicle(2)))
	const rows = 3 * sliceRows
	for i := range rows {
		f.now = t0.Add(time.Duration(i) * time.Hour)
		f.read(id, float64(i%100)/100, vehicle.Unplugged)
	}
	f.read(vid(2), 0.5, vehicle.Unplugged)
	res, err := f.Sweep(ctx, t0.Add(kept+(rows-10)*time.Hour), kept, kept)
	if err != nil || res.Points != rows-10 || len(f.history(id)) != 10 || len(f.history(vid(2))) != 1 {
		t.Errorf("%+v, %v: %d and %d are left", res, err, len(f.history(id)), len(f.history(vid(2))))
	}
	f.sound()
}

// What the owner allows no more is shown no longer, from the read on that says so, and is erased
// by the next sweep; the rest stays.
func TestHistoryKeepsWhatIsAllowed(t *testing.T) {
	f, id := recorded(t, true)
	must(t, f.PutVehicle(ctx, newVehicle(2)))
	f.read(id, 0.5, vehicle.PluggedIn)
	f.read(vid(2), 0.5, vehicle.PluggedIn)
	withdrawn := func(paths vehicle.Paths) {
		_, err := f.CompleteRead(ctx, id, func(v webhook.VehicleView) (webhook.Decision, error) {
			st := v.Status
			st.Last.Fail(paths, &vehicle.Fault{Type: vehicle.TypePermission}, f.now)
			return webhook.Decision{Status: st}, nil
		})
		must(t, err)
	}
	withdrawn(vehicle.PathsOf(vehicle.PathLocation))
	shown := f.history(id)
	if len(shown) != 1 || shown[0].Location != nil || *shown[0].Level != 0.5 || shown[0].Plug != vehicle.StatePluggedIn {
		t.Errorf("shown: %+v", shown)
	}
	if res, err := f.Sweep(ctx, f.now, kept, kept); err != nil || res.Points != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	for k, v := range copyRows(t, f, bucketHistory) {
		if p, err := decodePoint([]byte(k), []byte(v)); err != nil || (p.Location != nil) != (uuid.UUID([]byte(k[:idLen])) == vid(2)) {
			t.Errorf("on disk: %+v, %v", p, err)
		}
	}
	withdrawn(vehicle.AllPaths)
	if shown := f.history(id); len(shown) != 0 {
		t.Errorf("shown: %+v", shown)
	}
	if res, err := f.Sweep(ctx, f.now, kept, kept); err != nil || res.Points != 1 || len(copyRows(t, f, bucketHistory)) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	f.sound()
}

// A row that nobody can read keeps no reading back.
func TestReadBesideABadRow(t *testing.T) {
	f, id := recorded(t, false)
	f.read(id, 0.5, vehicle.Unplugged)
	for k := range copyRows(t, f, bucketHistory) {
		set(t, f, bucketHistory, k, []byte{9})
	}
	f.now = f.now.Add(time.Hour)
	f.read(id, 0.6, vehicle.Unplugged)
}

// A vehicle that is disconnected has no history from the first transaction on; all of it is erased,
// also when that was interrupted, and one that comes back begins anew.
func TestHistoryGoesWithItsVehicle(t *testing.T) {
	var f *fixture
	var id uuid.UUID
	cut := false
	f, id = recorded(t, false)
	for i := range 2 * sliceRows {
		f.now = t0.Add(time.Duration(i) * time.Hour)
		f.read(id, float64(i%100)/100, vehicle.Unplugged)
	}
	f.o.commit = func(tx *bolt.Tx) error {
		if left := tx.Bucket([]byte(bucketHistory)).Stats().KeyN; left > 0 && left < 2*sliceRows && !cut {
			cut = true
			return errors.New("the disk is gone")
		}
		return tx.Commit()
	}
	f.reopen()
	if _, err := f.RemoveVehicle(ctx, id); err == nil || !cut {
		t.Fatalf("the removal was not cut off: %v", err)
	}
	_ = f.Close()
	f.open() // ends the removal
	if ps, err := f.History(ctx, id, time.Time{}, time.Time{}, 9); !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("%d rows, %v", len(ps), err)
	}
	must(t, f.PutVehicle(ctx, newVehicle(1)))
	if ps := f.history(id); len(ps) > 0 {
		t.Errorf("%d rows came back", len(ps))
	}
	f.sound()
}

// While a vehicle is being removed its rows are there and cannot be read.
func TestHistoryIsUnreadableAtOnce(t *testing.T) {
	f, id := recorded(t, false)
	f.read(id, 0.5, vehicle.Unplugged)
	must(t, f.update(ctx, func(t *writeTx) error {
		rec, err := t.vehicleRecord(id)
		if err != nil {
			return err
		}
		rec.Removing = true
		return t.putRecord(bucketVehicles, id[:], rec)
	}))
	if ps, err := f.History(ctx, id, time.Time{}, time.Time{}, 9); !errors.Is(err, webhook.ErrNotFound) || len(ps) > 0 {
		t.Errorf("%d rows, %v", len(ps), err)
	}
}

// A file of this schema from before history gets its bucket when it is opened, and is sound before.
func TestFileWithoutHistory(t *testing.T) {
	f, id := recorded(t, false)
	must(t, f.Close())
	db, err := bolt.Open(f.o.Path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte(bucketHistory)) }))
	must(t, db.Close())
	if problems, err := CheckFile(f.o.Path); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if _, err := Inspect(f.o.Path, f.o.Key); err != nil {
		t.Error(err)
	}
	f.open()
	f.read(id, 0.5, vehicle.Unplugged)
	if len(f.history(id)) != 1 {
		t.Error("nothing is kept")
	}
	f.sound()
}

// Rows that the size takes go before any waiting delivery.
func TestHistoryGoesBeforeWhatWaits(t *testing.T) {
	f := open(t, func(o *Options) { o.History, o.MaxSize = kept, 1 })
	f.fleet(1, 2)
	f.read(vid(1), 0.5, vehicle.Unplugged)
	f.now = f.now.Add(time.Hour)
	f.read(vid(2), 0.5, vehicle.Unplugged)
	f.produce(1)
	var res SweepResult
	if more, err := f.dropHistory(ctx, &res); err != nil || !more || res.Points != 1 || len(f.history(vid(1))) != 0 || len(f.history(vid(2))) != 1 {
		t.Errorf("%t %v %+v", more, err, res)
	}
	if res, err := f.Sweep(ctx, time.Time{}, kept, kept); err != nil || res.Points != 1 || len(res.Expired) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	f.sound()
}

// Check finds rows that are no points, and those of no vehicle.
func TestCheckOfHistory(t *testing.T) {
	f, id := recorded(t, true)
	f.read(id, 0.5, vehicle.Unplugged)
	good, value := "", ""
	for k, v := range copyRows(t, f, bucketHistory) {
		good, value = k, v
	}
	nobody := vid(9)
	for k, v := range map[string]string{good: value[:len(value)-1], good[:20]: value, string(nobody[:]) + good[idLen:]: value, good + "x": value,
		good[:idLen] + "\xff" + good[idLen+1:]: value, good[:idLen+7] + "\x00": "\x01\x03", good[:idLen+7] + "\x01": "\x02\x00", good[:idLen+7] + "\x02": "\x01\x80"} {
		set(t, f, bucketHistory, k, []byte(v))
		wantProblem(t, f, bucketHistory)
		set(t, f, bucketHistory, k, nil)
	}
	set(t, f, bucketHistory, good, []byte(value))
	f.sound()
}
