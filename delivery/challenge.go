package delivery

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// checked is a challenge with its verdict; err is nil for the right answer.
type checked struct {
	webhook.Challenge
	outcome webhook.Outcome
	err     error
}

// seen notes in a webhook with which token its receiver answered.
func (c *checked) seen(w *webhook.Webhook, at time.Time) {
	if c.Token != "" {
		w.TokenSeen = webhook.TokenSeen{Fingerprint: c.Token, At: at}
	}
}

// verifies notes a right answer of the callback asked, which must be the webhook's still.
func (c *checked) verifies(w *webhook.Webhook, asked string, at time.Time) error {
	if w.CallbackURI != asked {
		return fmt.Errorf("webhook %s: %w: its callback was changed while it was verified", w.ID, webhook.ErrConflict)
	}
	w.VerifiedAt = at
	c.seen(w, at)
	return nil
}

// shownOfAnswer is how many bytes of a wrong answer an error shows.
const shownOfAnswer = 60

// challenge sends a challenge and checks the answer.
func (d *Dispatcher) challenge(ctx context.Context, w *webhook.Webhook) checked {
	challenge := signing.NewChallenge()
	a, body := d.sender(w.ID).ask(ctx, w, uuid.New(), d.Bodies.Verify(w.ID, challenge))
	c := checked{outcome: a.Outcome, Challenge: webhook.Challenge{
		Status: a.Status, Duration: a.Duration, Text: answerText(a), Address: a.Address, ContentType: a.ContentType, RetryAfter: a.RetryAfter,
	}}
	if utf8.Valid(a.Body) {
		c.Body = string(a.Body)
	}
	if a.Outcome == webhook.OutcomeDelivered {
		c.Text = "answered rightly"
		var with webhook.Secret
		if with, c.err = signing.CheckAnswerWith(d.ManagementToken, d.ManagementTokenNext, challenge, body); c.err != nil {
			if begin := a.Body[:min(len(a.Body), shownOfAnswer)]; len(begin) > 0 {
				c.err = fmt.Errorf("%w; the answer begins with %q", c.err, begin)
			}
			if len(body) == bodyRead {
				c.err = fmt.Errorf("%w; only its first %d bytes were read", c.err, bodyRead)
			}
			c.Text = strings.TrimPrefix(c.err.Error(), webhook.ErrChallenge.Error()+": ")
		} else {
			c.Token = signing.Fingerprint(with)
		}
	} else {
		c.err = fmt.Errorf("%w: %s", webhook.ErrChallenge, c.Text)
	}
	if c.outcome != webhook.OutcomeInterrupted {
		d.Meter.ChallengeEnded(w.ID, c.err == nil, c.outcome == webhook.OutcomeOurs)
	}
	d.Log.Info().Str("event", "challenge").Stringer("webhook", w.ID).Bool("right", c.err == nil).Int("status", c.Status).
		Dur("duration", c.Duration).Str("text", c.Text).Msg("challenge sent")
	return c
}

// sender returns the webhook's connections. Where it has no worker they are new, and close
// by themselves once they are idle.
func (d *Dispatcher) sender(id uuid.UUID) *sender {
	if k := d.worker(id); k != nil {
		return k.send
	}
	return &sender{d: d}
}
