package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

// connects begins and ends connects, and tells how they stand.
type connects struct {
	connects Connects
	ending   <-chan struct{}
	now      func() time.Time
}

// begin answers POST /api/v1/connects: an owner may connect vehicles of the source.
func (h connects) begin(_ *http.Request, n adminapi.NewConnect) (any, error) {
	begun, err := h.connects.Begin(n.Source)
	return created{begun}, err
}

func noConnect(id uuid.UUID) error {
	return &adminapi.Error{Code: adminapi.CodeNotFound, Message: fmt.Sprintf("connect %s: %v", id, webhook.ErrNotFound),
		Hint: "a connect does not outlive the daemon, nor two hours: begin another one"}
}

func connectID(r *http.Request) (uuid.UUID, error) {
	id, ok := web.ParseID(r.PathValue("connect"))
	if !ok {
		return id, &webhook.Invalid{Field: "connect", Value: web.Clip(r.PathValue("connect")),
			Allowed: "a UUID, as POST /api/v1/connects gives it"}
	}
	return id, nil
}

// show answers GET /api/v1/connects/{connect}; with wait it waits for the outcome.
func (h connects) show(r *http.Request) (any, error) {
	id, err := connectID(r)
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(r.URL.Query().Get("wait"))
	if err != nil {
		return nil, err
	}
	v, over, ok := h.connects.Look(id)
	if !ok {
		return nil, noConnect(id)
	}
	if v.State != adminapi.ConnectWaiting || wait == 0 {
		return v, nil
	}
	timer := time.NewTimer(min(wait, max(v.ExpiresAt.Sub(h.now()), 0)))
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	case <-h.ending:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	v, _, _ = h.connects.Look(id)
	return v, nil
}

// end answers DELETE /api/v1/connects/{connect}: its page and code are no good any more.
func (h connects) end(r *http.Request) (any, error) {
	id, err := connectID(r)
	if err != nil {
		return nil, err
	}
	if !h.connects.Cancel(id) {
		return nil, noConnect(id)
	}
	return struct{}{}, nil
}

func waitOf(v string) (time.Duration, error) {
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > adminapi.MaxWait {
		return 0, &webhook.Invalid{Field: "wait", Value: web.Clip(v), Allowed: "a duration from 0s to " + adminapi.MaxWait.String()}
	}
	return d, nil
}
