package admin

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
	"plugbeat/words"
)

// webhooks keeps webhooks.
type webhooks struct {
	views
	costs      costs
	deliveries Deliveries
	scheduler  Scheduler
	signing    webhook.Signing
}

func (h webhooks) list(r *http.Request) (any, error) {
	page, err := web.ReadPaging(r, "after", web.ListWebhooks)
	if err != nil {
		return nil, err
	}
	after, err := page.ID()
	if err != nil {
		return nil, err
	}
	all, err := h.store.Webhooks(r.Context())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b webhook.Webhook) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	all = slices.DeleteFunc(all, func(w webhook.Webhook) bool { return after != uuid.Nil && bytes.Compare(w.ID[:], after[:]) <= 0 })
	var shown []adminapi.WebhookView
	for i := range all[:min(len(all), page.Limit+1)] {
		shown = append(shown, h.view(&all[i]))
	}
	return web.PageOf(page, shown, func(w adminapi.WebhookView) string { return w.ID.String() }), nil
}

func (h webhooks) add(r *http.Request) (any, error) {
	var n adminapi.NewWebhook
	if err := decode(r, &n); err != nil {
		return nil, err
	}
	if n.AllowPrivate && web.IsOverHTTP(r) {
		return nil, privateBySocket(fmt.Sprintf("plugbeat webhook add --name %s --callback URI --allow-private", words.Shell(n.Name)))
	}
	w := webhook.Webhook{Name: n.Name, Type: n.Type, CallbackURI: n.CallbackURI, Cadence: n.Cadence, Content: n.Content, Signing: n.Signing,
		AllowPrivate: n.AllowPrivate, Recover: n.Recover}
	if n.ID != nil {
		if *n.ID == uuid.Nil {
			return nil, &webhook.Invalid{Field: "id", Value: n.ID.String(), Allowed: "a UUID other than this one"}
		}
		w.ID = *n.ID
	}
	if w.Type == "" {
		w.Type = webhook.TypeDynamic
	}
	if w.Signing == "" {
		w.Signing = h.signing
	}
	if err := errors.Join(webhook.CheckName(w.Name), webhook.CheckType(w.Type), webhook.CheckContent(w.Type, w.Content),
		webhook.CheckCallback(w.CallbackURI), webhook.CheckSigning(w.Signing), webhook.CheckPolicy(w.Recover)); err != nil {
		return nil, first(err)
	}
	warnings, costs, err := h.costs.check(r.Context(), &w)
	if err != nil {
		return nil, err
	}
	if n.SigningKey != "" {
		if w.Key, err = signing.ParseKey(n.SigningKey); err != nil {
			return nil, err
		}
	}
	if w, err = h.deliveries.Add(r.Context(), w); err != nil {
		return nil, err
	}
	return created{tagged{web.ETagOf(&w), adminapi.WebhookAdded{Webhook: w, SigningKey: signing.FormatKey(w.Key), Warnings: warnings,
		Costs: costs}}}, nil
}

// privateBySocket refuses to widen, over HTTP, what plugbeat sends requests to: who
// holds a token must not reach what only the daemon's machine does.
func privateBySocket(command string) error {
	return &adminapi.Error{Code: adminapi.CodeForbidden,
		Message: "allow_private lets plugbeat send to private and loopback addresses, so it is granted over the daemon's socket only",
		Field:   "allow_private", Hint: "on the daemon's machine: " + command + "; or list the network in delivery.allow of the config"}
}

// samePlaces is the check of a change over HTTP: it must not grant allow_private,
// nor point a webhook that has it at another callback.
func samePlaces(c adminapi.WebhookChange) webhook.Check {
	return func(w *webhook.Webhook) error {
		private := w.AllowPrivate
		if c.AllowPrivate != nil {
			private = *c.AllowPrivate
		}
		moved := c.CallbackURI != nil && *c.CallbackURI != w.CallbackURI
		if private && (moved || !w.AllowPrivate) {
			return privateBySocket(fmt.Sprintf("plugbeat webhook change %s --allow-private --callback URI", words.Shell(w.Name)))
		}
		return nil
	}
}

// first returns the first of joined errors: an answer is about one field.
func first(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()[0]
	}
	return err
}

func (h webhooks) show(r *http.Request, w webhook.Webhook) (any, error) {
	return tagged{web.ETagOf(&w), h.view(&w)}, nil
}

