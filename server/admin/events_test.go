package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/admin"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

func aDelivery(n byte, id uuid.UUID) webhook.Delivery {
	return webhook.Delivery{ID: uuid.UUID{1, 15: n}, MessageID: uuid.UUID{1, 15: n}, Webhook: servertest.HookID, Vehicle: id, State: webhook.Waiting, CreatedAt: servertest.Noon}
}

// made is what a commit tells that made deliveries.
func made(ds ...webhook.Delivery) (cs []webhook.Change) {
	for _, d := range ds {
		c := webhook.ChangeOf(d, nil)
		c.At, c.WebhookName = servertest.Noon, "home"
		cs = append(cs, c)
	}
	return cs
}

// streams serves a world's admin listener on a real connection, whose timeouts for other
// requests are shorter than the tests.
func streams(t *testing.T, w *servertest.World) (s *server.Server, url string, stop func() error) {
	t.Helper()
	s = servertest.NewServer(t, servertest.Operators(w))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := s.HTTP(s.AdminHTTP())
	srv.ReadTimeout, srv.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := srv.Shutdown(ctx)
		if err == nil {
			<-served
		}
		return err
	}
	t.Cleanup(func() { _ = srv.Close() })
	return s, "http://" + l.Addr().String() + "/api/v1/events", stop
}

// stream is an open stream of events.
type stream struct {
	t    *testing.T
	body *bufio.Reader
}

func openStream(t *testing.T, url, token string) stream {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	return stream{t, bufio.NewReader(res.Body)}
}

// next returns the name and the data of the next event, "" at the stream's end.
func (s stream) next() (name, data string) {
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			return "", ""
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			name = value
		case "data":
			return name, value
		}
	}
}

// delivery returns the number of the next event's delivery.
func (s stream) delivery() byte {
	s.t.Helper()
	name, data := s.next()
	var c webhook.Change
	if err := json.Unmarshal([]byte(data), &c); err != nil || name != "delivery" || c.Delivery == nil {
		s.t.Fatalf("event %q %s: %v", name, data, err)
	}
	return c.Delivery.ID[15]
}

// A change is in each stream that wants it within a second of its commit, in order, and
// longer than any other request may last.
func TestEvents(t *testing.T) {
	s, url, _ := streams(t, servertest.NewWorld(t))
	all, ofVehicle, ofHook := openStream(t, url, servertest.ReadToken), openStream(t, url+"?vehicle="+servertest.VehicleB.String(), servertest.ReadToken), openStream(t, url+"?webhook=home", servertest.OperateToken)
	for n := byte(1); n <= 40; n += 2 { // 200 ms in all
		told := time.Now()
		read := webhook.Change{Kind: webhook.VehicleChange, Action: webhook.Read, At: servertest.Noon, Vehicle: servertest.VehicleB}
		s.Feed.Publish(append([]webhook.Change{read}, made(aDelivery(n, servertest.VehicleA), aDelivery(n+1, servertest.VehicleB))...))
		for _, stream := range []stream{all, ofVehicle} {
			if name, data := stream.next(); name != "vehicle" || data != `{"kind":"vehicle","action":"read","at":"`+servertest.Noon.Format(time.RFC3339)+`","vehicle":"`+servertest.VehicleB.String()+`"}` {
				t.Fatalf("%s %s", name, data)
			}
		}
		if a, b := all.delivery(), all.delivery(); a != n || b != n+1 {
			t.Fatalf("%d and %d in place of %d and %d", a, b, n, n+1)
		}
		if got := ofVehicle.delivery(); got != n+1 {
			t.Fatalf("of a vehicle: %d in place of %d", got, n+1)
		}
		if a, b := ofHook.delivery(), ofHook.delivery(); a != n || b != n+1 {
			t.Fatalf("of a webhook: %d and %d in place of %d and %d", a, b, n, n+1)
		}
		if late := time.Since(told); late > time.Second {
			t.Errorf("%d is %s late", n, late)
		}
		time.Sleep(10 * time.Millisecond) // past the server's timeouts in the end
	}
	h := servertest.Described(t, s.AdminHTTP())
	for query, status := range map[string]int{"?webhook=nobody": 404, "?vehicle=x": 404, "?kind=delivery": 400} {
		rec, _ := servertest.Ask(t, h, servertest.ReadToken, "GET", "/api/v1/events"+query, "")
		if rec.Code != status {
			t.Errorf("%s: %d", query, rec.Code)
		}
	}
}

