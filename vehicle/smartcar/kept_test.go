package smartcar_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
)

// A batch that the vendor drops on a kept connection, by FIN or by RST and before any byte
// of an answer, is made once more on a new one, within the same read.
func TestKeptConnectionDropped(t *testing.T) {
	for name, drop := range map[string]func(*net.TCPConn){
		"FIN": func(*net.TCPConn) {},
		"RST": func(c *net.TCPConn) { _ = c.SetLinger(0) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, simulator.ServerOptions{})
			var batches atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/batch") && batches.Add(1) == 2 {
					c, _, err := rw.(http.Hijacker).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					drop(c.(*net.TCPConn))
					_ = c.Close()
					return
				}
				w.server.ServeHTTP(rw, r)
			}))
			defer srv.Close()
			w.source = open(t, smartcar.Options{APIOrigin: srv.URL, AuthOrigin: srv.URL, Tokens: w.tokens, HTTPClient: srv.Client()})
			w.connect(t)
			for i := range 2 {
				if _, fault := w.read(t, all); fault != nil {
					t.Errorf("read %d: %v", i+1, fault)
				}
			}
			if batches.Load() != 3 {
				t.Errorf("%d batches for 2 reads, one of them dropped", batches.Load())
			}
		})
	}
}
