package adminapi

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// Limits of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 500
)

// Page is one page of a list.
type Page[T any] struct {
	// Items is never null.
	Items []T `json:"items"`
	// Next continues the list when given as the next request's after (before,
	// for deliveries); empty on the last page. It is opaque.
	Next string `json:"next"`
}

// Version says what is running.
type Version struct {
	Version string `json:"version"` // "v0.1.0" or "devel"
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"` // "go1.26.0"
}

// NewWebhook is the body of POST /webhooks.
type NewWebhook struct {
	// ID brings an old webhook's id along; nil makes one.
	ID *uuid.UUID `json:"id,omitempty"`
	// Name is as [webhook.CheckName] takes it, and unique.
	Name        string          `json:"name"`
	Type        webhook.Type    `json:"type,omitempty"` // empty is dynamic
	CallbackURI string          `json:"callback_uri"`
	Cadence     webhook.Cadence `json:"cadence,omitzero"`
	Content     webhook.Content `json:"content,omitzero"`
	Signing     webhook.Signing `json:"signing,omitempty"` // empty takes the daemon's default
	// SigningKey brings an old Standard Webhooks key along ("whsec_..."); empty
	// makes one.
	SigningKey   string `json:"signing_key,omitempty"`
	AllowPrivate bool   `json:"allow_private,omitempty"`
	// Recover says what of a backlog leaves when the webhook comes back; empty
	// takes the daemon's default.
	Recover webhook.Policy `json:"recover,omitempty"`
}

// WebhookAdded is the answer to POST /webhooks.
type WebhookAdded struct {
	Webhook webhook.Webhook `json:"webhook"`
	// SigningKey is shown this once, as "whsec_...".
	SigningKey string `json:"signing_key"`
	// Warnings are about the cadence: faster than a connected vehicle's make
	// stands. May be empty.
	Warnings []string `json:"warnings,omitempty"`
	// Costs say what the cadence costs at sources that count calls, and what their
	// budgets reach for. May be empty.
	Costs []string `json:"costs,omitempty"`
}

// Costs is the answer to GET /cost: what a cadence costs, before it is used.
type Costs struct {
	// Lines has a line for each source that counts calls; never null.
	Lines []string `json:"lines"`
}

// WebhookView is a webhook with what the daemon knows beside its record.
type WebhookView struct {
	webhook.Webhook
	Derived
}

// Summary is the webhook's status in a few words; every list and table says it so.
func (v WebhookView) Summary() string {
	w := &v.Webhook
	switch {
	case w.Status == webhook.Disabled:
		return fmt.Sprintf("disabled (%s)", w.Reason)
	case w.Failing() && v.Retries > 0:
		return fmt.Sprintf("failing, %d of %d probes spent", w.Breaker.Step, v.Retries)
	case w.Failing():
		return fmt.Sprintf("failing, %s spent", words.Count(w.Breaker.Step, "probe"))
	case w.Status == webhook.Active && w.Breaker.Open():
		return "enabled, its probe is to arrive first"
	}
	return string(w.Status)
}

// Derived is what follows for a webhook from the daemon's config.
type Derived struct {
	// Retries is the length of the retry schedule: how many probes fail before the
	// webhook is disabled; 0 where it is not known.
	Retries int `json:"retries,omitempty"`
	// Effective is the cadence in force: the webhook's own, the daemon's default
	// where it sets none. Its zone is empty for UTC.
	Effective webhook.Cadence `json:"effective_cadence"`
	// EffectiveRecover is the policy in force, in the same way.
	EffectiveRecover webhook.Policy `json:"effective_recover"`
	// ETag names the settings as they stand. A change or removal that sends it as
	// If-Match is refused once another operator has changed them.
	ETag string `json:"etag"`
}

// WebhookChange is the body of PATCH /webhooks/{id}; nil leaves a field as it is.
type WebhookChange struct {
	Name         *string          `json:"name,omitempty"`
	CallbackURI  *string          `json:"callback_uri,omitempty"`
	Cadence      *webhook.Cadence `json:"cadence,omitempty"`
	Content      *webhook.Content `json:"content,omitempty"`
	Signing      *webhook.Signing `json:"signing,omitempty"`
	AllowPrivate *bool            `json:"allow_private,omitempty"`
	Recover      *webhook.Policy  `json:"recover,omitempty"` // empty returns to the daemon's default
}

// WebhookChanged is the answer to PATCH /webhooks/{id}.
type WebhookChanged struct {
	Webhook webhook.Webhook `json:"webhook"`
	Derived
	Warnings []string `json:"warnings,omitempty"`
	// Costs say what the cadence costs at sources that count calls, and what their
	// budgets reach for. May be empty.
	Costs []string `json:"costs,omitempty"`
}

// KeyStep is a step of the rotation of a webhook's signing key.
type KeyStep string

