package server

import (
	"net/http"

	"github.com/google/uuid"
)

// ServeMetrics answers a scrape, whoever asks.
func (s *Server) ServeMetrics(w http.ResponseWriter, r *http.Request) { s.metrics(w, r) }

// GuardPublic is what a request to the public listener passes.
func (s *Server) GuardPublic(h http.Handler) http.Handler {
	return s.guard(apiListener, h, s.smartcar.Error)
}

// Known counts the webhooks of which anything was counted.
func (m *Metrics) Known() int { return len(m.known()) }

// Late counts what comes of a webhook after it was removed.
func (m *Metrics) Late(id uuid.UUID) { m.hook(id) }

// Bound bounds the connections of a server of [Server.HTTP].
func Bound(srv *http.Server, most int) { srv.ConnState = (&connections{most: most}).changed }

// ShareOf is the bound where so many files may be open.
func ShareOf(files uint64) int { return shareOf(files) }
