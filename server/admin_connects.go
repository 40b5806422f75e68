package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// beginConnect answers POST /api/v1/connects: an owner may come in at the source.
func (s *Server) beginConnect(r *http.Request) (any, error) {
	var n adminapi.NewConnect
	if err := decode(r, &n); err != nil {
		return nil, err
	}
	doors := s.Fleet.Doors()
	i := slices.IndexFunc(doors, func(d Door) bool { return d.Source == n.Source })
	if i < 0 {
		var names []string
		for _, d := range doors {
			names = append(names, d.Source)
		}
		return nil, &webhook.Invalid{Field: "source", Value: clip(n.Source), Allowed: "a configured source: " + strings.Join(names, ", ")}
	}
	public := s.publicURL()
	if public == "" {
		return nil, &adminapi.Error{Code: adminapi.CodeConflict, Message: "nobody can open a page of this daemon: http.api.listen is empty",
			Hint: "set it, or connect without a browser: plugbeat vehicle connect --now, or --refresh-token-stdin"}
	}
	c, code, err := s.connects.begin(n.Source, doors[i].SignIn, s.Now())
	if err != nil {
		return nil, &adminapi.Error{Code: adminapi.CodeConflict, Message: fmt.Sprintf("%d connects are open already", maxConnects), Hint: "end the commands that wait, or try again in an hour"}
	}
	link := public + "/oauth/connect"
	if code == "" {
		link += "?id=" + c.id.String()
	}
	s.Log.Info().Str("event", "connect.begun").Stringer("connect", c.id).Str("source", c.source).Msg("an owner may connect vehicles now")
	return created{adminapi.ConnectBegun{ID: c.id, Source: c.source, URL: link, Code: code, ExpiresAt: c.ends}}, nil
}

func noConnect(id uuid.UUID) error {
	return &adminapi.Error{Code: adminapi.CodeNotFound, Message: fmt.Sprintf("connect %s: %v", id, webhook.ErrNotFound),
		Hint: "a connect does not outlive the daemon, nor two hours: begin another one"}
}

// showConnect answers GET /api/v1/connects/{connect}; with wait it waits for the
// outcome.
func (s *Server) showConnect(r *http.Request) (any, error) {
	id, ok := parseID(r.PathValue("connect"))
	if !ok {
		return nil, &webhook.Invalid{Field: "connect", Value: clip(r.PathValue("connect")), Allowed: "a UUID, as POST /api/v1/connects gives it"}
	}
	wait, err := waitOf(r.URL.Query().Get("wait"))
	if err != nil {
		return nil, err
	}
	v, over, ok := s.connects.look(id, s.Now())
	if !ok {
		return nil, noConnect(id)
	}
	if v.State != adminapi.ConnectWaiting || wait == 0 {
		return v, nil
	}
	timer := time.NewTimer(min(wait, max(v.ExpiresAt.Sub(s.Now()), 0)))
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	case <-s.ending:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	v, _, _ = s.connects.look(id, s.Now())
	return v, nil
}

// endConnect answers DELETE /api/v1/connects/{connect}: its page and code are no good
// any more.
func (s *Server) endConnect(r *http.Request) (any, error) {
	id, ok := parseID(r.PathValue("connect"))
	if !ok {
		return nil, &webhook.Invalid{Field: "connect", Value: clip(r.PathValue("connect")), Allowed: "a UUID, as POST /api/v1/connects gives it"}
	}
	if _, _, ok := s.connects.look(id, s.Now()); !ok {
		return nil, noConnect(id)
	}
	s.connects.end(id, adminapi.ConnectFailed, nil, "it was cancelled", false)
	return struct{}{}, nil
}

func waitOf(v string) (time.Duration, error) {
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > adminapi.MaxWait {
		return 0, &webhook.Invalid{Field: "wait", Value: clip(v), Allowed: "a duration from 0s to " + adminapi.MaxWait.String()}
	}
	return d, nil
}
