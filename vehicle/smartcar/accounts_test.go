package smartcar_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
)

// TestSecondAccountWithdraws: a vehicle that two accounts reach is read by the first again,
// in the same read, once the second withdrew; and disconnecting asks for the end of both.
func TestSecondAccountWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		withdrawn, _ := json.Marshal(map[string]any{"access_token": "gone", "refresh_token": "gone", "expires_at": time.Now().Add(time.Hour), "renew_at": time.Now().Add(time.Hour)})
		if err := w.tokens.Save(t.Context(), "second", withdrawn); err != nil {
			t.Fatal(err)
		}
		first := w.vehicles[0].Connection
		w.vehicles[0].Connection, w.vehicles[0].Others = "second", []string{first}
		for _, paths := range []vehicle.Paths{all, charge} {
			if s, f := w.read(t, paths); f != nil || !s.Charge.OK {
				t.Errorf("%v: %v", paths, f)
			}
		}
		if r, err := w.source.ReadDetail(t.Context(), w.vehicles[0].Ref(), vehicle.DetailOdometer); err != nil || len(r.Body) == 0 {
			t.Errorf("odometer: %v", err)
		}
		if err := w.source.Disconnect(t.Context(), w.vehicles[0]); vehicle.AsFault(err).Type != vehicle.TypeAccount {
			t.Errorf("the second account's refusal is not told: %v", err)
		}
		w.vehicles[0].Connection, w.vehicles[0].Others = first, nil
		if _, f := w.read(t, all); f == nil || f.Type != vehicle.TypePermission {
			t.Errorf("the first account still reaches it: %v", f)
		}

		// Where none reaches it, the fault is the account's that read it last.
		w.vehicles[0].Connection, w.vehicles[0].Others = "second", []string{first}
		if _, f := w.read(t, all); f == nil || f.Type != vehicle.TypeAccount {
			t.Errorf("%v", f)
		}
	})
}
