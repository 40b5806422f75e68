package smartcar_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
)

// bearer is the access token of a request.
func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// TestSavedBeforeUsed: no request ever carries an access token that was not
// saved before, over many renewals.
func TestSavedBeforeUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{AccessLife: 10 * time.Minute})
		saved := map[string]bool{}
		var mu sync.Mutex
		note := func(_ string, b []byte) {
			var p struct {
				Access string `json:"access_token"`
			}
			_ = json.Unmarshal(b, &p)
			mu.Lock()
			defer mu.Unlock()
			saved[p.Access] = true
		}
		w.tokens.mu.Lock()
		for _, kept := range w.tokens.kept {
			note("", []byte(kept))
		}
		w.tokens.onSave = note
		w.tokens.mu.Unlock()
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if strings.HasPrefix(r.URL.Path, "/v2.0") && !saved[bearer(r)] {
				t.Errorf("%s %s with an access token that was not saved", r.Method, r.URL.Path)
			}
			return nil, nil
		})
		for range 20 {
			if _, f := w.read(t, all); f != nil {
				t.Fatal(f)
			}
			time.Sleep(7 * time.Minute)
		}
		if len(saved) < 10 {
			t.Errorf("%d pairs saved in 140 minutes of 10-minute tokens", len(saved))
		}
		if n := w.server.Requests()["POST /v2.0/vehicles/{id}/batch"]; n != 20 {
			t.Errorf("%d batches for 20 reads: a token was renewed too late", n)
		}
	})
}

// TestSaveFails: a pair that cannot be saved is not used, is not lost either, and
// its refresh token is not spent a second time. Where it is known before that nothing
// can be saved, the token is not spent at all.
func TestSaveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{Grace: -1})
		full := errors.New("disk /secret/place is full")
		var before string
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/v2.0") {
				before = bearer(r)
			}
			return nil, nil
		})
		if _, f := w.read(t, all); f != nil {
			t.Fatal(f)
		}
		w.server.ExpireAccess()
		w.tokens.fail(full)
		if _, f := w.read(t, all); f == nil || f.Type != vehicle.TypeServer || w.server.Requests()["POST /oauth/token"] != 1 {
			t.Fatalf("fault %v, %d exchanges: with a full disk the token must not be spent", f, w.server.Requests()["POST /oauth/token"])
		}
		w.tokens.fail(nil)
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/v2.0") {
				before = bearer(r)
			} else {
				w.tokens.fail(full)
			}
			return nil, nil
		})
		reads := w.reads()
		for range 3 {
			used := before
			_, f := w.read(t, all)
			if f == nil || f.Type != vehicle.TypeServer || !f.Temporary() {
				t.Fatalf("fault %v, want a temporary SERVER", f)
			}
			if strings.Contains(f.Description, "secret") {
				t.Errorf("the fault tells the cause: %q", f.Description)
			}
			if before != used {
				t.Fatal("an access token was used that was not saved")
			}
		}
		if w.reads() != reads {
			t.Errorf("%d path reads were made", w.reads()-reads)
		}
		exchanges := w.server.Requests()["POST /oauth/token"]
		w.tokens.fail(nil)
		if _, f := w.read(t, all); f != nil {
			t.Fatalf("after the store is back: %v", f)
		}
		if n := w.server.Requests()["POST /oauth/token"]; n != exchanges {
			t.Errorf("the pair in hand was exchanged again")
		}
	})
}

// TestRestart: a new source goes on with what was saved, also just after a
// renewal.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{Grace: -1})
		for range 5 {
			w.server.ExpireAccess()
			if _, f := w.read(t, all); f != nil {
				t.Fatal(f)
			}
			w.source = open(t, smartcar.Options{Tokens: w.tokens, HTTPClient: &http.Client{Transport: w.seen}})
			if _, f := w.read(t, all); f != nil {
				t.Fatal(f)
			}
			time.Sleep(61 * time.Minute)
		}
	})
}

// TestLostAnswer: an exchange that was carried out and whose answer was lost is
// made again at once, with the old token while it still works.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		w.server.ExpireAccess()
		w.server.LoseTokenAnswers(1)
		before := w.server.Requests()["POST /oauth/token"]
		if _, f := w.read(t, all); f != nil {
			t.Fatal(f)
		}
		if n := w.server.Requests()["POST /oauth/token"] - before; n != 2 {
			t.Errorf("%d exchanges, want 2", n)
		}

		w.server.ExpireAccess()
		w.server.LoseTokenAnswers(2)
		_, f := w.read(t, all)
		if f == nil || !f.Network || !f.Temporary() {
			t.Fatalf("both answers lost: %v, want a network fault", f)
		}
		if _, f := w.read(t, all); f != nil {
			t.Fatalf("within the grace time of the old token: %v", f)
		}
		for _, status := range []int{500, 502, 200} {
			w.server.ExpireAccess()
			w.server.FailToken(status, "")
			if _, f := w.read(t, all); f != nil {
				t.Errorf("a page with status %d instead of tokens: %v", status, f)
			}
		}
	})
}