func (h webhooks) change(r *http.Request, w webhook.Webhook) (any, error) {
	checks, err := web.IfMatch(r)
	if err != nil {
		return nil, err
	}
	var c adminapi.WebhookChange
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	if c == (adminapi.WebhookChange{}) {
		return nil, &webhook.Invalid{Field: "body", Value: "{}",
			Allowed: "at least one of name, callback_uri, cadence, content, signing, allow_private, recover"}
	}
	if c.Name != nil {
		err = errors.Join(err, webhook.CheckName(*c.Name))
	}
	if c.CallbackURI != nil {
		err = errors.Join(err, webhook.CheckCallback(*c.CallbackURI))
	}
	if c.Content != nil {
		err = errors.Join(err, webhook.CheckContent(w.Type, *c.Content))
	}
	if c.Signing != nil {
		err = errors.Join(err, webhook.CheckSigning(*c.Signing))
	}
	if c.Recover != nil {
		err = errors.Join(err, webhook.CheckPolicy(*c.Recover))
	}
	if err != nil {
		return nil, first(err)
	}
	var warnings, costs []string
	if c.Cadence != nil {
		w.Cadence = *c.Cadence
		if warnings, costs, err = h.costs.check(r.Context(), &w); err != nil {
			return nil, err
		}
	}
	if web.IsOverHTTP(r) {
		checks = append(checks, samePlaces(c))
	}
	changed, err := h.deliveries.Change(r.Context(), w.ID, c, checks...)
	if err != nil {
		return nil, err
	}
	if c.Content != nil { // it may send more now than owners allowed
		if err := web.EndBeyond(r.Context(), h.store, h.scheduler, &changed); err != nil {
			return nil, err
		}
	}
	return tagged{web.ETagOf(&changed), adminapi.WebhookChanged{Webhook: changed, Derived: h.derived(&changed), Warnings: warnings,
		Costs: costs}}, nil
}

func (h webhooks) remove(r *http.Request, w webhook.Webhook) (any, error) {
	checks, err := web.IfMatch(r)
	if err != nil {
		return nil, err
	}
	n, err := h.deliveries.Remove(r.Context(), w.ID, checks...)
	return adminapi.Cancelled{Cancelled: n}, err
}

func (h webhooks) verify(r *http.Request, w webhook.Webhook) (any, error) {
	v, answer, err := h.deliveries.Verify(r.Context(), w.ID)
	if err != nil {
		return nil, challengeError(about(&w, err), answer)
	}
	subs, err := h.store.Subscriptions(r.Context(), w.ID, uuid.Nil, webhook.SubscriptionKey{}, 1)
	// It is verified, whether or not this could be read.
	return adminapi.Verified{Webhook: v, Challenge: answer, Subscribed: err != nil || len(subs) > 0}, nil
}

// challengeError adds what the receiver answered.
func challengeError(err error, answer webhook.Challenge) error {
	if !errors.Is(err, webhook.ErrChallenge) {
		return err
	}
	e := web.APIErrorOf(err)
	if answer != (webhook.Challenge{}) {
		e.Challenge = &answer
	}
	e.Hint = `the receiver must answer with 2xx and {"challenge": hex HMAC-SHA256 of payload.challenge, keyed with the management token}`
	return e
}

func (h webhooks) test(r *http.Request, w webhook.Webhook) (any, error) {
	a, err := h.deliveries.Test(r.Context(), w.ID)
	return a, err
}

func (h webhooks) enable(r *http.Request, w webhook.Webhook) (any, error) {
	var force bool
	var err error
	if v := r.URL.Query().Get("force"); v != "" {
		if force, err = strconv.ParseBool(v); err != nil {
			return nil, &webhook.Invalid{Field: "force", Value: web.Clip(v), Allowed: "true or false"}
		}
	}
	enabled, answer, err := h.deliveries.Enable(r.Context(), w.ID, force, webhook.Policy(r.URL.Query().Get("recover")))
	switch {
	case errors.Is(err, webhook.ErrConflict):
		return nil, &web.Hinted{Err: err, Hint: "its callback proves itself by a challenge: plugbeat webhook verify " + words.Shell(w.Name) +
			"; a receiver that cannot answer one gets its deliveries by: plugbeat bridge " + words.Shell(w.CallbackURI)}
	case err != nil:
		return nil, challengeError(about(&w, err), answer)
	}
	return enabled, nil
}

func (h webhooks) disable(r *http.Request, w webhook.Webhook) (any, error) {
	disabled, err := h.deliveries.Disable(r.Context(), w.ID)
	return disabled, err
}

func (h webhooks) backlog(r *http.Request, w webhook.Webhook) (any, error) {
	var body adminapi.Recover
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	recovering, err := h.deliveries.Recover(r.Context(), w.ID, body.Policy)
	return recovering, err
}
