// Package crash ends the daemon in the middle of its work and holds what it left behind
// against what the receiver got: the real binary, killed at random moments, and the
// same daemon with places to stop (package stepped), stopped before and after each of
// its commits and requests.
package crash

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/store"
	"plugbeat/test/daemon"
	"plugbeat/webhook"
)

var (
	kills = flag.Int("kills", 1, "how often the daemon is killed with requests in flight; twice as often the command that rotates a token is")
	given = flag.Uint64("seed", 0, "seed of the moments; 0 takes the time")
)

// seedOf returns the seed of this run.
var seedOf = sync.OnceValue(func() uint64 {
	if *given != 0 {
		return *given
	}
	return uint64(time.Now().UnixNano()) //nolint:gosec // a seed
})

const (
	vehicles = 300
	webhooks = 8
	inFlight = 8 // delivery.in_flight's default: requests of one webhook at a time
)

// TestKill runs the built binary under load, kills it with SIGKILL at random moments while requests are in flight, and after each kill
// checks the file. In the end every delivery that was committed before a kill has reached the receiver, and the receiver
// got no more of them twice than were in flight.
func TestKill(t *testing.T) {
	t.Parallel()
	seed := seedOf()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))

	d := daemon.New(t, func(config string) string {
		config = daemon.Ports(config)
		config = replace(t, config, "vehicles: 3", fmt.Sprintf("vehicles: %d\n    max_reads: 64", vehicles))
		return config + "delivery:\n  retries: [1s, 1s, 1s, 1s, 1s, 1s]\n"
	})
	r := receiver.New(d.ManagementToken())
	delays := rand.New(rand.NewPCG(seed, 2))
	lock := make(chan struct{}, 1)
	r.Rule(func(m receiver.Message) receiver.Answer {
		lock <- struct{}{}
		defer func() { <-lock }()
		a := receiver.Answer{Delay: time.Duration(delays.IntN(250)) * time.Millisecond}
		if m.Event != "verify" && delays.IntN(200) == 0 && r.Accepted()[m.ID] == 0 {
			a.Status = 500
		}
		return a
	})
	server := serve(r)
	defer server.Close()

	d.Start()
	hooks := setUp(t, d, r, server.URL)

	committed := map[string]bool{} // every delivery that waited in the file after some kill
	before := map[string]int{}     // how often each had arrived at the last kill
	inFlightAtKills, worst := 0, 0
	for n := 0; n < *kills; n++ {
		busy(t, r)
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond) // a random moment, not a wait to be right
		busy(t, r)
		d.Kill()
		idle(t, server)

		problems, err := store.CheckFile(d.DataFile())
		if err != nil || len(problems) > 0 {
			t.Fatalf("after kill %d: %v %v", n+1, err, problems)
		}
		had := r.Accepted()
		for _, queue := range waiting(t, d, hooks) {
			both := 0
			for _, id := range queue {
				committed[id] = true
				if had[id] > before[id] {
					both++
				}
			}
			if both > inFlight {
				t.Fatalf("after kill %d: %d deliveries of one webhook had arrived and were not finished; at most %d can be in flight", n+1, both, inFlight)
			}
			inFlightAtKills += both
			worst = max(worst, both)
		}
		before = had
		d.Start()
	}

	missing := maps.Clone(committed)
	deadline := time.Now().Add(2 * time.Minute)
	for len(missing) > 0 && time.Now().Before(deadline) {
		for id := range r.Accepted() {
			delete(missing, id)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(missing) > 0 {
		t.Errorf("%d deliveries committed before a kill never reached the receiver", len(missing))
	}
	if err := d.Stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	idle(t, server)
	accepted, twice := r.Accepted(), 0
	for _, n := range accepted {
		twice += n - 1
	}
	if twice > inFlightAtKills {
		t.Errorf("the receiver got %d deliveries again; only %d were in flight at the kills", twice, inFlightAtKills)
	}
	for _, m := range r.Messages() {
		if m.Event != "verify" && (!m.Smartcar || !m.Standard) {
			t.Errorf("%s arrived with a wrong signature", m.ID)
		}
	}
	ledgers(t, d, hooks, accepted)
	t.Logf("%d kills: %d deliveries accepted, %d waited at some kill, %d had arrived unfinished (at most %d a webhook), %d came again",
		*kills, len(accepted), len(committed), inFlightAtKills, worst, twice)
	if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check said: %s", out)
	}
}