// TestInvalidGrant: lost consent is the account's fault with the way back.
func TestInvalidGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		w.server.RevokeAll()
		_, f := w.read(t, all)
		if f == nil || f.Type != vehicle.TypeAccount || f.Code != "AUTHENTICATION_FAILED" || f.Status != 400 || f.Resolution != vehicle.ResolveReauthenticate {
			t.Fatalf("fault %+v", f)
		}
		want := "https://connect.smartcar.com/oauth/reauthenticate?client_id=simulator&response_type=vehicle_id&vehicle_id=" + w.vehicles[0].Native
		if f.ResolutionURL != want {
			t.Errorf("resolution URL %q, want %q", f.ResolutionURL, want)
		}
		if f.Temporary() || !f.Restricts() {
			t.Error("lost consent is not temporary and slows the cadence")
		}
		w.connect(t)
		if _, f := w.read(t, all); f != nil {
			t.Errorf("after connecting again: %v", f)
		}
	})
}

// TestClientRefused: wrong credentials of the application are no account's fault.
func TestClientRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		w.server.ExpireAccess()
		w.server.FailToken(401, "invalid_client")
		if _, f := w.read(t, all); f == nil || f.Type != vehicle.TypeAuthentication || f.Temporary() {
			t.Errorf("fault %v, want AUTHENTICATION", f)
		}
		w.server.FailToken(429, "slow_down")
		if _, f := w.read(t, all); f == nil || f.Type != vehicle.TypeRateLimit {
			t.Errorf("fault %v, want RATE_LIMIT", f)
		}
	})
}

// TestRenewalAheadFails: while the access token is still good a renewal that
// fails ahead of its end harms nothing and is not tried at each read.
func TestRenewalAheadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		time.Sleep(116 * time.Minute)
		down := errors.New("connection refused")
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/oauth/token" {
				return nil, down
			}
			return nil, nil
		})
		for range 5 {
			if _, f := w.read(t, all); f != nil {
				t.Fatal(f)
			}
		}
		w.seen.set(nil)
		before := w.server.Requests()["POST /oauth/token"]
		if _, f := w.read(t, all); f != nil || w.server.Requests()["POST /oauth/token"] != before {
			t.Errorf("fault %v; the next renewal comes after 30 s", f)
		}
		time.Sleep(31 * time.Second)
		if _, f := w.read(t, all); f != nil || w.server.Requests()["POST /oauth/token"] != before+1 {
			t.Errorf("fault %v; the renewal was not made", f)
		}
	})
}

// TestUnauthorized: a refused access token is renewed once and the read made once
// more; the path reads are counted once. A second refusal is the fault.
func TestUnauthorized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, paths := range []vehicle.Paths{all, charge} {
			w := newWorld(t, 1, simulator.ServerOptions{})
			w.server.ExpireAccess()
			before := w.reads()
			if _, f := w.read(t, paths); f != nil {
				t.Fatal(f)
			}
			if n := w.reads() - before; n != uint64(paths.Len()) {
				t.Errorf("%d path reads, want %d", n, paths.Len())
			}
			exchanges := w.server.Requests()["POST /oauth/token"]
			requests := 0
			w.seen.set(func(r *http.Request) (*http.Response, error) {
				if strings.HasPrefix(r.URL.Path, "/v2.0") {
					requests++
					w.server.ExpireAccess()
				}
				return nil, nil
			})
			_, f := w.read(t, paths)
			if f == nil || f.Type != vehicle.TypeAuthentication || f.Status != 401 {
				t.Errorf("fault %v, want AUTHENTICATION", f)
			}
			if requests != 2 || w.server.Requests()["POST /oauth/token"] != exchanges+1 {
				t.Errorf("%d requests and %d exchanges, want 2 and 1", requests, w.server.Requests()["POST /oauth/token"]-exchanges)
			}
		}
	})
}

// TestOneExchange: many readers with one refused token make one exchange.
func TestOneExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{Grace: -1})
		w.server.ExpireAccess()
		before := w.server.Requests()["POST /oauth/token"]
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := w.source.Read(t.Context(), w.vehicles[0].Ref(), all); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := w.server.Requests()["POST /oauth/token"] - before; n != 1 {
			t.Errorf("%d exchanges, want 1", n)
		}
	})
}

// TestReaderLeaves: a reader whose context ends during an exchange leaves at
// once; the exchange goes on, its pair is saved, and Close waits for it.
func TestReaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{Grace: -1})
		w.server.ExpireAccess()
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/oauth/token" {
				time.Sleep(20 * time.Second)
			}
			return nil, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := w.source.Read(ctx, w.vehicles[0].Ref(), all)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		saves := w.tokens.count()
		w.source.Close()
		if w.tokens.count() != saves+1 {
			t.Error("Close did not wait for the pair to be saved")
		}
		if _, err := w.source.Read(t.Context(), w.vehicles[0].Ref(), all); err == nil {
			// The pair in memory is still good; only exchanges are refused.
			w.server.ExpireAccess()
			if _, err = w.source.Read(t.Context(), w.vehicles[0].Ref(), all); err == nil {
				t.Error("a closed source exchanged tokens")
			}
		}
	})
}

