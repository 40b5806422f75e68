package adminapi

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"plugbeat/webhook"
)

// silence is how long a stream of events may say nothing: three of the daemon's pings.
const silence = 45 * time.Second

// maxEvent bounds one line of a stream, in bytes.
const maxEvent = 1 << 20

// EventsQuery chooses events; zero fields choose all.
type EventsQuery struct {
	Webhook string // id or name
	Vehicle string // name, id or the beginning of one
}

// Stream is an open stream of one kind of events. It is not safe for concurrent use.
type Stream[T any] struct {
	c       *conn
	body    io.ReadCloser
	lines   *bufio.Scanner
	patient *time.Timer
	cancel  context.CancelCauseFunc
	ended   func(error) error // says why the stream ended with the error
}

// Events is a stream of what changes.
type Events = Stream[webhook.Change]

// Events opens the stream of what changes from now on; the caller closes it.
func (c deliveryCalls) Events(ctx context.Context, q EventsQuery) (*Events, error) {
	v := url.Values{}
	if q.Webhook != "" {
		v.Set("webhook", q.Webhook)
	}
	if q.Vehicle != "" {
		v.Set("vehicle", q.Vehicle)
	}
	return openStream[webhook.Change](ctx, c.conn, c.path("events"), v)
}

func openStream[T any](ctx context.Context, c *conn, path string, q url.Values) (*Stream[T], error) {
	ctx, cancel := context.WithCancelCause(ctx)
	patient := time.AfterFunc(c.wait, func() { cancel(ErrNoAnswer) })
	res, err := c.send(ctx, http.MethodGet, path, q, nil) //nolint:bodyclose // Stream.Close closes it
	if err != nil {
		patient.Stop()
		cancel(nil)
		return nil, err
	}
	e := &Stream[T]{c: c, cancel: cancel, patient: patient, body: res.Body, ended: func(err error) error { return c.unreachable(ctx, err) }}
	patient.Reset(silence)
	e.lines = bufio.NewScanner(res.Body)
	e.lines.Buffer(nil, maxEvent)
	return e, nil
}

// Next waits for the next event, or for word that some were missed, whose number it
// returns then. Its error is how the stream ended.
func (e *Stream[T]) Next() (event T, missed int, err error) {
	var name string
	for e.lines.Scan() {
		e.patient.Reset(silence)
		field, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch {
		case field == "event":
			name = value
		case field != "data":
		case name == MissedEvent:
			var m Missed
			if err := json.Unmarshal([]byte(value), &m); err != nil {
				return event, 0, e.c.stranger("an event that is none: " + err.Error())
			}
			return event, m.Missed, nil
		default:
			if err := json.Unmarshal([]byte(value), &event); err != nil {
				return event, 0, e.c.stranger("an event that is none: " + err.Error())
			}
			return event, 0, nil
		}
	}
	err = e.lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return event, 0, e.ended(err)
}

// Close ends the stream.
func (e *Stream[T]) Close() {
	e.patient.Stop()
	e.cancel(nil)
	_ = e.body.Close()
}
