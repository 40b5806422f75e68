package smartcar_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
)

// TestTokensOutliveIdleness: a connection that nobody reads keeps its tokens, over a restart
// and although the vendor is away for a while each month, from the process that connected
// it and from one that started later.
func TestTokensOutliveIdleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		w := newWorld(t, 1, simulator.ServerOptions{})
		time.Sleep(61 * day)
		if _, f := w.read(t, all); f != nil {
			t.Errorf("after 61 days: %v", f)
		}

		w.source.Close()
		w.source = open(t, smartcar.Options{Tokens: w.tokens, HTTPClient: &http.Client{Transport: w.seen}})
		w.source.Resume([]string{w.server.User().String()})
		for _, code := range []string{"temporarily_unavailable", "invalid_client", "invalid_request"} {
			asked := w.tokensAnswer(400, nil, `{"error":"`+code+`"}`)
			time.Sleep(20 * day)
			if asked.Load() == 0 {
				t.Error("nothing was exchanged in 20 days")
			}
			w.seen.set(nil)
			time.Sleep(40 * day)
		}
		if _, f := w.read(t, all); f != nil {
			t.Errorf("after 180 days more: %v", f)
		}
	})
}

// TestForgottenTokensStayForgotten: nothing is exchanged for a connection that ended, and a
// refused one is asked for once.
func TestForgottenTokensStayForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		if err := w.source.Forget(t.Context(), w.vehicles[0].Connection); err != nil {
			t.Fatal(err)
		}
		asked := w.tokensAnswer(400, nil, `{"error":"invalid_grant"}`)
		time.Sleep(60 * 24 * time.Hour)
		if asked.Load() != 0 {
			t.Errorf("%d exchanges for a connection that ended", asked.Load())
		}

		w.seen.set(nil)
		w.connect(t)
		asked = w.tokensAnswer(400, nil, `{"error":"invalid_grant"}`)
		time.Sleep(60 * 24 * time.Hour)
		if asked.Load() != 1 {
			t.Errorf("%d exchanges of a refused token", asked.Load())
		}
		if _, f := w.read(t, all); f == nil || f.Type != vehicle.TypeAccount {
			t.Errorf("%v", f)
		}
	})
}