// TestConnectAgain: when the process ends between the exchange and the user's
// id, connecting again with the same token goes on from what was saved.
func TestConnectAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, simulator.ServerOptions{Grace: -1})
		token := w.server.RefreshToken()
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/v2.0/user" {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, nil
		})
		if _, err := w.source.Connect(t.Context(), token); err == nil {
			t.Fatal("connected without a user")
		}
		w.seen.set(nil)
		again := open(t, smartcar.Options{Tokens: w.tokens, HTTPClient: &http.Client{Transport: w.seen}})
		vehicles, err := again.Connect(t.Context(), token)
		if err != nil || len(vehicles) != 3 {
			t.Fatalf("%d vehicles, %v", len(vehicles), err)
		}
		if kept := w.tokens.accounts(); len(kept) != 1 || kept[0] != vehicles[0].Connection {
			t.Errorf("tokens are kept under %v, want %s alone", kept, vehicles[0].Connection)
		}
		if _, err := again.Connect(t.Context(), " \n"); err == nil {
			t.Error("connected with an empty token")
		}
		if _, err := again.Connect(t.Context(), "made-up"); err == nil || strings.Contains(err.Error(), "made-up") {
			t.Errorf("error %v: want one that does not show the token", err)
		}
	})
}

// TestConnectWhileLimited: a rate limit in the middle of listing an account's vehicles costs
// no connection: connecting again with the same token, or the same code, goes on, also in
// another process.
func TestConnectWhileLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, simulator.ServerOptions{Grace: -1})
		asked := 0
		limit := func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/v2.0/vehicles/") {
				if asked++; asked > 3 {
					return &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"60"}}, Body: io.NopCloser(strings.NewReader("slow down")), Request: r}, nil
				}
			}
			return nil, nil
		}
		token, code := w.server.RefreshToken(), w.server.Code("https://plugbeat.example/oauth/callback")
		for name, connect := range map[string]func(*smartcar.Source) ([]vehicle.Vehicle, error){
			"token": func(s *smartcar.Source) ([]vehicle.Vehicle, error) { return s.Connect(t.Context(), token) },
			"code": func(s *smartcar.Source) ([]vehicle.Vehicle, error) {
				return s.ConnectCode(t.Context(), code, "https://plugbeat.example/oauth/callback")
			},
		} {
			asked = 0
			w.seen.set(limit)
			_, err := connect(w.source)
			var f *vehicle.Fault
			if !errors.As(err, &f) || f.Type != vehicle.TypeRateLimit || f.RetryAfter != time.Minute {
				t.Fatalf("%s: %v", name, err)
			}
			w.seen.set(nil)
			time.Sleep(3 * time.Minute)
			again := open(t, smartcar.Options{Tokens: w.tokens, HTTPClient: &http.Client{Transport: w.seen}})
			user := w.server.User().String()
			vehicles, err := connect(again)
			if err != nil || len(vehicles) != 3 || vehicles[0].Connection != user {
				t.Fatalf("%s: %+v %v", name, vehicles, err)
			}
			if kept := w.tokens.accounts(); len(kept) != 1 || kept[0] != user {
				t.Errorf("%s: tokens are kept under %v", name, kept)
			}
			if _, err := again.Read(t.Context(), vehicles[0].Ref(), all); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestForget: a forgotten connection has no tokens, in memory or saved.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		if err := w.source.Forget(t.Context(), w.vehicles[0].Connection); err != nil {
			t.Fatal(err)
		}
		if kept := w.tokens.accounts(); len(kept) != 0 {
			t.Errorf("still kept: %v", kept)
		}
		if _, f := w.read(t, all); f == nil || f.Code != "AUTHENTICATION_FAILED" {
			t.Errorf("fault %v", f)
		}
	})
}

// TestConnect: vehicles, attributes, permissions, over several pages; disconnect
// ends access.
func TestConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 123, simulator.ServerOptions{})
		if len(w.vehicles) != 123 {
			t.Fatalf("%d vehicles, want 123", len(w.vehicles))
		}
		for i, v := range w.vehicles {
			c := w.fleet.Vehicle(i)
			if v.ID != c.ID || v.Native != c.ID.String() || v.Make != c.Make || v.Model != c.Model || v.Year != c.Year ||
				v.Mode != vehicle.ModeLive || v.Connection != w.server.User().String() || len(v.Permissions) != 6 {
				t.Fatalf("vehicle %d: %+v, want %+v", i, v, c)
			}
		}
		if err := w.source.Disconnect(t.Context(), w.vehicles[5]); err != nil {
			t.Fatal(err)
		}
		if _, err := w.source.Read(t.Context(), w.vehicles[5].Ref(), all); vehicle.AsFault(err).Type != vehicle.TypePermission {
			t.Errorf("reading a disconnected vehicle: %v", err)
		}
		if err := w.source.Disconnect(t.Context(), w.vehicles[5]); vehicle.AsFault(err).Type != vehicle.TypePermission {
			t.Errorf("disconnecting twice: %v", err)
		}
	})
}
