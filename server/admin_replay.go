package server

import (
	"fmt"
	"net/http"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// replayDeliveries begins a replay at each webhook that has something to send again.
func (s *Server) replayDeliveries(r *http.Request) (any, error) {
	var body api.ReplayRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	job, err := s.replayOf(&body)
	if err != nil {
		return nil, err
	}
	var hooks []webhook.Webhook
	if body.Webhook != "" {
		w, err := s.findWebhook(r.Context(), body.Webhook)
		if err != nil {
			return nil, err
		}
		hooks = []webhook.Webhook{w}
	} else if hooks, err = s.Store.Webhooks(r.Context()); err != nil {
		return nil, err
	}
	answer := api.Replayed{Items: []api.ReplayedItem{}}
	// Whether all of them can begin is known before the first does.
	for _, w := range hooks {
		if w.Replay != nil && !body.DryRun {
			return nil, &hinted{fmt.Errorf("webhook %s: %w: a replay is going on, %d of %d made", w.Name, webhook.ErrConflict, w.Replay.Made, w.Replay.Total),
				"wait for it, or cancel it: plugbeat delivery replay --cancel --webhook " + shellWord(w.Name)}
		}
		plan, err := s.Deliveries.PlanReplay(r.Context(), w.ID, job)
		if err != nil {
			return nil, about(&w, err)
		}
		if plan.Match > 0 || body.Webhook != "" {
			answer.Items = append(answer.Items, api.ReplayedItem{Webhook: w, Plan: plan})
		}
	}
	for i := range answer.Items {
		item := &answer.Items[i]
		if body.DryRun {
			continue
		}
		w, plan, err := s.Deliveries.Replay(r.Context(), item.Webhook.ID, job)
		if err != nil {
			return nil, about(&item.Webhook, err)
		}
		item.Webhook, item.Plan = w, plan
	}
	return answer, nil
}

// replayOf reads which deliveries a replay is about.
func (s *Server) replayOf(body *api.ReplayRequest) (job webhook.Replay, err error) {
	job = webhook.Replay{State: body.State, Rate: body.Rate}
	if body.Webhook == "" && body.Vehicle == nil && body.State == "" && body.Since == "" && body.Until == "" {
		return job, &webhook.Invalid{Field: "body", Value: "no filter", Allowed: "at least one of webhook, vehicle, state, since, until"}
	}
	if body.Vehicle != nil {
		job.Vehicle = *body.Vehicle
	}
	if body.State != "" {
		if err := checkState(body.State); err != nil {
			return job, err
		}
	}
	if body.Since != "" {
		if job.Since, err = momentOf("since", body.Since, s.Now()); err != nil {
			return job, err
		}
	}
	if body.Until != "" {
		job.Until, err = momentOf("until", body.Until, s.Now())
	}
	return job, err
}

func (s *Server) cancelReplay(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	if err != nil {
		return nil, err
	}
	was, err := s.Deliveries.CancelReplay(r.Context(), w.ID)
	if err != nil {
		return nil, &hinted{about(&w, err), "see: plugbeat webhook show " + shellWord(w.Name)}
	}
	return was, nil
}
