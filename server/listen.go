package server

import (
	"net/http"
	"time"

	"plugbeat/server/web"
)

// Limits of a connection. A read of a vehicle may take 300 s, and SDKs wait 310.
const (
	ReadTimeout   = 310 * time.Second
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	headerBytes   = 64 << 10
)

// HTTP returns an http.Server with the handler and the timeouts that fit it. The
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
	}
	srv.RegisterOnShutdown(s.end)
	return srv
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
