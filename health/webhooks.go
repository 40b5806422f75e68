package health

import (
	"cmp"
	"fmt"
	"time"

	"plugbeat/webhook"
	"plugbeat/words"
)

// stuckAfter is how old an active webhook's oldest waiting delivery is when a person should
// look: the receiver refuses some vehicles' payloads. By then a delivery that was set aside
// has been retried three times.
const stuckAfter = 10 * time.Minute

// webhooks judges every webhook, and what was lost of its deliveries.
func (j *judge) webhooks() {
	for i := range j.Webhooks {
		w := &j.Webhooks[i]
		s := Subject{Kind: Webhook, ID: w.ID.String(), Name: w.Name}
		j.there(s, true)
		switch {
		case w.Status == webhook.Disabled:
			j.disabled(w, s)
		case w.Failing():
			j.opened(w, s)
		case w.Status == webhook.Unverified:
			j.add(Condition{Code: WebhookUnverified, Subject: s, Since: w.StatusSince,
				Text:   "webhook " + w.Name + " is not verified, so nothing is delivered to it",
				Remedy: "have its receiver answer a challenge", Command: command("webhook", "verify", w.Name)})
		case w.Paused == "" && !w.Oldest.IsZero() && j.Now.Sub(w.Oldest) > stuckAfter:
			j.add(Condition{Code: WebhookStuck, Subject: s, Since: w.Oldest,
				Text:   fmt.Sprintf("webhook %s takes deliveries, but not all%s, the oldest for %s", w.Name, waiting(w), j.ago(w.Oldest)),
				Remedy: "see the receiver's answers", Command: command("delivery", "list", "--webhook", w.Name, "--state", "waiting")})
		}
		if w.Paused != "" {
			j.add(Condition{Code: WebhookPaused, Subject: s,
				Text:   fmt.Sprintf("webhook %s waits because of this machine's own trouble: %s; no retry is spent", w.Name, w.Paused),
				Remedy: "see what is wrong with the network or the disk", Command: command("doctor")})
		}
		if w.Status == webhook.Active && w.TwoKeys(j.Now) {
			j.add(Condition{Code: WebhookTwoKeys, Subject: s, Since: w.KeyOverlap.Since,
				Text:   fmt.Sprintf("webhook %s signs with its old key and its new one for %s more", w.Name, words.Span(w.KeyOverlap.Until.Sub(j.Now))),
				Remedy: "once its receiver has the new one", Command: command("webhook", "rotate-key", w.Name, "--finish")})
		}
		j.lost(w, s)
	}
}

// waiting counts what waits, after a text.
func waiting(w *WebhookFacts) string {
	if n := w.Ledger.Waiting(); n > 0 {
		return fmt.Sprintf("; %d waiting", n)
	}
	return ""
}

// because is what was heard last, after a text.
func because(w *WebhookFacts) string {
	if about := cmp.Or(w.ReasonText, w.Breaker.LastAnswer); about != "" {
		return ": " + about
	}
	return ""
}

func (j *judge) disabled(w *WebhookFacts, s Subject) {
	c := Condition{Code: WebhookDisabled, Subject: s, Since: w.StatusSince, Stage: string(w.Reason),
		Text:   fmt.Sprintf("webhook %s is disabled (%s)%s%s", w.Name, w.Reason, because(w), waiting(w)),
		Remedy: "when it is to send again", Command: command("webhook", "enable", w.Name)}
	switch w.Reason {
	case webhook.Exhausted:
		next := ""
		if w.Breaker.NextChallenge.After(j.Now) {
			next = " (the next leaves in " + words.Span(w.Breaker.NextChallenge.Sub(j.Now)) + ")"
		}
		c.Text += "; nothing is lost, and it comes back by itself when its receiver answers a challenge" + next
		c.Remedy = "mend the receiver, then send at once"
	case webhook.Gone:
		c.Remedy = "its receiver wants no more; when that has changed"
	case webhook.ByOperator:
		c.Severity = Info // somebody's wish
	case webhook.CallbackChanged:
		c.Severity = Info
		c.Remedy, c.Command = "have the receiver at the new callback URI answer a challenge", command("webhook", "verify", w.Name)
	}
	j.add(c)
}

// opened judges an open circuit breaker. It is an error once half of the time is over that
// the webhook has before it is disabled: by then the short steps have failed, and what is
// down stays down until a person looks.
func (j *judge) opened(w *WebhookFacts, s Subject) {
	c := Condition{Code: WebhookOpened, Subject: s, Since: w.Breaker.OpenSince,
		Text:   fmt.Sprintf("webhook %s is failing, and its circuit breaker is open%s%s", w.Name, because(w), waiting(w)),
		Remedy: "mend the receiver, then send at once", Command: command("webhook", "enable", w.Name)}
	if w.Breaker.NextProbe.After(j.Now) {
		c.Text += "; next probe in " + words.Span(w.Breaker.NextProbe.Sub(j.Now))
	}
	if left := w.DisabledAt.Sub(j.Now); left > 0 && !w.DisabledAt.IsZero() {
		c.Text += "; disabled in " + words.Span(left) + " if nothing changes"
		if left < j.Now.Sub(w.Breaker.OpenSince) {
			c.Severity = Error
		}
	}
	j.add(c)
}

// lost tells of deliveries that died or expired. They are a condition for a day.
func (j *judge) lost(w *WebhookFacts, s Subject) {
	for _, l := range []struct {
		code         Code
		state        webhook.State
		today        int
		count        uint64
		what, remedy string
	}{
		{DeliveryDead, webhook.Dead, w.DeadToday, w.Ledger.Dead, "died: the receiver refused them, or took others and never these",
			"see the receiver's answers (plugbeat delivery resend sends one again)"},
		{DeliveryExpired, webhook.Expired, w.ExpiredToday, w.Ledger.Expired, "expired: the data file held more than retention.max_size",
			"bring the receiver back, or raise retention.max_size; see which"},
	} {
		if l.count == 0 {
			continue
		}
		text := fmt.Sprintf("deliveries of webhook %s %s (%d in the last 24 hours, %d since its first day)", w.Name, l.what, l.today, l.count)
		c := Condition{Code: l.code, Subject: s, Count: l.count, Text: words.Line(text), Severity: rules[l.code].severity,
			Remedy: l.remedy, Command: command("delivery", "list", "--webhook", w.Name, "--state", string(l.state))}
		j.Losses = append(j.Losses, c)
		if l.today > 0 {
			j.add(c)
		}
	}
}
