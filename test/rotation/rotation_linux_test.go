// Package rotation kills a process at every point of a refresh of a vendor's tokens:
// the real data file, real sockets, kill -9. What the same points do in fake time, with
// the vendor's grace running out, is held in vehicle/smartcar.
package rotation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
	"plugbeat/webhook"
)

// The points, in the order in which a refresh passes them. The first save says that an
// exchange begins, the second keeps the new pair.
var points = []string{
	"before the first save", "after the first save", "before the request", "after the answer",
	"before the second save", "after the second save", "before the token is used",
}

// What a child is told, by its environment.
const (
	envDir     = "PLUGBEAT_ROTATION_DIR"    // of its data file; set in a child only
	envOrigin  = "PLUGBEAT_ROTATION_ORIGIN" // the vendor
	envToken   = "PLUGBEAT_ROTATION_TOKEN"  // to connect with; empty reads
	envVehicle = "PLUGBEAT_ROTATION_CAR"    // the vendor's id, and the connection
	envKill    = "PLUGBEAT_ROTATION_KILL"   // the point
)

func TestMain(m *testing.M) {
	if os.Getenv(envDir) == "" {
		os.Exit(m.Run())
	}
	if err := child(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// die ends the process if it is to be killed here.
func die(here string) {
	if os.Getenv(envKill) == here {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it has not arrived yet
	}
}

// tokens keeps the tokens in the data file, as the daemon does.
type tokens struct{ s *store.Store }

func (t tokens) Load(ctx context.Context, account string) ([]byte, error) {
	b, err := t.s.Secrets.Secret(ctx, "source/vendor/"+account)
	if errors.Is(err, webhook.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

func (t tokens) Save(ctx context.Context, account string, b []byte) error {
	if len(b) == 0 {
		return t.s.Secrets.DeleteSecret(ctx, "source/vendor/"+account)
	}
	n := "second"
	if bytes.Contains(b, []byte("trying_since")) {
		n = "first"
	}
	die("before the " + n + " save")
	defer die("after the " + n + " save")
	return t.s.Secrets.PutSecret(ctx, "source/vendor/"+account, b)
}

// wire is the way to the vendor.
type wire struct{}

func (wire) RoundTrip(r *http.Request) (*http.Response, error) {
	token := r.URL.Path == "/oauth/token"
	if token {
		die("before the request")
	} else {
		die("before the token is used")
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if token {
		die("after the answer")
	}
	return res, err
}

// child is the daemon's part: it ends what was begun before, and reads a vehicle once.
func child(ctx context.Context) error {
	s, err := store.Open(store.Options{Path: filepath.Join(os.Getenv(envDir), "plugbeat.db"), Key: bytes.Repeat([]byte{7}, 32), Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	origin := os.Getenv(envOrigin)
	src, err := smartcar.New(smartcar.Options{
		APIOrigin: origin, AuthOrigin: origin, ClientID: "simulator", ClientSecret: "simulator-secret", Tokens: tokens{s},
		HTTPClient: &http.Client{Transport: wire{}, Timeout: 10 * time.Second}, Log: zerolog.Nop(),
	})
	if err != nil {
		return err
	}
	if token := os.Getenv(envToken); token != "" {
		if _, err := src.Connect(ctx, token); err != nil {
			return err
		}
	} else {
		native, connection, _ := strings.Cut(os.Getenv(envVehicle), " ")
		src.Resume([]string{connection})
		snap, err := src.Read(ctx, vehicle.Ref{ID: uuid.MustParse(native), Native: native, Connection: connection}, vehicle.AllPaths)
		if err != nil {
			return err
		}
		if f := snap.Charge.Fault; f != nil {
			return f
		}
	}
	src.Close()
	return s.Close()
}

// world is a vendor and a folder that processes share.
type world struct {
	vendor *simulator.Server
	origin string
	dir    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	fleet, err := simulator.NewFleet(simulator.Settings{Seed: 5, Vehicles: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{vendor: simulator.NewServer(fleet, simulator.ServerOptions{Grace: time.Minute}), dir: t.TempDir()}
	srv := httptest.NewServer(w.vendor)
	t.Cleanup(srv.Close)
	w.origin = srv.URL
	return w
}

// run runs a child to its end.
func (w *world) run(t *testing.T, env ...string) (killed bool, out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0])
	v := w.vendor.Fleet().Vehicle(0).ID.String() + " " + w.vendor.User().String()
	c.Env = append(os.Environ(), append([]string{envDir + "=" + w.dir, envOrigin + "=" + w.origin, envVehicle + "=" + v}, env...)...)
	b, err := c.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status, _ := exit.Sys().(syscall.WaitStatus)
		return status.Signaled() && status.Signal() == syscall.SIGKILL, string(b), err
	}
	return false, string(b), err
}

func (w *world) sound(t *testing.T) {
	t.Helper()
	if problems, err := store.CheckFile(filepath.Join(w.dir, "plugbeat.db")); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

// TestKilledInARefresh holds that whatever point of a refresh the process is killed at,
// once or twice in a row, the next one reads, and that the data file is sound.
func TestKilledInARefresh(t *testing.T) {
	w := newWorld(t)
	if _, out, err := w.run(t, envToken+"="+w.vendor.RefreshToken()); err != nil {
		t.Fatal(err, out)
	}
	for _, first := range points {
		for _, second := range []string{"", first} { // once, and twice in a row
			w.vendor.ExpireAccess()
			if killed, out, err := w.run(t, envKill+"="+first); !killed {
				t.Fatalf("%s: it was not killed: %v %s", first, err, out)
			}
			if second != "" {
				// Where the first save is made already, the second process passes it by.
				_, _, _ = w.run(t, envKill+"="+second)
			}
			if _, out, err := w.run(t); err != nil {
				t.Errorf("killed %s, %q: the next process cannot read: %v %s", first, second, err, out)
			}
		}
	}
	w.sound(t)
}

// TestKilledWhileConnecting holds the same of the first exchange: the operator connects
// again with the same token.
func TestKilledWhileConnecting(t *testing.T) {
	w := newWorld(t)
	for _, point := range points {
		token := envToken + "=" + w.vendor.RefreshToken()
		if killed, out, err := w.run(t, token, envKill+"="+point); !killed {
			t.Fatalf("%s: it was not killed: %v %s", point, err, out)
		}
		if _, out, err := w.run(t, token); err != nil {
			t.Errorf("killed %s: connecting again: %v %s", point, err, out)
		}
		if _, out, err := w.run(t); err != nil {
			t.Errorf("killed %s: reading: %v %s", point, err, out)
		}
	}
	w.sound(t)
}
