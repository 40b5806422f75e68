package delivery

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/webhook"
)

// effect is a kind of effect: its log event, and how that is logged. The event of an effect
// on a webhook is a [webhook.Transition] with "webhook." in front.
type effect struct {
	event string
	level zerolog.Level
	text  string
}

var (
	effectOpened      = effect{"webhook.opened", zerolog.WarnLevel, "the receiver fails: its circuit breaker is open, and only probes leave"}
	effectProbeFailed = effect{"webhook.probe_failed", zerolog.WarnLevel, "a probe failed"}
	effectProbeOwed   = effect{"webhook.probe_owed", zerolog.InfoLevel, "the receiver answered a challenge: a probe leaves at once"}
	effectClosed      = effect{"webhook.closed", zerolog.InfoLevel, "a delivery arrived: the circuit breaker is closed, and what waits leaves"}
	effectDisabled    = effect{"webhook.disabled", zerolog.ErrorLevel, "the webhook is disabled"}
	effectHealed      = effect{"webhook.healed", zerolog.InfoLevel, "the webhook is enabled again by itself"}
	effectEnabled     = effect{"webhook.enabled", zerolog.InfoLevel, "the webhook is enabled"}
	effectVerified    = effect{"webhook.verified", zerolog.InfoLevel, "the webhook is verified"}
	effectDelivered   = effect{"delivery.delivered", zerolog.InfoLevel, "delivered"}
	effectDead        = effect{"delivery.dead", zerolog.ErrorLevel, "a delivery is dead"}
)

// report logs and counts effects once they are committed.
func (d *Dispatcher) report(effects []Effect) {
	for _, e := range effects {
		if name, ok := strings.CutPrefix(e.Kind.event, "webhook."); ok && e.Kind != effectProbeOwed {
			d.Meter.Transitioned(e.Webhook, webhook.Transition(name))
		}
		level := e.Kind.level
		if e.Reason == webhook.ByOperator || e.Reason == webhook.CallbackChanged {
			level = zerolog.InfoLevel // somebody's wish, no alarm
		}
		line := d.Log.WithLevel(level).Str("event", e.Kind.event).Stringer("webhook", e.Webhook)
		if e.Delivery != uuid.Nil {
			line = line.Stringer("delivery", e.Delivery).Stringer("vehicle", e.Vehicle)
		}
		if e.Reason != "" {
			line = line.Str("reason", string(e.Reason))
		}
		if e.Text != "" {
			line = line.Str("text", e.Text)
		}
		switch e.Kind {
		case effectOpened, effectProbeFailed, effectDisabled:
			line = line.Int("step", e.Step)
		}
		if !e.Next.IsZero() {
			line = line.Time("next", e.Next)
		}
		if !e.DisabledAt.IsZero() {
			line = line.Time("disabled_at", e.DisabledAt)
		}
		line.Msg(e.Kind.text)
	}
}

func (d *Dispatcher) reportAttempt(x *webhook.Delivery, e Ended) {
	level := zerolog.DebugLevel
	if e.Outcome != webhook.OutcomeDelivered {
		level = zerolog.InfoLevel
	}
	d.Log.WithLevel(level).Str("event", "attempt").Stringer("webhook", x.Webhook).Stringer("vehicle", x.Vehicle).Stringer("delivery", x.ID).
		Int("attempt", e.N).Str("outcome", string(e.Outcome)).Int("status", e.Status).Dur("duration", e.Duration).Stringer("kind", e.Probe).
		Str("text", answerText(e.Attempt)).Func(func(line *zerolog.Event) {
		if x.SetAside() {
			line.Time("next", x.RetryAt)
		}
	}).Msg("attempt ended")
}

// Meter counts what the delivery loop does, as it happens. Its methods are called
// beside every request, so they are quick and never block. Times are not negative.
type Meter interface {
	// AttemptEnded tells of one exchange, whatever came of it, also of one that
	// counts for nothing because the fault was our own.
	AttemptEnded(webhookID uuid.UUID, o webhook.Outcome, took time.Duration)
	// ChallengeEnded tells of a challenge: whether the answer was right, and if not
	// whether there was a fault of our own.
	ChallengeEnded(webhookID uuid.UUID, right, ours bool)
	// Delivered tells how long after its due time a delivery had arrived. Of
	// resends, which have none of their own, it tells nothing.
	Delivered(webhookID uuid.UUID, late time.Duration)
	// Transitioned tells of a change of a webhook's status or breaker.
	Transitioned(webhookID uuid.UUID, t webhook.Transition)
}
