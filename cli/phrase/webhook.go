// Package phrase says in one line what several topics show alike: how a webhook stands, a
// vehicle, a subscription, an attempt, a cost. Change a wording here and every command has it.
package phrase

import (
	"fmt"

	"plugbeat/adminapi"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/words"
)

// NextProbe says what an active webhook with an open breaker waits for.
func NextProbe(p *terminal.Page, w *webhook.Webhook) string {
	switch b := &w.Breaker; {
	case !w.Failing():
		return "enabled, its probe is to arrive first"
	case b.Owed != "" || !b.NextProbe.After(p.Now):
		return "failing, a probe is due"
	default:
		return "failing, next probe " + p.Next(b.NextProbe)
	}
}

// Recovering says how far a recovery has come; empty when none goes on.
func Recovering(r *webhook.Recovery) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s; %d superseded and %d cancelled so far, nothing leaves until it is through", r.Policy, r.Superseded, r.Cancelled)
}

// CadenceOf is the cadence of a subscription and the state that chose it.
func CadenceOf(v adminapi.SubscriptionView) string {
	if v.Cadence == "" {
		return State(v.State)
	}
	if !v.WebhookType.Kind().FollowsPlug {
		return v.Cadence
	}
	return v.Cadence + " (" + State(v.State) + ")"
}

// ComeBack is the command that brings a webhook back that is not active.
func ComeBack(w *webhook.Webhook) string {
	if w.Status == webhook.Disabled && w.Reason != webhook.CallbackChanged {
		return "plugbeat webhook enable " + words.Shell(w.Name)
	}
	return "plugbeat webhook verify " + words.Shell(w.Name)
}

// Due says when a subscription fires next.
func Due(p *terminal.Page, v adminapi.SubscriptionView) string {
	if v.Parked {
		return "when the webhook is " + map[bool]string{true: "verified", false: "enabled"}[v.WebhookStatus == webhook.Unverified]
	}
	return p.Next(v.Due)
}

// Warn prints warnings, the first with a count where there are more than three.
func Warn(p *terminal.Page, warnings []string) {
	if n := len(warnings); n > 3 {
		p.Line("warning: %s (and %d more like it; all of them: --json)", words.Clean(warnings[0]), n-1)
		return
	}
	for _, w := range warnings {
		p.Line("warning: %s", words.Clean(w))
	}
}

// Costs prints what a cadence costs.
func Costs(p *terminal.Page, lines []string) {
	for _, l := range lines {
		p.Line("cost: %s", words.Clean(l))
	}
}
