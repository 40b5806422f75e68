package server

import (
	"net/http"

	"plugbeat/adminapi"
)

// testAlerts sends a test alert now. That a target does not take it is in the answer.
func (s *Server) testAlerts(r *http.Request) (any, error) {
	var t adminapi.AlertTest
	if err := decode(r, &t); err != nil {
		return nil, err
	}
	results, err := s.Upkeep.TestAlerts(r.Context(), t.Target)
	if err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, &adminapi.Error{Code: adminapi.CodeNotFound, Message: "the config has no targets of alerts", Hint: "add one: plugbeat config describe alerts"}
	}
	return adminapi.AlertsTested{Results: results}, nil
}
