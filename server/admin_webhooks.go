package server

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

func (s *Server) webhooks(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	after, err := idCursorOf(r, "after", listWebhooks)
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Webhooks(r.Context())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b webhook.Webhook) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	all = slices.DeleteFunc(all, func(w webhook.Webhook) bool { return after != uuid.Nil && bytes.Compare(w.ID[:], after[:]) <= 0 })
	var views []adminapi.WebhookView
	for i := range all[:min(len(all), limit+1)] {
		views = append(views, s.view(&all[i]))
	}
	return pageOf(views, limit, listWebhooks, func(w adminapi.WebhookView) string { return w.ID.String() }), nil
}

func (s *Server) addWebhook(r *http.Request) (any, error) {
	var n adminapi.NewWebhook
	if err := decode(r, &n); err != nil {
		return nil, err
	}
	if n.AllowPrivate && isOverHTTP(r) {
		return nil, privateBySocket(fmt.Sprintf("plugbeat webhook add --name %s --callback URI --allow-private", shellWord(n.Name)))
	}
	w := webhook.Webhook{Name: n.Name, Type: n.Type, CallbackURI: n.CallbackURI, Cadence: n.Cadence, Content: n.Content, Signing: n.Signing, AllowPrivate: n.AllowPrivate, Recover: n.Recover}
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
		w.Signing = s.Signing
	}
	if err := errors.Join(webhook.CheckName(w.Name), webhook.CheckType(w.Type), webhook.CheckContent(w.Type, w.Content), webhook.CheckCallback(w.CallbackURI), webhook.CheckSigning(w.Signing), webhook.CheckPolicy(w.Recover)); err != nil {
		return nil, first(err)
	}
	warnings, costs, err := s.checkCadence(r.Context(), &w)
	if err != nil {
		return nil, err
	}
	if n.SigningKey != "" {
		if w.Key, err = signing.ParseKey(n.SigningKey); err != nil {
			return nil, err
		}
	}
	if w, err = s.Deliveries.Add(r.Context(), w); err != nil {
		return nil, err
	}
	return created{tagged{etagOf(&w), adminapi.WebhookAdded{Webhook: w, SigningKey: signing.FormatKey(w.Key), Warnings: warnings, Costs: costs}}}, nil
}

// privateBySocket refuses to widen, over HTTP, what plugbeat sends requests to: who
// holds a token must not reach what only the daemon's machine does.
func privateBySocket(command string) error {
	return &adminapi.Error{Code: adminapi.CodeForbidden, Message: "allow_private lets plugbeat send to private and loopback addresses, so it is granted over the daemon's socket only",
		Field: "allow_private", Hint: "on the daemon's machine: " + command + "; or list the network in delivery.allow of the config"}
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
			return privateBySocket(fmt.Sprintf("plugbeat webhook change %s --allow-private --callback URI", shellWord(w.Name)))
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

func (s *Server) showWebhook(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	return tagged{etagOf(&w), s.view(&w)}, err
}

func (s *Server) changeWebhook(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	if err != nil {
		return nil, err
	}
	checks, err := ifMatch(r)
	if err != nil {
		return nil, err
	}
	var c adminapi.WebhookChange
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	if c == (adminapi.WebhookChange{}) {
		return nil, &webhook.Invalid{Field: "body", Value: "{}", Allowed: "at least one of name, callback_uri, cadence, content, signing, allow_private, recover"}
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
		if warnings, costs, err = s.checkCadence(r.Context(), &w); err != nil {
			return nil, err
		}
	}
	if isOverHTTP(r) {
		checks = append(checks, samePlaces(c))
	}
	changed, err := s.Deliveries.Change(r.Context(), w.ID, c, checks...)
	if err != nil {
		return nil, about(&w, err)
	}
	return tagged{etagOf(&changed), adminapi.WebhookChanged{Webhook: changed, Derived: s.derived(&changed), Warnings: warnings, Costs: costs}}, nil
}

func (s *Server) removeWebhook(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	if err != nil {
		return nil, err
	}
	checks, err := ifMatch(r)
	if err != nil {
		return nil, err
	}
	n, err := s.Deliveries.Remove(r.Context(), w.ID, checks...)
	return adminapi.Cancelled{Cancelled: n}, about(&w, err)
}

func (s *Server) verifyWebhook(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	if err != nil {
		return nil, err
	}
	v, answer, err := s.Deliveries.Verify(r.Context(), w.ID)
	if err != nil {
		return nil, challengeError(about(&w, err), answer)
	}
	subs, err := s.Store.Subscriptions(r.Context(), w.ID, uuid.Nil, webhook.SubscriptionKey{}, 1)
	// It is verified, whether or not this could be read.
	return adminapi.Verified{Webhook: v, Challenge: answer, Subscribed: err != nil || len(subs) > 0}, nil
}

// challengeError adds what the receiver answered.
func challengeError(err error, answer adminapi.Challenge) error {
	if !errors.Is(err, webhook.ErrChallenge) {
		return err
	}
	e := apiErrorOf(err)
	if answer != (adminapi.Challenge{}) {
		e.Challenge = &answer
	}
	e.Hint = `the receiver must answer with 2xx and {"challenge": hex HMAC-SHA256 of payload.challenge, keyed with the management token}`
	return e
}

func (s *Server) testWebhook(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	if err != nil {
		return nil, err
	}
	a, err := s.Deliveries.Test(r.Context(), w.ID)
	return a, about(&w, err)
}

func (s *Server) enableWebhook(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	if err != nil {
		return nil, err
	}
	var force bool
	if v := r.URL.Query().Get("force"); v != "" {
		if force, err = strconv.ParseBool(v); err != nil {
			return nil, &webhook.Invalid{Field: "force", Value: clip(v), Allowed: "true or false"}
		}
	}
	enabled, err := s.Deliveries.Enable(r.Context(), w.ID, force, webhook.Policy(r.URL.Query().Get("recover")))
	switch {
	case errors.Is(err, webhook.ErrConflict):
		return nil, &hinted{about(&w, err), "run: plugbeat webhook verify " + shellWord(w.Name)}
	case err != nil:
		return nil, challengeError(about(&w, err), adminapi.Challenge{})
	}
	return enabled, nil
}

func (s *Server) disableWebhook(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	if err != nil {
		return nil, err
	}
	disabled, err := s.Deliveries.Disable(r.Context(), w.ID)
	return disabled, about(&w, err)
}

func (s *Server) recoverWebhook(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	if err != nil {
		return nil, err
	}
	var body adminapi.Recover
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	recovering, err := s.Deliveries.Recover(r.Context(), w.ID, body.Policy)
	return recovering, about(&w, err)
}