// The steps of a rotation.
const (
	KeyRotate KeyStep = "rotate" // make a new key; both sign until the overlap ends
	KeyTry    KeyStep = "try"    // ask the receiver whether it can do without the old one
	KeyFinish KeyStep = "finish" // end the overlap now: the new one stays
	KeyCancel KeyStep = "cancel" // take the rotation back: the old one stays
)

// KeyChange is the body of POST /webhooks/{id}/key.
type KeyChange struct {
	Step KeyStep `json:"step"`
	// Overlap is for rotate: how long the old key signs beside the new one, "0s" to
	// "720h"; empty is "24h".
	Overlap string `json:"overlap,omitempty"`
	// Force is for finish: do not ask the receiver first.
	Force bool `json:"force,omitempty"`
}

// DefaultKeyOverlap is how long two keys sign where nothing is said of it.
const DefaultKeyOverlap = 24 * time.Hour

// KeyChanged is the answer to POST /webhooks/{id}/key.
type KeyChanged struct {
	Webhook webhook.Webhook `json:"webhook"`
	// SigningKey is the new key, "whsec_...", shown this once; of rotate only.
	SigningKey string `json:"signing_key,omitempty"`
	// Attempt is what came of a test payload signed with the new key alone; of try,
	// and of finish where the receiver was asked.
	Attempt *webhook.Attempt `json:"attempt,omitempty"`
}

// Recover is the body of POST /webhooks/{id}/recover.
type Recover struct {
	// Policy is all, latest or none; empty takes the webhook's.
	Policy webhook.Policy `json:"recover,omitempty"`
}

// Challenge is what a receiver made of a verification challenge.
type Challenge struct {
	// Status is the HTTP status, 0 where there was no answer.
	Status   int           `json:"status"`
	Duration time.Duration `json:"duration"`
	// Text says in words what the receiver answered.
	Text string `json:"text"`
	// Token is the fingerprint of the management token that it answered with; absent
	// unless the answer was right.
	Token string `json:"token,omitempty"`
	// Address is the address dialled, host:port. ContentType, RetryAfter and Body are of
	// the answer, as an attempt keeps them; Body is empty where it is no text.
	Address     string        `json:"address,omitempty"`
	ContentType string        `json:"content_type,omitempty"`
	RetryAfter  time.Duration `json:"retry_after,omitempty"`
	Body        string        `json:"body,omitempty"`
}

// Verified is the answer to POST /webhooks/{id}/verify. A wrong answer of the
// receiver is an [Error] with [CodeChallengeFailed] instead.
type Verified struct {
	Webhook   webhook.Webhook `json:"webhook"`
	Challenge Challenge       `json:"challenge"`
	// Subscribed is true when the webhook has a vehicle.
	Subscribed bool `json:"subscribed"`
}

// Cancelled is the answer to removing a webhook or disconnecting a vehicle.
type Cancelled struct {
	// Cancelled counts the waiting deliveries that will never leave.
	Cancelled int `json:"cancelled"`
}

// VehicleView is a vehicle with what is known of it.
type VehicleView struct {
	Vehicle vehicle.Vehicle `json:"vehicle"`
	Status  vehicle.Status  `json:"status"`
	// Subscriptions is only in the answer for a single vehicle.
	Subscriptions []SubscriptionView `json:"subscriptions,omitempty"`
}

// Connect is the body of POST /vehicles/connect.
type Connect struct {
	// Source is the name of a configured source.
	Source string `json:"source"`
	// RefreshToken is the vendor's; empty for sources that need none.
	RefreshToken string `json:"refresh_token,omitempty"`
}

// Connected is the answer to POST /vehicles/connect.
type Connected struct {
	Vehicles []vehicle.Vehicle `json:"vehicles"`
}

