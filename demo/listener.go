package demo

import (
	"context"
	"net"
	"net/http"
	"time"
)

// listener is an HTTP server that can go away and come back at its address.
type listener struct {
	handler http.Handler
	addr    string
	server  *http.Server
	served  chan struct{} // closed once nothing is accepted any more
}

func (l *listener) open(ctx context.Context) error {
	addr := l.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	l.addr = ln.Addr().String()
	l.server = &http.Server{Handler: l.handler, ReadHeaderTimeout: 5 * time.Second}
	l.served = make(chan struct{})
	go func(s *http.Server, served chan struct{}) {
		defer close(served)
		_ = s.Serve(ln)
	}(l.server, l.served)
	return nil
}

// close ends the server and its connections, and its address is free again; no request may be in it forever.
func (l *listener) close() {
	if l.server != nil {
		_ = l.server.Close()
		<-l.served
		l.server = nil
	}
}

func (l *listener) url() string { return "http://" + l.addr }
