package faults

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Receiver is an HTTP server with a path for every fault: what is sent to
// [Receiver.URL] of one is answered by it. Until a fault is armed, and once it is
// mended, its path is served by the handler that is well. It is safe for concurrent
// use.
type Receiver struct {
	srv  *httptest.Server
	well http.Handler

	mu     sync.Mutex
	faults map[string]Fault
	armed  map[string]bool
	hits   map[string]int
	conns  map[net.Conn]bool
	closed bool
	faulty sync.WaitGroup
}

// New starts a receiver on loopback that ends with the test.
func New(t testing.TB, well http.Handler) *Receiver {
	t.Helper()
	r := &Receiver{well: well, faults: All(), armed: map[string]bool{}, hits: map[string]int{}, conns: map[net.Conn]bool{}}
	r.srv = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// Add gives the receiver a fault of the test's own.
func (r *Receiver) Add(name string, f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[name] = f
}

// URL is where the fault is met. A name that is no fault's is always served well.
func (r *Receiver) URL(name string) string { return r.srv.URL + "/" + name }

// Addr is where the receiver listens, host:port.
func (r *Receiver) Addr() string { return r.srv.Listener.Addr().String() }

// Arm lets the fault strike from now on.
func (r *Receiver) Arm(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed[name] = true
}

// Mend ends the fault. What it has begun goes on.
func (r *Receiver) Mend(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.armed, name)
}

// Hits returns how often each fault struck.
func (r *Receiver) Hits() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.hits)
}

// Open returns how many connections are being answered by faults.
func (r *Receiver) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// ServeHTTP reads a request whole and lets its path's fault answer.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(req.URL.Path, "/")
	r.mu.Lock()
	f := r.faults[name]
	strikes := f != nil && r.armed[name] && !r.closed
	if strikes {
		r.hits[name]++
		r.faulty.Add(1)
	}
	r.mu.Unlock()
	if !strikes {
		r.well.ServeHTTP(w, req)
		return
	}
	defer r.faulty.Done()
	_, _ = io.Copy(io.Discard, req.Body)
	c, rest, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	r.mu.Lock()
	r.conns[c] = true
	closed := r.closed
	r.mu.Unlock()
	if !closed {
		f(read{c, rest.Reader})
	}
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
}

// read is a connection whose first bytes were read ahead.
type read struct {
	net.Conn
	from *bufio.Reader
}

func (r read) Read(p []byte) (int, error) { return r.from.Read(p) }

func (r read) SetLinger(sec int) error {
	if t, ok := r.Conn.(*net.TCPConn); ok {
		return t.SetLinger(sec)
	}
	return nil
}

// Close breaks off what is under way and ends the receiver. It may be called again.
func (r *Receiver) Close() {
	r.mu.Lock()
	r.closed = true
	for c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.faulty.Wait()
	r.srv.CloseClientConnections()
	r.srv.Close()
}

// Deaf listens and takes connections, and never says a word: a receiver whose TLS
// never finishes. It returns its host:port.
func Deaf(t testing.TB) string { return Listen(t, wait("")) }

// Listen answers every connection with the fault, before anything was read.
func Listen(t testing.TB, f Fault) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	conns, closed := map[net.Conn]bool{}, false
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if closed {
				_ = c.Close()
			} else {
				conns[c] = true
			}
			mu.Unlock()
			all.Go(func() {
				f(c)
				_ = c.Close()
				mu.Lock()
				delete(conns, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		closed = true
		for c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}

// SlowTLS begins a TLS record and sends a byte of it now and then.
func SlowTLS(t testing.TB) string {
	return Listen(t, slowly("\x16\x03\x03\x3f\xff", strings.Repeat("\x00", 10000)))
}

// Nobody returns the host:port of a loopback address where nothing listens.
func Nobody(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}
