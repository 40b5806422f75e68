package server

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"plugbeat/server/web"
)

// Limits of a connection. A read of a vehicle may take 300 s, and SDKs wait 310.
const (
	ReadTimeout   = 310 * time.Second
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	// headerBytes bounds the headers of a request. A login comes back from the vendor in
	// one, with all that the application asked for in it.
	headerBytes = 32 << 10
	// mostConnections bounds the connections of one listener, where this process may have
	// that many files open.
	mostConnections = 500
)

// HTTP returns an http.Server with the handler and the limits that fit it. The
// caller sets BaseContext where requests must end before the process does.
func (s *Server) HTTP(h http.Handler) *http.Server {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      ReadTimeout + bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          s.replies.ErrorLog(),
		ConnState:         (&connections{most: shareOf(openFiles())}).changed,
	}
	srv.RegisterOnShutdown(s.end)
	return srv
}

// shareOf is how many of the files that this process may open one listener's connections
// may be. There are three listeners: what is left is for deliveries, sources and the store.
func shareOf(files uint64) int { return int(min(max(files/6, 8), mostConnections)) } //nolint:gosec // at most mostConnections

// openFiles is how many files this process may have open.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// connections bounds those of one listener. Where there are too many, the oldest that asks
// for nothing is closed; a request under way is never cut off for a new connection.
type connections struct {
	most int

	mu      sync.Mutex
	open    int
	waiting []net.Conn // oldest first: new, or idle, or in the middle of their headers
}

// changed is an http.Server's ConnState.
func (c *connections) changed(conn net.Conn, to http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(w net.Conn) bool { return w == conn })
	switch to {
	case http.StateNew, http.StateIdle:
		c.waiting = append(c.waiting, conn)
	case http.StateClosed, http.StateHijacked:
		c.open--
	}
	if to != http.StateNew {
		return
	}
	if c.open++; c.open > c.most {
		_ = c.waiting[0].Close() // the server notices that, and says so
		c.waiting = c.waiting[1:]
	}
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	web.Write(w, http.StatusOK, nil, []byte(`{"status":"ok"}`))
}

// readyz answers 200 when the daemon can do its work, else 503 and the conditions that keep
// it from that, in few words: whoever may ask is not told of files.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	answer := struct {
		Status   string   `json:"status"`
		NotReady []string `json:"not_ready,omitempty"`
	}{Status: "ready"}
	status := http.StatusOK
	for _, c := range s.Health.Unready(r.Context()) {
		answer.Status, status = "not ready", http.StatusServiceUnavailable
		answer.NotReady = append(answer.NotReady, c.Headline())
	}
	if err := web.WriteJSON(w, status, answer); err != nil {
		s.replies.APIError(w, r, err)
	}
}
