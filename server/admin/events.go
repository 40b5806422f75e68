package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

// events opens streams of events.
type events struct {
	lookup
	*Options
}

// pingEvery is how often a stream of events says that it is alive. A token that was
// revoked is looked at as often, besides at each event and at each revocation.
const pingEvery = 15 * time.Second

// eventStream is an answer that goes on until the caller leaves, the token is revoked or
// the daemon stops.
type eventStream[T any] struct {
	*Options
	// open begins to follow; nil where too many do. The answer ends it with leave.
	open func() (x *inbox[T], leave func())
	// name is an event's.
	name func(*T) string
}

// follow answers with a stream of what changes from now on, as Server-Sent Events.
func (e events) follow(r *http.Request) (any, error) {
	key, err := e.filter(r)
	if err != nil {
		return nil, err
	}
	wants := func(c *webhook.Change) bool {
		return (key.Webhook == uuid.Nil || c.Webhook == key.Webhook) && (key.Vehicle == uuid.Nil || c.Vehicle == key.Vehicle)
	}
	open := func() (*inbox[webhook.Change], func()) {
		x := e.Feed.follow(wants)
		if x == nil {
			return nil, nil
		}
		return x.inbox, func() { e.Feed.leave(x) }
	}
	return eventStream[webhook.Change]{e.Options, open, func(c *webhook.Change) string { return string(c.Kind) }}, nil
}

// send streams. Its error means that nothing was sent.
func (e eventStream[T]) send(w http.ResponseWriter, r *http.Request) error {
	x, leave := e.open()
	if x == nil {
		return &adminapi.Error{Code: adminapi.CodeUnavailable, Message: "too many streams of events are open already", Hint: "end one of them"}
	}
	defer leave()
	conn := http.NewResponseController(w)
	h := w.Header()
	h["content-type"] = []string{adminapi.EventStreamType}
	h["Content-Type"] = nil
	h["cache-control"] = []string{"no-store"}
	h["x-accel-buffering"] = []string{"no"} // or nginx keeps events back
	web.Endless(w)
	w.WriteHeader(http.StatusOK)
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for text := []byte("retry: 1000\n\n"); ; {
		if push(w, conn, text) != nil {
			return nil // the caller has left, or takes nothing any more
		}
		text = nil
		select {
		case <-x.wake:
		case <-ping.C:
			text = []byte(": ping\n\n")
		case <-e.Ending:
			return nil
		case <-r.Context().Done():
			return nil
		}
		if web.IsOverHTTP(r) && e.Auth.MayUse(r, web.ToRead) != nil {
			return nil
		}
		came, missed := x.take()
		for i := range came {
			if pushEvent(w, conn, e.name(&came[i]), &came[i]) != nil {
				return nil
			}
		}
		if missed > 0 && pushEvent(w, conn, adminapi.MissedEvent, adminapi.Missed{Missed: missed}) != nil {
			return nil
		}
	}
}

func pushEvent(w http.ResponseWriter, conn *http.ResponseController, name string, data any) error {
	line, err := web.JSON(data) // it ends the line
	if err != nil {
		return err
	}
	return push(w, conn, slices.Concat([]byte("event: "+name+"\ndata: "), line, []byte("\n")))
}

// push sends text at once; the caller has pieceTime to take it.
func push(w http.ResponseWriter, conn *http.ResponseController, text []byte) error {
	_ = conn.SetWriteDeadline(time.Now().Add(pieceTime)) // what is no connection has none
	if _, err := w.Write(text); err != nil {
		return err
	}
	return conn.Flush()
}
