package web

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/webhook"
)

// Consents is where consents are found and changed.
type Consents interface {
	// Consents lists consents by id, those after the given one.
	Consents(ctx context.Context, after uuid.UUID, limit int) ([]access.Consent, error)
	// ChangeConsent finds a consent by its code or one of its tokens. A change that
	// returns an error changes nothing; a consent that it leaves without code and tokens
	// is gone.
	ChangeConsent(ctx context.Context, h access.TokenHash, change func(*access.Consent) error) error
}

// Unsubscriber ends what an owner allows no more.
type Unsubscriber interface {
	// EndSubscription ends a subscription with all that it made: what waits is cancelled, and
	// nothing of the rest can be sent again.
	EndSubscription(ctx context.Context, webhookID, vehicleID uuid.UUID) error
}

// Subscriber puts vehicles on webhooks and takes them off.
type Subscriber interface {
	Unsubscriber
	// Subscribe is idempotent: an existing subscription comes back with created false and
	// its schedule as it was. A zero anchor is now.
	Subscribe(ctx context.Context, webhookID, vehicleID uuid.UUID, anchor time.Time) (sub webhook.Subscription, created bool, err error)
	// Unsubscribe takes a vehicle off a webhook; what was made still leaves.
	Unsubscribe(ctx context.Context, webhookID, vehicleID uuid.UUID) (removed bool, err error)
}

// AllConsents returns every consent, read a page at a time.
func AllConsents(ctx context.Context, store Consents) (all []access.Consent, err error) {
	const size = 200
	for after := uuid.Nil; ; after = all[len(all)-1].ID {
		cs, err := store.Consents(ctx, after, size)
		if err != nil {
			return nil, err
		}
		all = append(all, cs...)
		if len(cs) < size {
			return all, nil
		}
	}
}

// Revoke ends a consent, and the subscriptions that were made by it. These end first, so
// that after a crash in between the consent is there to be revoked again.
func Revoke(ctx context.Context, store Consents, scheduler Unsubscriber, c access.Consent) error {
	if err := EndMade(ctx, scheduler, c.Made); err != nil {
		return err
	}
	var since []access.Made // made while the others ended
	for _, h := range c.Hashes() {
		err := store.ChangeConsent(ctx, h, func(c *access.Consent) error {
			since, c.Code, c.Tokens = c.Made, nil, nil
			return nil
		})
		if !errors.Is(err, webhook.ErrNotFound) {
			return errors.Join(err, EndMade(ctx, scheduler, since))
		}
	}
	return webhook.ErrNotFound
}

// EndBeyond ends the subscriptions to a webhook that were made by consents which do not
// allow all that it sends.
func EndBeyond(ctx context.Context, store Consents, scheduler Unsubscriber, w *webhook.Webhook) error {
	var needs []string
	for p := range w.Reads().All() {
		needs = append(needs, p.Permission())
	}
	all, err := AllConsents(ctx, store)
	if err != nil {
		return err
	}
	for _, c := range all {
		if access.Allows(c.Scope, needs) {
			continue
		}
		beyond := slices.DeleteFunc(slices.Clone(c.Made), func(m access.Made) bool { return m.Webhook != w.ID })
		if err := EndMade(ctx, scheduler, beyond); err != nil {
			return err
		}
	}
	return nil
}

// EndMade ends subscriptions with what they made; those that have ended already are as good.
func EndMade(ctx context.Context, scheduler Unsubscriber, made []access.Made) error {
	for _, m := range made {
		if err := scheduler.EndSubscription(ctx, m.Webhook, m.Vehicle); err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return err
		}
	}
	return nil
}
