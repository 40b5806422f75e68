package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// pingEvery is how often a stream of events says that it is alive. A token that was
// revoked is looked at as often, besides at each event and at each revocation.
const pingEvery = 15 * time.Second

// eventStream is an answer that goes on until the caller leaves, the token is revoked or
// the daemon stops.
type eventStream struct {
	s     *Server
	wants func(*webhook.Change) bool
}

// events answers with a stream of what changes from now on, as Server-Sent Events.
func (s *Server) events(r *http.Request) (any, error) {
	hook, err := s.webhookQuery(r)
	if err != nil {
		return nil, err
	}
	var car uuid.UUID
	if v := r.URL.Query().Get("vehicle"); v != "" {
		if car, err = idOf("vehicle", v); err != nil {
			return nil, err
		}
	}
	return eventStream{s, func(c *webhook.Change) bool {
		return (hook == uuid.Nil || c.Webhook == hook) && (car == uuid.Nil || c.Vehicle == car)
	}}, nil
}

// send streams. Its error means that nothing was sent.
func (e eventStream) send(w http.ResponseWriter, r *http.Request) error {
	feed := e.s.Feed
	x := feed.follow(e.wants)
	if x == nil {
		return &adminapi.Error{Code: adminapi.CodeUnavailable, Message: "too many streams of events are open already", Hint: "end one of them"}
	}
	defer feed.leave(x)
	conn := http.NewResponseController(w)
	h := w.Header()
	h["content-type"] = []string{adminapi.EventStreamType}
	h["Content-Type"] = nil
	h["cache-control"] = []string{"no-store"}
	h["x-accel-buffering"] = []string{"no"} // or nginx keeps events back
	if t, ok := w.(*tracker); ok {
		t.endless = true
	}
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
		case <-e.s.ending:
			return nil
		case <-r.Context().Done():
			return nil
		}
		if isOverHTTP(r) && e.s.mayUse(r, toRead) != nil {
			return nil
		}
		changes, missed := feed.take(x)
		for i := range changes {
			if pushEvent(w, conn, string(changes[i].Kind), &changes[i]) != nil {
				return nil
			}
		}
		if missed > 0 && pushEvent(w, conn, adminapi.MissedEvent, adminapi.Missed{Missed: missed}) != nil {
			return nil
		}
	}
}

func pushEvent(w http.ResponseWriter, conn *http.ResponseController, name string, data any) error {
	var b bytes.Buffer
	b.WriteString("event: " + name + "\ndata: ")
	e := json.NewEncoder(&b) // it ends the line
	e.SetEscapeHTML(false)
	if err := e.Encode(data); err != nil {
		return err
	}
	b.WriteByte('\n')
	return push(w, conn, b.Bytes())
}

// push sends text at once; the caller has pieceTime to take it.
func push(w http.ResponseWriter, conn *http.ResponseController, text []byte) error {
	_ = conn.SetWriteDeadline(time.Now().Add(pieceTime)) // what is no connection has none
	if _, err := w.Write(text); err != nil {
		return err
	}
	return conn.Flush()
}
