package server

import (
	"fmt"
	"net/http"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// testAlerts sends a test alert now. That a target does not take it is in the answer.
func (s *Server) testAlerts(r *http.Request) (any, error) {
	var t api.AlertTest
	if err := decode(r, &t); err != nil {
		return nil, err
	}
	results, err := s.Upkeep.TestAlerts(r.Context(), t.Target)
	if err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, &api.Error{Code: api.CodeNotFound, Message: "the config has no targets of alerts", Hint: "add one: plugbeat config describe alerts"}
	}
	return api.AlertsTested{Results: results}, nil
}

// SharedHost says that a target of alerts is where a webhook's receiver is.
func SharedHost(target, hook, host string) string {
	return fmt.Sprintf("alerts to %s go to %s, where the receiver of webhook %s is: what takes the one down may keep you from hearing of it; give alerts another host", target, host, hook)
}

// alertLines are what a person should know of the targets.
func alertLines(st *api.Status) (lines []string) {
	for _, t := range st.Alerts {
		if t.LastError != "" {
			lines = append(lines, fmt.Sprintf("alerts cannot be sent to %s: %s; %d waiting; try: plugbeat alert test %s", t.Name, t.LastError, t.Waiting, t.Name))
		}
		for _, h := range st.Webhooks {
			if t.Host == webhook.HostPort(h.Webhook.CallbackURI) {
				lines = append(lines, SharedHost(t.Name, h.Webhook.Name, t.Host))
			}
		}
	}
	return lines
}