func setUp(t *testing.T, d *daemon.Daemon, r *receiver.Receiver, url string) (hooks []uuid.UUID) {
	t.Helper()
	ctx := context.Background()
	c := d.Client()
	for i := range webhooks {
		name := fmt.Sprintf("hook-%d", i)
		a := d.Webhook(r, adminapi.NewWebhook{Name: name, CallbackURI: url + "/" + name, Cadence: webhook.Cadence{Unplugged: "1m", PluggedIn: "1m"}})
		spread := "1m"
		if i%2 == 0 {
			spread = "" // a burst at the start, and another each minute
		}
		if _, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: name, All: true, Spread: spread}); err != nil {
			t.Fatal(err)
		}
		hooks = append(hooks, a.Webhook.ID)
	}
	return hooks
}

// busy returns once the receiver has a request open.
func busy(t *testing.T, r *receiver.Receiver) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); r.Open() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no request in flight for 90 s: the daemon has stopped delivering")
		}
	}
}

// endpoint is a receiver on a socket that knows how many connections are open.
type endpoint struct {
	*httptest.Server
	open atomic.Int64
}

func serve(r *receiver.Receiver) *endpoint {
	e := &endpoint{Server: httptest.NewUnstartedServer(r)}
	e.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			e.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			e.open.Add(-1)
		}
	}
	e.Start()
	return e
}

// idle returns once the receiver has read to its end every connection of a daemon that
// is gone, and with it each request that had left.
func idle(t *testing.T, e *endpoint) {
	t.Helper()
	// Connections are taken in the order in which they came, so with the answer to this
	// one all are known. The receiver does not see it.
	last, err := net.Dial("tcp", e.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = last.Close() }()
	if _, err := io.WriteString(last, "OPTIONS * HTTP/1.1\r\nHost: receiver\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(last); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Fatalf("%q, %v", answer, err)
	}
	for deadline := time.Now().Add(30 * time.Second); e.open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the receiver does not come to rest")
		}
	}
}

func openStore(t *testing.T, d *daemon.Daemon) *store.Store {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.Dir, "sealing_key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Options{Path: d.DataFile(), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// waiting returns the ids in each webhook's queue, of a daemon that does not run.
func waiting(t *testing.T, d *daemon.Daemon, hooks []uuid.UUID) (queues [][]string) {
	t.Helper()
	s := openStore(t, d)
	defer func() { _ = s.Close() }()
	for _, hook := range hooks {
		var ids []string
		for after := uuid.Nil; ; {
			page, err := s.Deliveries.Queue(context.Background(), hook, after, 500)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range page {
				ids = append(ids, x.Delivery.String())
				after = x.Delivery
			}
			if len(page) < 500 {
				break
			}
		}
		queues = append(queues, ids)
	}
	return queues
}

// ledgers holds each webhook's ledger against what the receiver accepted.
func ledgers(t *testing.T, d *daemon.Daemon, hooks []uuid.UUID, accepted map[string]int) {
	t.Helper()
	s := openStore(t, d)
	defer func() { _ = s.Close() }()
	var delivered uint64
	for _, hook := range hooks {
		w, err := s.Webhooks.Webhook(context.Background(), hook)
		if err != nil {
			t.Fatal(err)
		}
		delivered += w.Ledger.Delivered
		if w.Ledger.Dead+w.Ledger.Expired+w.Ledger.Cancelled > 0 {
			t.Errorf("webhook %s: %+v: nothing was to be lost", w.Name, w.Ledger)
		}
	}
	if int(delivered) != len(accepted) {
		t.Errorf("the ledgers say %d delivered, the receiver accepted %d", delivered, len(accepted))
	}
}

func replace(t *testing.T, text, old, by string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the config has no %q:\n%s", old, text)
	}
	return strings.Replace(text, old, by, 1)
}
