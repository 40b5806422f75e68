package adminapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/words"
)

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

// WebhookChange is the body of PATCH /webhooks/{id}.
type WebhookChange = webhook.SettingsChange

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
type Challenge = webhook.Challenge

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

// webhookCalls are the calls about webhooks.
type webhookCalls struct{ *conn }

// Cost tells what a webhook of this type, cadence and content costs at the sources that
// count calls; what it leaves empty is the daemon's default.
func (c webhookCalls) Cost(ctx context.Context, n NewWebhook) (costs Costs, err error) {
	q := url.Values{}
	for name, v := range map[string]string{
		"type": string(n.Type), "every": n.Cadence.Every, "unplugged": n.Cadence.Unplugged, "plugged_in": n.Cadence.PluggedIn,
		"zone":  n.Cadence.Zone,
		"paths": strings.Join(n.Content.Paths, ","),
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if n.Cadence.Fastest {
		q.Set("fastest", "true")
	}
	return costs, c.do(ctx, http.MethodGet, c.path("cost"), q, nil, &costs)
}

// Webhooks returns one page of the webhooks, by id. After is the Next of the page
// before, or empty; limit 0 is [DefaultLimit].
func (c webhookCalls) Webhooks(ctx context.Context, after string, limit int) (p Page[WebhookView], err error) {
	return p, c.do(ctx, http.MethodGet, c.path("webhooks"), paging("after", after, limit), nil, &p)
}

// Webhook returns a webhook by id or name.
func (c webhookCalls) Webhook(ctx context.Context, ref string) (w WebhookView, err error) {
	return w, c.do(ctx, http.MethodGet, c.path("webhooks", ref), nil, nil, &w)
}

// AddWebhook adds a webhook, unverified.
func (c webhookCalls) AddWebhook(ctx context.Context, n NewWebhook) (a WebhookAdded, err error) {
	return a, c.do(ctx, http.MethodPost, c.path("webhooks"), nil, n, &a)
}

// ChangeWebhook changes a webhook; a new callback URI needs verifying again.
func (c webhookCalls) ChangeWebhook(ctx context.Context, ref string, ch WebhookChange) (a WebhookChanged, err error) {
	return a, c.do(ctx, http.MethodPatch, c.path("webhooks", ref), nil, ch, &a)
}

// RemoveWebhook removes a webhook, its subscriptions and what waits.
func (c webhookCalls) RemoveWebhook(ctx context.Context, ref string) (a Cancelled, err error) {
	return a, c.within(slowPatience).do(ctx, http.MethodDelete, c.path("webhooks", ref), nil, nil, &a)
}

// VerifyWebhook sends a challenge; a wrong answer is [CodeChallengeFailed].
func (c webhookCalls) VerifyWebhook(ctx context.Context, ref string) (a Verified, err error) {
	return a, c.within(challengeTime).do(ctx, http.MethodPost, c.path("webhooks", ref, "verify"), nil, nil, &a)
}

// TestWebhook sends a test payload and returns what came of it.
func (c webhookCalls) TestWebhook(ctx context.Context, ref string) (a webhook.Attempt, err error) {
	return a, c.within(challengeTime).do(ctx, http.MethodPost, c.path("webhooks", ref, "test"), nil, nil, &a)
}

// ChangeKey makes one step of the rotation of a webhook's signing key.
func (c webhookCalls) ChangeKey(ctx context.Context, ref string, k KeyChange) (a KeyChanged, err error) {
	return a, c.within(challengeTime).do(ctx, http.MethodPost, c.path("webhooks", ref, "key"), nil, k, &a)
}

// EnableWebhook enables a disabled webhook, after a right answer to a challenge
// unless forced. An empty policy is the webhook's own.
func (c webhookCalls) EnableWebhook(ctx context.Context, ref string, force bool, policy webhook.Policy) (w webhook.Webhook, err error) {
	q := url.Values{}
	if force {
		q.Set("force", "true")
	}
	if policy != "" {
		q.Set("recover", string(policy))
	}
	return w, c.within(challengeTime).do(ctx, http.MethodPost, c.path("webhooks", ref, "enable"), q, nil, &w)
}

// RecoverWebhook applies a policy to what waits at a webhook; an empty one is the
// webhook's own.
func (c webhookCalls) RecoverWebhook(ctx context.Context, ref string, policy webhook.Policy) (w webhook.Webhook, err error) {
	return w, c.within(slowPatience).do(ctx, http.MethodPost, c.path("webhooks", ref, "recover"), nil, Recover{Policy: policy}, &w)
}

// DisableWebhook stops a webhook's due times and deliveries until it is enabled.
func (c webhookCalls) DisableWebhook(ctx context.Context, ref string) (w webhook.Webhook, err error) {
	return w, c.do(ctx, http.MethodPost, c.path("webhooks", ref, "disable"), nil, nil, &w)
}
