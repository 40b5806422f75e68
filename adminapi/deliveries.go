package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// DeliveryQuery selects deliveries. Zero fields select all.
type DeliveryQuery struct {
	Webhook string // id or name
	Vehicle string // name, id or the beginning of one
	State   webhook.State
	// Since and Until bound the creation time.
	Since, Until time.Time
	// Before is the Next of the page before.
	Before string
	// Limit is 1 to MaxLimit; 0 is DefaultLimit.
	Limit int
}

// ListedDelivery is a delivery as lists have it.
type ListedDelivery struct {
	webhook.Delivery
	// VehicleName is absent once the vehicle is disconnected.
	VehicleName string `json:"vehicle_name,omitempty"`
}

// AttemptView is an attempt as it is shown.
type AttemptView struct {
	webhook.Attempt
	// BodyText is the answer's body where it is text; Body has its bytes.
	BodyText string `json:"body_text,omitempty"`
}

// DeliveryView is a delivery with its attempts and payload.
type DeliveryView struct {
	Delivery webhook.Delivery `json:"delivery"`
	Attempts []AttemptView    `json:"attempts"`
	// Payload is the body as it was sent; null once it was erased.
	Payload json.RawMessage `json:"payload"`
	// Webhook and Vehicle are those of the delivery; absent once removed.
	Webhook *WebhookView     `json:"webhook,omitempty"`
	Vehicle *vehicle.Vehicle `json:"vehicle,omitempty"`
	// Behind is an earlier delivery of the same webhook and vehicle that waits;
	// this one leaves after it. Absent when there is none.
	Behind *uuid.UUID `json:"behind,omitempty"`
}

// ResendRequest is the body of POST /deliveries/resend: which finished deliveries of a
// webhook are resent.
type ResendRequest struct {
	Webhook string        `json:"webhook"`           // id or name
	Vehicle string        `json:"vehicle,omitempty"` // name, id or the beginning of one
	State   webhook.State `json:"state,omitempty"`
	// Since and Until bound the creation time: a time, or how long ago ("2h").
	Since string `json:"since,omitempty"`
	Until string `json:"until,omitempty"`
	// DryRun counts and makes nothing.
	DryRun bool `json:"dry_run,omitempty"`
}

// Resent is the answer to POST /deliveries/resend.
type Resent struct {
	// Plan is what was counted first.
	Plan webhook.ResendPlan `json:"plan"`
	// Made is how many deliveries were made, which wait now; 0 of a dry run.
	Made int `json:"made"`
}

// The media type of GET /events, and the name of the event that tells of missed ones.
const (
	EventStreamType = "text/event-stream"
	MissedEvent     = "missed"
)

// Missed is the data of a [MissedEvent].
type Missed struct {
	// Missed is how many events the reader of the stream was too slow for.
	Missed int `json:"missed"`
}

// deliveryCalls are the calls about deliveries and events.
type deliveryCalls struct{ *conn }

// Deliveries returns one page of deliveries, newest first.
func (c deliveryCalls) Deliveries(ctx context.Context, f DeliveryQuery) (p Page[ListedDelivery], err error) {
	q := paging("before", f.Before, f.Limit)
	if f.Webhook != "" {
		q.Set("webhook", f.Webhook)
	}
	for name, v := range map[string]string{"vehicle": f.Vehicle, "state": string(f.State), "since": timeText(f.Since),
		"until": timeText(f.Until)} {
		if v != "" {
			q.Set(name, v)
		}
	}
	return p, c.do(ctx, http.MethodGet, c.path("deliveries"), q, nil, &p)
}

// Delivery returns a delivery with its attempts and payload.
func (c deliveryCalls) Delivery(ctx context.Context, id uuid.UUID) (d DeliveryView, err error) {
	return d, c.do(ctx, http.MethodGet, c.path("deliveries", id.String()), nil, nil, &d)
}

// ResendAll resends a part of a webhook's past, or counts what that would be.
func (c deliveryCalls) ResendAll(ctx context.Context, r ResendRequest) (a Resent, err error) {
	return a, c.within(resendTime).do(ctx, http.MethodPost, c.path("deliveries", "resend"), nil, r, &a)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Resend sends a finished delivery once more and returns the new one.
func (c deliveryCalls) Resend(ctx context.Context, id uuid.UUID) (d DeliveryView, err error) {
	return d, c.do(ctx, http.MethodPost, c.path("deliveries", id.String(), "resend"), nil, nil, &d)
}
