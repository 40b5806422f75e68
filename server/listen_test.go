package server_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"plugbeat/server"
	"plugbeat/server/servertest"
)

func TestHTTPTimeouts(t *testing.T) {
	srv := servertest.NewServer(t, servertest.NewWorld(t)).HTTP(http.NotFoundHandler())
	if srv.WriteTimeout <= 310*time.Second {
		t.Errorf("WriteTimeout %v cuts reads that SDKs wait 310 s for", srv.WriteTimeout)
	}
	if srv.ReadHeaderTimeout == 0 || srv.ReadTimeout == 0 || srv.IdleTimeout == 0 || srv.MaxHeaderBytes == 0 {
		t.Error("a limit is missing")
	}
}

// Whoever opens connections and asks for nothing, or never ends its headers, holds a
// bounded number; who asks is answered meanwhile, and a request under way is not cut off.
func TestConnectionsAreBounded(t *testing.T) {
	s := servertest.NewServer(t, servertest.NewWorld(t))
	began, end := make(chan struct{}), make(chan struct{})
	srv := s.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			<-end
		}
		_, _ = io.WriteString(w, "answered")
	}))
	const most = 20
	server.Bound(srv, most)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	get := func(path string) string {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		res, err := client.Get("http://" + l.Addr().String() + path)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = res.Body.Close() }()
		b, _ := io.ReadAll(res.Body)
		return string(b)
	}
	slow := make(chan string, 1)
	go func() { slow <- get("/slow") }()
	<-began
	var open []net.Conn
	for i := range 10 * most {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 20<<10))
		}
		open = append(open, c)
	}
	for range 5 {
		if got := get("/"); got != "answered" {
			t.Errorf("who asks hears: %s", got)
		}
	}
	left := 0
	for _, c := range open {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			left++
		}
	}
	if left == 0 || left >= most {
		t.Errorf("%d connections that ask for nothing are open, of at most %d", left, most)
	}
	close(end)
	if got := <-slow; got != "answered" {
		t.Errorf("the request under way: %s", got)
	}
}

// Whatever the limit of open files, most of them are kept for deliveries, sources and the
// store.
func TestConnectionsLeaveFiles(t *testing.T) {
	for files, want := range map[uint64]int{0: 8, 256: 42, 1024: 170, 1 << 20: 500} {
		if got := server.ShareOf(files); got != want || files >= 256 && uint64(3*got) > files/2 {
			t.Errorf("%d of %d files, want %d", got, files, want)
		}
	}
}

// A header that is longer than any honest one is refused.
func TestHeadersAreBounded(t *testing.T) {
	s := servertest.NewServer(t, servertest.NewWorld(t))
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = s.HTTP(s.Public())
	ts.Start()
	defer ts.Close()
	for size, want := range map[int]int{16 << 10: 200, 60 << 10: 431} {
		a := servertest.Exchange(t, ts.Listener.Addr().String(), "GET", "/healthz", [][2]string{{"X-Long", strings.Repeat("x", size)}}, "")
		if a.Status != want {
			t.Errorf("%d bytes: %d, want %d", size, a.Status, want)
		}
	}
}
