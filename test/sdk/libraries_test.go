package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/test/long"
	"plugbeat/webhook"
)

// fleet is how many vehicles deliver in each phase.
const fleet = 200

// caught is one request as it came, and what it was: "first attempt", "retry" and so on.
type caught struct {
	header http.Header
	body   []byte
	kind   string
}

// fishing catches every delivery. One in five of first attempts fails.
type fishing struct {
	*receiver.Receiver
	mu     sync.Mutex
	phase  string // of what is no retry
	tries  map[string]int
	caught []caught
	wake   chan struct{}
}

func (f *fishing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if bytes.Contains(body, []byte(`"eventName":"verify"`)) {
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.Receiver.ServeHTTP(w, r)
		return
	}
	id := r.Header.Get("webhook-id")
	f.mu.Lock()
	key := f.phase + id
	f.tries[key]++
	c := caught{header: r.Header.Clone(), body: body, kind: f.phase}
	if f.tries[key] > 1 {
		c.kind = "retry"
	}
	f.caught = append(f.caught, c)
	first := f.tries[key] == 1
	f.mu.Unlock()
	h := fnv.New32()
	_, _ = io.WriteString(h, key) // never fails
	if first && f.phase == "first attempt" && h.Sum32()%5 == 0 {
		w.WriteHeader(http.StatusBadGateway)
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// settled waits until nothing of the webhook waits any more.
func (f *fishing) settled(t *testing.T, a *adminapi.Client, delivered uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		w, err := a.Webhook(ctx, "libraries")
		if err != nil {
			t.Fatalf("%d deliveries did not arrive in time: %v", delivered, err)
		}
		if w.Ledger.Delivered >= delivered {
			return
		}
		select {
		case <-f.wake:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// TestStandardWebhooksLibraries: the published libraries of Standard Webhooks, Go's
// and npm's, verify a thousand requests of the running binary: first attempts,
// retries, resends, and both keys of a rotation; after it the old key's do not.
func TestStandardWebhooksLibraries(t *testing.T) {
	long.Test(t)
	node := needNode(t)
	d := daemon.New(t, func(config string) string {
		config = daemon.Ports(config, "vehicles: 3", fmt.Sprintf("vehicles: %d", fleet))
		return config + "\ndelivery:\n  retries: [1s, 1s, 1s]\n  in_flight: 32\n  recover_rate: 10000\n"
	})
	d.Start()
	f := &fishing{Receiver: receiver.New(d.ManagementToken()), phase: "first attempt", tries: map[string]int{}, wake: make(chan struct{}, 1)}
	srv := httptest.NewServer(f)
	defer srv.Close()
	a, ctx := d.Client(), t.Context()
	added, err := a.AddWebhook(ctx, adminapi.NewWebhook{Name: "libraries", CallbackURI: srv.URL, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.VerifyWebhook(ctx, "libraries"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Subscribe(ctx, adminapi.Subscribe{Webhook: "libraries", All: true}); err != nil {
		t.Fatal(err)
	}
	f.settled(t, a, fleet)
	first := deliveries(t, a)
	old := added.SigningKey
	again := func(phase string, total uint64) {
		t.Helper()
		f.mu.Lock()
		f.phase = phase
		f.mu.Unlock()
		var g errgroup.Group
		g.SetLimit(32)
		for _, del := range first {
			g.Go(func() error {
				_, err := a.Resend(ctx, del.ID)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		f.settled(t, a, total)
	}
	again("resend", 2*fleet)
	rotated, err := a.ChangeKey(ctx, "libraries", adminapi.KeyChange{Step: adminapi.KeyRotate})
	if err != nil {
		t.Fatal(err)
	}
	again("in rotation", 3*fleet)
	if _, err := a.ChangeKey(ctx, "libraries", adminapi.KeyChange{Step: adminapi.KeyFinish, Force: true}); err != nil {
		t.Fatal(err)
	}
	again("after rotation", 4*fleet)

	f.mu.Lock()
	defer f.mu.Unlock()
	keys := map[string][]string{"first attempt": {old}, "retry": {old}, "resend": {old}, "in rotation": {old, rotated.SigningKey}, "after rotation": {rotated.SigningKey}}
	verified, refused := map[string]int{}, 0
	judge := newJudge(t, node)
	for _, c := range f.caught {
		for _, key := range keys[c.kind] {
			if err := judge.both(key, c); err != nil {
				t.Fatalf("%s: %v", c.kind, err)
			}
			verified[c.kind]++
		}
		if c.kind == "after rotation" {
			if judge.both(old, c) == nil {
				t.Fatal("after the rotation the old key still verifies")
			}
			refused++
		}
	}
	total := 0
	for _, n := range verified {
		total += n
	}
	for kind := range keys {
		if verified[kind] < 20 {
			t.Errorf("only %d of kind %q", verified[kind], kind)
		}
	}
	if total < 1000 {
		t.Errorf("only %d in all", total)
	}
	t.Logf("%d verified by both libraries: %v; %d rightly refused with the old key", total, verified, refused)
}

func deliveries(t *testing.T, a *adminapi.Client) (all []webhook.Delivery) {
	t.Helper()
	q := adminapi.DeliveryQuery{Webhook: "libraries", Limit: adminapi.MaxLimit}
	for {
		p, err := a.Deliveries(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Items {
			all = append(all, d.Delivery)
		}
		if p.Next == "" {
			return all
		}
		q.Before = p.Next
	}
}

// judge asks both libraries.
type judge struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func newJudge(t *testing.T, node string) *judge {
	t.Helper()
	in, out := script(t, node, "verify.js")
	return &judge{in, out}
}

// both returns nil when both libraries verify the request, and an error that is not
// nil when both refuse; it is an error of another kind when they differ.
func (j *judge) both(key string, c caught) error {
	w, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		return err
	}
	byGo := w.Verify(c.body, c.header)
	headers := map[string]string{}
	for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		headers[name] = c.header.Get(name)
	}
	b, err := json.Marshal(map[string]any{"key": key, "headers": headers, "body": string(c.body)})
	if err != nil {
		return err
	}
	if _, err := j.in.Write(append(b, '\n')); err != nil {
		return err
	}
	line, err := j.out.ReadString('\n')
	if err != nil {
		return err
	}
	if line = strings.TrimSpace(line); (line == "ok") != (byGo == nil) {
		panic(fmt.Sprintf("the libraries differ: Go says %v, npm's says %s", byGo, line))
	}
	if byGo != nil {
		return errors.Join(byGo, errors.New(line))
	}
	return nil
}
