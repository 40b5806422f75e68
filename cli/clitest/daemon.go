// Package clitest is what tests of commands share: a stand-in for the daemon, a session to run a
// command line in, a machine in a folder, and the things a test's daemon knows.
package clitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"plugbeat/adminapi"
)

// Daemon is a stand-in for a running daemon: it answers on a real unix socket
// what a test gave it and remembers what it was asked.
type Daemon struct {
	Socket string
	Mux    *http.ServeMux
	Stop   func()

	mu    sync.Mutex
	asked []string // method, path with query, body, the ETag it depends on
	last  []byte   // the body of the last answer
}

// NewDaemon starts one that knows nothing yet.
func NewDaemon(t *testing.T) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &Daemon{Socket: filepath.Join(dir, "s"), Mux: http.NewServeMux()}
	d.Start(t)
	return d
}

// Start makes the daemon answer, again after a stop.
func (d *Daemon) Start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		line := fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body)
		if tag := r.Header.Get("If-Match"); tag != "" {
			line += " if " + tag
		}
		d.asked = append(d.asked, line)
		d.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		d.Mux.ServeHTTP(w, r)
	}))
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	d.Stop = srv.Close
	t.Cleanup(srv.Close)
}

// On answers a pattern of http.ServeMux, below /api/v1, with v as JSON, or with what
// v, a func([]byte) any, makes of the body.
func (d *Daemon) On(method, path string, v any) *Daemon {
	return d.Fail(method, path, http.StatusOK, v)
}

// Fail answers with a status of its own.
func (d *Daemon) Fail(method, path string, status int, v any) *Daemon {
	d.Mux.HandleFunc(method+" /api/v1"+path, func(w http.ResponseWriter, r *http.Request) {
		v := v
		if f, ok := v.(func([]byte) any); ok {
			body, _ := io.ReadAll(r.Body)
			v = f(body)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		b, _ := json.Marshal(v)
		d.mu.Lock()
		d.last = b
		d.mu.Unlock()
		_, _ = w.Write(b)
	})
	return d
}

// Answered returns the body of the last answer.
func (d *Daemon) Answered() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// WasAsked holds what the daemon was asked since the last time.
func (d *Daemon) WasAsked(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.asked, want) {
		t.Errorf("asked:\n got %q\nwant %q", d.asked, want)
	}
	d.asked = nil
}

// Refusal is the daemon's answer that it refuses.
func Refusal(code adminapi.Code, message, hint string) adminapi.Envelope {
	return adminapi.Envelope{Error: &adminapi.Error{Code: code, Message: message, Hint: hint}}
}

// Asked returns what the daemon was asked so far, and forgets it.
func (d *Daemon) Asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	return asked
}

// Sends makes the daemon answer a backup with the bytes.
func (d *Daemon) Sends(b []byte) *Daemon {
	d.Mux.HandleFunc("POST /api/v1/backup", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		_, _ = w.Write(b)
	})
	return d
}