// SubscriptionView is a subscription and its place in the due queue.
type SubscriptionView struct {
	webhook.Schedule
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
	// Vehicles or All, not both.
	Vehicles []uuid.UUID `json:"vehicles,omitempty"`
	All      bool        `json:"all,omitempty"`
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

// DeliveryQuery selects deliveries. Zero fields select all.
type DeliveryQuery struct {
	Webhook string // id or name
	Vehicle uuid.UUID
	State   webhook.State
	// Since and Until bound the creation time.
	Since, Until time.Time
	// Before is the Next of the page before.
	Before string
	// Limit is 1 to MaxLimit; 0 is DefaultLimit.
	Limit int
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

// TokenKind says whose a token is. Neither kind works in place of the other.
type TokenKind string

// The kinds of tokens.
const (
	AccessToken   TokenKind = "access"   // an application's, for /v2.0
	ConsentToken  TokenKind = "consent"  // those that an application has by an owner's consent
	OperatorToken TokenKind = "operator" // an operator's, for /api/v1 over HTTP
)

// ResendRequest is the body of POST /deliveries/resend: which finished deliveries of a
// webhook are resent.
type ResendRequest struct {
	Webhook string        `json:"webhook"` // id or name
	Vehicle *uuid.UUID    `json:"vehicle,omitempty"`
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

// MaxWait bounds how long [Client.Connect] has the daemon wait.
const MaxWait = time.Minute

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

// TokenView is a token without the token.
type TokenView struct {
	Name string    `json:"name"`
	Kind TokenKind `json:"kind"`
	// Scope is what an operator's token may do; absent for an access token.
	Scope access.Scope `json:"scope,omitempty"`
	// Vehicles lists the vehicles an access token reaches; empty means all, and of a
	// consent none.
	Vehicles  []uuid.UUID `json:"vehicles"`
	CreatedAt time.Time   `json:"created_at"`
	// LastUsedAt is when it was last used, to the hour; absent for never. Of a consent it
	// is when the application last got tokens.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// NewToken is the body of POST /tokens.
type NewToken struct {
	// Name is as [webhook.CheckName] takes it, and unique.
	Name string `json:"name"`
	// Scope makes an operator's token; without it an access token is made.
	Scope access.Scope `json:"scope,omitempty"`
	// Vehicles limits an access token to these; empty means all.
	Vehicles []uuid.UUID `json:"vehicles,omitempty"`
}

// TokenAdded is the answer to POST /tokens.
type TokenAdded struct {
	Name  string       `json:"name"`
	Kind  TokenKind    `json:"kind"`
	Scope access.Scope `json:"scope,omitempty"`
	// Vehicles lists the vehicles an access token reaches; empty means all.
	Vehicles []uuid.UUID `json:"vehicles"`
	// Token is shown this once; only its SHA-256 is kept.
	Token string `json:"token"`
}

// TokenHas says which management token a receiver has.
type TokenHas string

// What a receiver may have.
const (
	HasPresent TokenHas = "present" // the one that the next is to replace
	HasNext    TokenHas = "next"
	HasUnknown TokenHas = "unknown" // it has answered no challenge with either
)

// ManagementToken is the answer to GET /management-token: which tokens there are, and
// who has which. The tokens themselves are not in it.
type ManagementToken struct {
	// Fingerprint is the first 8 hex digits of the SHA-256 of the present token.
	Fingerprint string `json:"fingerprint"`
	// Next is that of the token that is to replace it; absent while no rotation is
	// going on.
	Next string `json:"next,omitempty"`
	// UsedAt and NextUsedAt are when a caller last used either to unsubscribe, to the
	// hour; absent for never.
	UsedAt     time.Time `json:"used_at,omitzero"`
	NextUsedAt time.Time `json:"next_used_at,omitzero"`
	// Webhooks are all webhooks, by name; never null.
	Webhooks []TokenHolder `json:"webhooks"`
}

// TokenHolder is a webhook and the management token that its receiver has.
type TokenHolder struct {
	ID     uuid.UUID      `json:"id"`
	Name   string         `json:"name"`
	Status webhook.Status `json:"status"`
	// Has goes by the last challenge that was answered rightly, At that time.
	Has TokenHas  `json:"has"`
	At  time.Time `json:"at,omitzero"`
	// Challenge is what was answered just now; only after POST /management-token/try.
	Challenge *Challenge `json:"challenge,omitempty"`
}

// Problem is something the check found in the data file.
type Problem struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Text   string `json:"text"`
}

// Checked is the answer to POST /check. No problems means the file is sound.
type Checked struct {
	Problems []Problem     `json:"problems"`
	Bytes    int64         `json:"bytes"` // size of the copy that was checked
	Duration time.Duration `json:"duration"`
}

// NewConnect is the body of POST /connects.
type NewConnect struct {
	// Source is the name of a configured source.
	Source string `json:"source"`
}

// ConnectBegun is the answer to POST /connects.
type ConnectBegun struct {
	ID     uuid.UUID `json:"id"`
	Source string    `json:"source"`
	// URL is the page that the owner opens.
	URL string `json:"url"`
	// Code is the one-time code that the page asks for, shown this once; empty where
	// the owner signs in at the vendor.
	Code      string    `json:"code,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ConnectState is how a connect stands.
type ConnectState string

// The states of a connect.
const (
	ConnectWaiting ConnectState = "waiting"
	ConnectDone    ConnectState = "connected"
	ConnectFailed  ConnectState = "failed"
	ConnectExpired ConnectState = "expired"
)

// ConnectView is how a connect stands.
type ConnectView struct {
	ID     uuid.UUID    `json:"id"`
	Source string       `json:"source"`
	State  ConnectState `json:"state"`
	// Vehicles are those that were connected.
	Vehicles []vehicle.Vehicle `json:"vehicles"`
	// Reason says why it failed.
	Reason string `json:"reason,omitempty"`
	// Application tells that the owner came from the application, which reaches the
	// vehicles now.
	Application bool      `json:"application,omitempty"`
	ExpiresAt   time.Time `json:"expires_at"`
}
