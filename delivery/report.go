package delivery

import (
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/webhook"
)

// words is how an event of the state machine is logged.
var words = map[string]struct {
	level zerolog.Level
	text  string
}{
	eventFailing:   {zerolog.WarnLevel, "the webhook is failing"},
	eventRung:      {zerolog.WarnLevel, "the webhook is still failing"},
	eventWarned:    {zerolog.ErrorLevel, "the webhook has been failing for long and will be disabled"},
	eventHealthy:   {zerolog.InfoLevel, "the webhook is healthy again"},
	eventDisabled:  {zerolog.ErrorLevel, "the webhook is disabled"},
	eventHealed:    {zerolog.InfoLevel, "the webhook is enabled again"},
	eventEnabled:   {zerolog.InfoLevel, "the webhook is enabled"},
	eventVerified:  {zerolog.InfoLevel, "the webhook is verified"},
	eventDelivered: {zerolog.InfoLevel, "delivered"},
	eventDead:      {zerolog.ErrorLevel, "a delivery is dead"},
}

func (l *lane) report(events []Event) { l.d.report(events) }

// report logs events once they are committed.
func (d *Dispatcher) report(events []Event) {
	for _, e := range events {
		if t, ok := transition(e.Name); ok {
			d.meter.Transitioned(e.Webhook, t)
		}
		w := words[e.Name]
		if e.Reason == webhook.ByOperator || e.Reason == webhook.CallbackChanged {
			w.level = zerolog.InfoLevel // somebody's wish, no alarm
		}
		line := d.log.WithLevel(w.level).Str("event", e.Name).Stringer("webhook", e.Webhook)
		if e.Delivery != uuid.Nil {
			line = line.Stringer("delivery", e.Delivery).Stringer("vehicle", e.Vehicle)
		}
		if e.Reason != "" {
			line = line.Str("reason", string(e.Reason))
		}
		key := "text"
		if e.Name == eventFailing {
			key = "answer"
		}
		if e.Text != "" {
			line = line.Str(key, e.Text)
		}
		switch e.Name {
		case eventFailing, eventRung, eventWarned, eventDisabled:
			line = line.Int("rung", e.Rung)
		}
		if e.Share != 0 {
			line = line.Int("share", e.Share)
		}
		if !e.Next.IsZero() {
			line = line.Time("next", e.Next)
		}
		line.Msg(w.text)
	}
}

func (l *lane) reportAttempt(it webhook.LaneItem, x exchange) {
	level := zerolog.DebugLevel
	if x.Outcome != webhook.OutcomeDelivered {
		level = zerolog.InfoLevel
	}
	l.d.log.WithLevel(level).Str("event", "attempt").Stringer("webhook", l.id).Stringer("vehicle", it.Vehicle).Stringer("delivery", it.Delivery).Int("attempt", x.N).
		Str("outcome", string(x.Outcome)).Int("status", x.Status).Dur("duration", x.Duration).Stringer("kind", x.kind).
		Str("text", answerText(x.Attempt)).Msg("attempt ended")
}
