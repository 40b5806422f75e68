package delivery

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// fin and rst end a connection as their names say.
func fin(c *net.TCPConn) { _ = c.Close() }

func rst(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// keeping is a receiver that keeps connections and notes every request that it has read.
type keeping struct {
	uri string
	// leave ends the listening.
	leave func()
	mu    sync.Mutex
	all   []keptRequest
}

// keptRequest is the nth request of a connection, both counted from 1.
type keptRequest struct {
	connection, nth int
	id, body        string
	header          http.Header
}

// keep starts a receiver. answer is called for each request; the request is answered
// with 200 unless answer returns false, after which it has ended the connection.
func keep(t *testing.T, answer func(r keptRequest, c *net.TCPConn) bool) *keeping {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	k := &keeping{uri: "http://" + ln.Addr().String() + "/", leave: func() { _ = ln.Close() }}
	go func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go k.serve(n, c.(*net.TCPConn), answer)
		}
	}()
	return k
}

func (k *keeping) serve(connection int, c *net.TCPConn, answer func(keptRequest, *net.TCPConn) bool) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for nth := 1; ; nth++ {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r := keptRequest{connection, nth, req.Header.Get("webhook-id"), string(body), req.Header}
		k.mu.Lock()
		k.all = append(k.all, r)
		k.mu.Unlock()
		if !answer(r, c) {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

func (k *keeping) requests() []keptRequest {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all
}

// A request that a kept connection drops, by FIN or by RST, after reading it and before
// any byte of an answer, is made once more on a new connection. That is no attempt.
func TestKeptConnectionDropped(t *testing.T) {
	for name, drop := range map[string]func(*net.TCPConn){"FIN": fin, "RST": rst} {
		for size, body := range map[string]string{"small": `{"a":1}`, "14 KiB": strings.Repeat("x", 14<<10)} {
			t.Run(name+" "+size, func(t *testing.T) {
				k := keep(t, func(r keptRequest, c *net.TCPConn) bool {
					if r.connection == 1 && r.nth == 2 {
						drop(c)
						return false
					}
					return true
				})
				x := wireSender(t, Settings{})
				w := hookAt(k.uri)
				for i := range 3 {
					if a := x.send(t.Context(), w, uuid.UUID{byte(i)}, []byte(body)); a.Outcome != webhook.OutcomeDelivered {
						t.Fatalf("%d: %s %s", i, a.Outcome, answerText(a))
					}
				}
				got := k.requests()
				if len(got) != 4 {
					t.Fatalf("%d requests for 3 attempts, one of them dropped", len(got))
				}
				first, again := got[1], got[2]
				same := again.id == first.id && again.body == first.body && again.body == body
				if again.connection != 2 || again.nth != 1 || !same || again.id == got[0].id {
					t.Errorf("%+v was repeated as %+v", first, again)
				}
				for _, r := range got {
					if r.header["Idempotency-Key"] != nil {
						t.Error("the mark for net/http is on the wire")
					}
				}
			})
		}
	}
}

// A dropped request is made once more and not oftener: not where the new connection
// drops it as well, and not over another kept connection.
func TestKeptConnectionsDroppedTogether(t *testing.T) {
	for name, drop := range map[string]func(*net.TCPConn){"FIN": fin, "RST": rst} {
		t.Run(name, func(t *testing.T) {
			var both sync.WaitGroup
			both.Add(2)
			well := true
			k := keep(t, func(r keptRequest, c *net.TCPConn) bool {
				if r.nth == 1 && r.connection <= 2 {
					both.Done() // two at once make two connections
					both.Wait()
					return true
				}
				if r.nth == 1 && well {
					return true
				}
				drop(c)
				return false
			})
			x := wireSender(t, Settings{})
			w := hookAt(k.uri)
			var first sync.WaitGroup
			for range 2 {
				first.Go(func() { x.send(t.Context(), w, uuid.New(), nil) })
			}
			first.Wait()
			if a := x.send(t.Context(), w, uuid.New(), nil); a.Outcome != webhook.OutcomeDelivered || len(k.requests()) != 4 {
				t.Fatalf("%s after %d requests, want the fourth to arrive", answerText(a), len(k.requests()))
			}
			well = false
			if a := x.send(t.Context(), w, uuid.New(), nil); a.Outcome != webhook.OutcomeUnavailable || len(k.requests()) != 6 || a.Cause == "" {
				t.Errorf("%s %s after %d requests, want two more", a.Outcome, answerText(a), len(k.requests()))
			}
		})
	}
}

// A connection that drops its first request, or that drops one after the first byte of an
// answer, has answered for itself.
func TestDroppedForGood(t *testing.T) {
	for name, drop := range map[string]func(*net.TCPConn){"FIN": fin, "RST": rst} {
		t.Run("first use "+name, func(t *testing.T) {
			k := keep(t, func(_ keptRequest, c *net.TCPConn) bool { drop(c); return false })
			a := wireSender(t, Settings{}).send(t.Context(), hookAt(k.uri), uuid.New(), []byte("{}"))
			if a.Outcome != webhook.OutcomeUnavailable || len(k.requests()) != 1 || !strings.Contains(a.Cause, "closed the connection") {
				t.Errorf("%s %s after %d requests", a.Outcome, answerText(a), len(k.requests()))
			}
		})
	}
	t.Run("and nothing listens any more", func(t *testing.T) {
		var k *keeping
		k = keep(t, func(r keptRequest, c *net.TCPConn) bool {
			if r.nth == 1 {
				return true
			}
			k.leave()
			fin(c)
			return false
		})
		x := wireSender(t, Settings{})
		x.send(t.Context(), hookAt(k.uri), uuid.New(), nil)
		if a := x.send(t.Context(), hookAt(k.uri), uuid.New(), nil); a.Outcome != webhook.OutcomeUnreachable || len(k.requests()) != 2 {
			t.Errorf("%s %s after %d requests", a.Outcome, answerText(a), len(k.requests()))
		}
	})
	t.Run("after a byte", func(t *testing.T) {
		k := keep(t, func(r keptRequest, c *net.TCPConn) bool {
			if r.nth == 1 {
				return true
			}
			_, _ = io.WriteString(c, "H")
			fin(c)
			return false
		})
		x := wireSender(t, Settings{})
		x.send(t.Context(), hookAt(k.uri), uuid.New(), nil)
		if a := x.send(t.Context(), hookAt(k.uri), uuid.New(), nil); a.Outcome != webhook.OutcomeUnavailable || len(k.requests()) != 2 {
			t.Errorf("%s %s after %d requests", a.Outcome, answerText(a), len(k.requests()))
		}
	})
}
