package server

import (
	"net/http"
	"time"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// tailDeliveries answers with what happened after the caller's cursor as soon as
// there is something, or with nothing after the time the caller waits. Without a
// cursor it tells at once where the tail begins, so that nothing is lost between
// this answer and the next question.
func (s *Server) tailDeliveries(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	f, err := s.deliveryFilter(r)
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(q.Get("wait"))
	if err != nil {
		return nil, err
	}
	var after webhook.Cursor
	switch v := q.Get("after"); {
	case v != "" && q.Get("since") != "":
		return nil, &webhook.Invalid{Field: "since", Value: clip(q.Get("since")), Allowed: "since or after, not both"}
	case v != "":
		if after.UnmarshalText([]byte(v)) != nil {
			return nil, &webhook.Invalid{Field: "after", Value: clip(v), Allowed: "the next of the answer before, or the cursor of a change"}
		}
	default:
		begin, err := s.Store.ChangesSince(r.Context(), f.Since)
		if err != nil {
			return nil, err
		}
		if after = webhook.Cursor(begin); f.Since.IsZero() {
			return api.Tail{Items: []webhook.Change{}, Next: after}, nil
		}
	}
	return s.tail(r, f, after, limit, wait)
}

func (s *Server) tail(r *http.Request, f webhook.DeliveryFilter, after webhook.Cursor, limit int, wait time.Duration) (any, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		changed := s.Store.Changed() // before looking, so that no change falls in between
		page, err := s.Store.Changes(r.Context(), f, uint64(after), limit)
		if err != nil {
			return nil, err
		}
		moved := page.Next != uint64(after)
		after = webhook.Cursor(page.Next)
		if len(page.Changes) > 0 || page.Missed {
			return api.Tail{Items: append([]webhook.Change{}, page.Changes...), Next: after, Missed: page.Missed}, nil
		}
		if moved {
			continue // nothing of what is wanted so far; there may be more to look at
		}
		select {
		case <-changed:
			continue
		case <-over.C:
		case <-s.ending:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		return api.Tail{Items: []webhook.Change{}, Next: after}, nil
	}
}

func waitOf(v string) (time.Duration, error) {
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > api.MaxTailWait {
		return 0, &webhook.Invalid{Field: "wait", Value: clip(v), Allowed: "a duration from 0s to " + api.MaxTailWait.String()}
	}
	return d, nil
}