// A slow reader loses its own events, is told how many, and goes on; nobody waits for
// it, and nobody else loses any.
func TestEventsSlowReader(t *testing.T) {
	s, url, _ := streams(t, servertest.NewWorld(t))
	s.Feed.Bound(8)
	slow, fast := openStream(t, url, servertest.ReadToken), openStream(t, url, servertest.ReadToken)
	long := aDelivery(1, servertest.VehicleA)
	long.FinalText = strings.Repeat("x", 64<<10) // so that the connection is soon full
	count := 0
	missing := func() int {
		_, missed := s.Feed.Followers()
		return missed
	}
	for missing() < 3 {
		began := time.Now()
		s.Feed.Publish(made(long))
		if took := time.Since(began); took > time.Second {
			t.Fatalf("the writer waited for %s", took)
		}
		count++
		if got := fast.delivery(); got != 1 {
			t.Fatalf("the fast reader got %d", got)
		}
		if count > 10000 {
			t.Fatal("the slow reader keeps up")
		}
	}
	got := 0
	for {
		name, data := slow.next()
		if name == "delivery" {
			got++
			continue
		}
		var m adminapi.Missed
		if err := json.Unmarshal([]byte(data), &m); err != nil || name != adminapi.MissedEvent || got+m.Missed != count {
			t.Fatalf("%d came, then %s %s; %d were told", got, name, data, count)
		}
		break
	}
	s.Feed.Publish(made(aDelivery(2, servertest.VehicleA)))
	if a, b := slow.delivery(), fast.delivery(); a != 2 || b != 2 {
		t.Errorf("afterwards %d and %d", a, b)
	}
}

// A revoked token's stream ends at once. Where only the store knows of the revocation,
// the stream gets nothing of what is committed after it.
func TestEventsEndWithTheToken(t *testing.T) {
	w := servertest.NewWorld(t)
	s, url, _ := streams(t, w)
	revoked, other := openStream(t, url, servertest.ReadToken), openStream(t, url, servertest.OperateToken)
	if rec, e := servertest.Ask(t, s.AdminHTTP(), servertest.OperateToken, "DELETE", "/api/v1/tokens/reader", ""); rec.Code != 200 {
		t.Fatal(e)
	}
	began := time.Now()
	if name, data := revoked.next(); name != "" || time.Since(began) > admin.PingEvery/2 {
		t.Errorf("after %s: %s %s", time.Since(began), name, data)
	}
	s.Feed.Publish(made(aDelivery(1, servertest.VehicleA)))
	if got := other.delivery(); got != 1 {
		t.Errorf("the other's got %d", got)
	}
	if err := w.DeleteGrant(t.Context(), "operateer"); err != nil {
		t.Fatal(err)
	}
	s.Feed.Publish(made(aDelivery(2, servertest.VehicleA)))
	if name, data := other.next(); name != "" {
		t.Errorf("after the revocation: %s %s", name, data)
	}
}

// A stop ends every stream, and leaves nobody following.
func TestEventsEndWithTheDaemon(t *testing.T) {
	s, url, stop := streams(t, servertest.NewWorld(t))
	a, b := openStream(t, url, servertest.ReadToken), openStream(t, url, servertest.ReadToken)
	if err := stop(); err != nil {
		t.Fatal("the server waits for streams:", err)
	}
	for _, stream := range []stream{a, b} {
		if name, data := stream.next(); name != "" {
			t.Error(name, data)
		}
	}
	if n, _ := s.Feed.Followers(); n != 0 {
		t.Errorf("%d follow", n)
	}
}

// So many streams and no more; one that ends makes room.
func TestEventsAreBounded(t *testing.T) {
	s := servertest.NewServer(t, servertest.NewWorld(t))
	c := servertest.OverSocket(t, s)
	var open []*adminapi.Events
	for range admin.MaxFollowers {
		e, err := c.Events(t.Context(), adminapi.EventsQuery{Webhook: "home", Vehicle: servertest.VehicleA.String()})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, e)
	}
	_, err := c.Events(t.Context(), adminapi.EventsQuery{})
	servertest.Refused(t, err, adminapi.CodeUnavailable, "too many streams")
	open[0].Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		e, err := c.Events(t.Context(), adminapi.EventsQuery{})
		if err == nil {
			open[0] = e
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a stream that was closed makes no room:", err)
		}
	}
	s.Feed.Publish(made(aDelivery(7, servertest.VehicleA)))
	for _, e := range open {
		if c, missed, err := e.Next(); err != nil || missed != 0 || c.Delivery.ID[15] != 7 || c.WebhookName != "home" {
			t.Errorf("%+v %d %v", c, missed, err)
		}
		e.Close()
	}
}

// A stream that has nothing to tell says that it is alive.
func TestEventsPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servertest.NewServer(t, servertest.NewWorld(t))
		socket := s.Admin()
		ctx, leave := context.WithCancelCause(t.Context())
		rec := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			socket.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil))
		}()
		time.Sleep(2*admin.PingEvery + time.Second)
		synctest.Wait()
		if got, want := rec.Body.String(), "retry: 1000\n\n: ping\n\n: ping\n\n"; got != want || !rec.Flushed {
			t.Errorf("%q, want %q", got, want)
		}
		leave(errors.New("the caller leaves"))
		<-done
		if n, _ := s.Feed.Followers(); n != 0 {
			t.Errorf("%d follow", n)
		}
	})
}
