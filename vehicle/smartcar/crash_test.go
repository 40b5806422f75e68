package smartcar_test

import (
	"context"
	"errors"
	"fmt"
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

// point is a place in a refresh at which the process may be killed.
type point string

// The points, in the order in which a refresh passes them. The first save says that
// an exchange begins, the second keeps the new pair.
var points = []point{
	"before the first save", "after the first save", "before the request", "the vendor has done it, the answer is lost",
	"after the answer", "before the second save", "after the second save", "before the token is used",
}

var errKilled = errors.New("the process was killed")

// doomed is a process that dies at a point: from then on it does nothing any more,
// neither to the store nor to the vendor.
type doomed struct {
	*memory
	next http.RoundTripper
	at   point

	mu   sync.Mutex
	dead bool
}

// dies reports whether the process is dead, or dies here.
func (d *doomed) dies(here point) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = d.dead || here == d.at
	return d.dead
}

func (d *doomed) isDead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

func (d *doomed) Load(ctx context.Context, account string) ([]byte, error) {
	if d.isDead() {
		return nil, errKilled
	}
	return d.memory.Load(ctx, account)
}

func (d *doomed) Save(ctx context.Context, account string, b []byte) error {
	before, after := points[0], points[1]
	if !strings.Contains(string(b), "trying_since") {
		before, after = points[5], points[6]
	}
	if d.dies(before) {
		return errKilled
	}
	if err := d.memory.Save(ctx, account, b); err != nil || d.dies(after) {
		return errors.Join(err, errKilled)
	}
	return nil
}

func (d *doomed) RoundTrip(r *http.Request) (*http.Response, error) {
	token := r.URL.Path == "/oauth/token"
	if token && d.dies(points[2]) || !token && d.dies(points[7]) {
		return nil, errKilled
	}
	res, err := d.next.RoundTrip(r)
	if err == nil && token && (d.dies(points[3]) || d.dies(points[4])) {
		_ = res.Body.Close()
		return nil, errKilled
	}
	return res, err
}

// live starts a process over what the ones before it saved.
func (w *world) live(t *testing.T, at point) (*smartcar.Source, *doomed) {
	t.Helper()
	d := &doomed{memory: w.tokens, next: w.seen, at: at}
	s := open(t, smartcar.Options{Tokens: d, HTTPClient: &http.Client{Transport: d}})
	s.Resume([]string{w.server.User().String()})
	synctest.Wait()
	return s, d
}

// TestRotationCrash kills the process at every point of a refresh, and the one that
// follows at every point of its own, with a vendor who takes a used refresh token for a
// minute more and not longer. The process after those always has tokens that work,
// also when nothing is read for hours; only then does the next refresh come.
func TestRotationCrash(t *testing.T) {
	for _, first := range points {
		for _, second := range append([]point{"nowhere"}, points...) {
			t.Run(fmt.Sprintf("%s, then %s", first, second), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, 1, simulator.ServerOptions{Grace: time.Minute})
					time.Sleep(118 * time.Minute) // the access token is about to end
					s, d := w.live(t, first)
					_, err := s.Read(t.Context(), w.vehicles[0].Ref(), all)
					if !d.isDead() {
						t.Fatalf("it was not killed: %v", err)
					}
					s.Close()
					time.Sleep(10 * time.Second) // the supervisor starts it again

					s, _ = w.live(t, second)
					_, _ = s.Read(t.Context(), w.vehicles[0].Ref(), all)
					s.Close()
					time.Sleep(10 * time.Second)

					// Nothing is read for hours: what was begun must be ended all the same.
					s, _ = w.live(t, "nowhere")
					time.Sleep(5 * time.Hour)
					for range 3 {
						if snap, err := s.Read(t.Context(), w.vehicles[0].Ref(), all); err != nil || snap.Charge.Fault != nil {
							t.Fatalf("%v %v", err, snap.Charge.Fault)
						}
						w.server.ExpireAccess()
						time.Sleep(3 * time.Hour)
					}
				})
			})
		}
	}
}

// TestRotationOutage: the vendor carries an exchange out while its answers are lost, for
// longer than two tries take; the token is tried again before its grace is over, though
// nobody reads.
func TestRotationOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{Grace: time.Minute})
		time.Sleep(3 * time.Hour)
		w.server.LoseTokenAnswers(4)
		if _, f := w.read(t, all); f == nil || !f.Network {
			t.Fatalf("fault %v, want a network fault", f)
		}
		time.Sleep(6 * time.Hour)
		if _, f := w.read(t, all); f != nil {
			t.Fatalf("after the outage: %v", f)
		}
		before := w.server.Requests()["POST /oauth/token"]
		time.Sleep(time.Hour)
		if n := w.server.Requests()["POST /oauth/token"]; n != before {
			t.Errorf("%d exchanges more than anybody needed", n-before)
		}
	})
}

// TestChaseEnds: a vendor that does not come back is not asked for ever, and one that
// says no is asked no more.
func TestChaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		w.server.ExpireAccess()
		tried := 0
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/oauth/token" {
				tried++
				return nil, errors.New("no route to host")
			}
			return nil, nil
		})
		if _, f := w.read(t, all); f == nil || !f.Network {
			t.Fatalf("%v", f)
		}
		time.Sleep(12 * time.Minute)
		synctest.Wait()
		n := tried
		if n < 20 || n > 40 {
			t.Errorf("tried %d times in ten minutes", n)
		}
		time.Sleep(24 * time.Hour)
		if tried != n {
			t.Errorf("tried %d times more in a day without readers", tried-n)
		}
		w.seen.set(nil)
		w.server.RevokeAll()
		if _, f := w.read(t, all); f == nil || f.Code != "AUTHENTICATION_FAILED" {
			t.Fatalf("%v", f)
		}
		before := w.server.Requests()["POST /oauth/token"]
		time.Sleep(time.Hour)
		if n := w.server.Requests()["POST /oauth/token"]; n != before {
			t.Errorf("a token that was refused was tried %d times more", n-before)
		}
	})
}

// TestBadTokenLeavesNothing: a refresh token that was never good is not kept.
func TestBadTokenLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		before := strings.Join(w.tokens.accounts(), " ")
		if _, err := w.source.Connect(t.Context(), "never-issued"); err == nil {
			t.Fatal("connected with a made-up token")
		}
		if got := strings.Join(w.tokens.accounts(), " "); got != before {
			t.Errorf("kept %q, want %q", got, before)
		}
	})
}

// TestReconnectURL: tokens that the vendor takes no more come back by giving access
// again, a failed login of the vehicle's account by signing in; each has its own link.
func TestReconnectURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		w.source = open(t, smartcar.Options{Tokens: w.tokens, HTTPClient: &http.Client{Transport: w.seen}, ReconnectURL: "https://plugbeat.example/oauth/authorize?client_id=app"})
		w.server.LockOut()
		if _, f := w.read(t, all); f == nil || !strings.Contains(f.ResolutionURL, "/oauth/reauthenticate?") {
			t.Errorf("a failed login: %+v", f)
		}
		w.server.RevokeAll()
		_, f := w.read(t, all)
		if f == nil || f.Type != vehicle.TypeAccount || f.ResolutionURL != "https://plugbeat.example/oauth/authorize?client_id=app" {
			t.Errorf("tokens that are dead: %+v", f)
		}
	})
}
