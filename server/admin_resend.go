package server

import (
	"net/http"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// resendDeliveries resends a part of a webhook's past, or counts it.
func (s *Server) resendDeliveries(r *http.Request) (any, error) {
	var body adminapi.ResendRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	f, err := s.resendFilter(&body)
	if err != nil {
		return nil, err
	}
	w, err := s.findWebhook(r.Context(), body.Webhook)
	if err != nil {
		return nil, err
	}
	f.Webhook = w.ID
	var answer adminapi.Resent
	if body.DryRun {
		answer.Plan, err = s.Deliveries.PlanResend(r.Context(), f)
	} else {
		answer.Plan, answer.Made, err = s.Deliveries.ResendAll(r.Context(), f)
	}
	if err != nil && answer.Made > 0 {
		err = &hinted{err, "run it again: what was resent is left out"}
	}
	return answer, about(&w, err)
}

// resendFilter reads which deliveries are resent, but for the webhook.
func (s *Server) resendFilter(body *adminapi.ResendRequest) (f webhook.DeliveryFilter, err error) {
	f.State = body.State
	if body.Webhook == "" {
		return f, &webhook.Invalid{Field: "webhook", Allowed: "an id or a name"}
	}
	if body.Vehicle != nil {
		f.Vehicle = *body.Vehicle
	}
	if body.State != "" {
		if err := checkState(body.State); err != nil {
			return f, err
		}
	}
	if body.Since != "" {
		if f.Since, err = momentOf("since", body.Since, s.Now()); err != nil {
			return f, err
		}
	}
	if body.Until != "" {
		f.Until, err = momentOf("until", body.Until, s.Now())
	}
	return f, err
}
