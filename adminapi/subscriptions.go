package adminapi

import (
	"context"
	"net/http"
	"time"

	"plugbeat/webhook"
)

// SubscriptionView is a subscription and its place in the due queue.
type SubscriptionView struct {
	webhook.Schedule
	// VehicleName is absent once the vehicle is disconnected.
	VehicleName   string         `json:"vehicle_name,omitempty"`
	WebhookName   string         `json:"webhook_name"`
	WebhookType   webhook.Type   `json:"webhook_type"`
	WebhookStatus webhook.Status `json:"webhook_status"`
	// WebhookSummary is the status in words, as [WebhookView.Summary] says it.
	WebhookSummary string `json:"webhook_summary"`
	// Cadence is the one in force for the schedule's plug state and the vehicle's make.
	Cadence string `json:"cadence"`
	// Parked is true while the webhook does not fire; Due is zero then.
	Parked bool `json:"parked"`
}

// Subscribe is the body of POST /subscriptions.
type Subscribe struct {
	// Webhook is an id or a name.
	Webhook string `json:"webhook"`
	// Vehicles or All, not both. Each is a name, an id or the beginning of one.
	Vehicles []string `json:"vehicles,omitempty"`
	All      bool     `json:"all,omitempty"`
	// Spread puts the vehicles' grids apart evenly over this time, "1h"; at
	// most the webhook's unplugged cadence. Empty starts all of them now.
	Spread string `json:"spread,omitempty"`
}

// Subscribed is the answer to POST /subscriptions.
type Subscribed struct {
	Subscribed int `json:"subscribed"`
	// Already counts those that were subscribed before; they are unchanged.
	Already  int              `json:"already"`
	Items    []SubscribedItem `json:"items"`
	Warnings []string         `json:"warnings,omitempty"`
	// Costs are as those of [WebhookAdded].
	Costs []string `json:"costs,omitempty"`
}

// SubscribedItem is one vehicle of a [Subscribed] answer.
type SubscribedItem struct {
	webhook.Subscription
	// Anchor is the moment this call asked due times to count from; zero when
	// Already.
	Anchor  time.Time `json:"anchor,omitzero"`
	Already bool      `json:"already"`
}

// Unsubscribed is the answer to DELETE /subscriptions/{webhook}/{vehicle}.
type Unsubscribed struct {
	// Removed is false when there was no such subscription.
	Removed bool `json:"removed"`
}

// subscriptionCalls are the calls about vehicles on webhooks.
type subscriptionCalls struct{ *conn }

// Subscriptions returns one page of the subscriptions of a webhook (id or name,
// empty for all) and a vehicle (name, id or the beginning of one, empty for all).
func (c subscriptionCalls) Subscriptions(ctx context.Context, webhookRef, vehicleRef, after string, limit int) (p Page[SubscriptionView], err error) {
	q := paging("after", after, limit)
	if webhookRef != "" {
		q.Set("webhook", webhookRef)
	}
	if vehicleRef != "" {
		q.Set("vehicle", vehicleRef)
	}
	return p, c.do(ctx, http.MethodGet, c.path("subscriptions"), q, nil, &p)
}

// Subscribe puts vehicles on a webhook.
func (c subscriptionCalls) Subscribe(ctx context.Context, s Subscribe) (a Subscribed, err error) {
	return a, c.within(slowPatience).do(ctx, http.MethodPost, c.path("subscriptions"), nil, s, &a)
}

// Unsubscribe takes a vehicle off a webhook; what was produced still leaves.
func (c subscriptionCalls) Unsubscribe(ctx context.Context, webhookRef, vehicleRef string) (a Unsubscribed, err error) {
	return a, c.do(ctx, http.MethodDelete, c.path("subscriptions", webhookRef, vehicleRef), nil, nil, &a)
}
