package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func (s *shell) webhookCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "webhook",
		Usage: "add and look after callback URIs",
		Description: `A webhook is a named callback URI. It receives nothing until it has answered a challenge
(verify). A webhook is named by its name or its id.`,
		CustomHelpTemplate: example(`
plugbeat webhook add --name fleet --callback https://example.com/hook --verify
plugbeat webhook list`),
		Subcommands: []*ucli.Command{
			s.webhookAddCommand(), s.webhookListCommand(), s.webhookShowCommand(), s.webhookChangeCommand(),
			s.webhookVerifyCommand(), s.webhookTestCommand(), s.webhookRotateKeyCommand(), s.webhookEnableCommand(), s.webhookRecoverCommand(), s.webhookDisableCommand(), s.webhookRemoveCommand(),
		},
	}
}

func (s *shell) webhookListCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list webhooks with how they fare",
		Flags: clientFlags(),
		CustomHelpTemplate: example(`
plugbeat webhook list
plugbeat webhook list --json`),
		Action: s.withClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			list, err := collect(func(after string) (adminapi.Page[adminapi.WebhookView], error) { return a.Webhooks(ctx, after, 0) })
			if err != nil {
				return err
			}
			slices.SortFunc(list, func(a, b adminapi.WebhookView) int { return cmp.Compare(a.Name, b.Name) })
			return s.print(c, items(list), func(p *page) {
				if len(list) == 0 {
					p.line("no webhooks yet; add one: plugbeat webhook add")
					return
				}
				var rows [][]string
				for _, w := range list {
					rows = append(rows, []string{w.Name, string(w.Type), w.Summary(), fmt.Sprint(w.Ledger.Waiting()), fmt.Sprint(w.Ledger.Delivered),
						p.rel(w.Breaker.LastSuccess), p.note(w.CallbackURI, 60), w.ID.String()})
				}
				p.table([]string{"NAME", "TYPE", "STATUS", "WAITING", "DELIVERED", "LAST", "CALLBACK", "ID"}, rows)
			})
		}),
	}
}

// webhookShown is the JSON of webhook show.
type webhookShown struct {
	Webhook       adminapi.WebhookView        `json:"webhook"`
	Subscriptions []adminapi.SubscriptionView `json:"subscriptions"`
}

func (s *shell) webhookShowCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "show",
		Usage:     "show a webhook, its ledger and its vehicles",
		ArgsUsage: "WEBHOOK",
		Flags:     clientFlags(),
		CustomHelpTemplate: example(`
plugbeat webhook show fleet`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			w, err := a.Webhook(ctx, c.Args().First())
			if err != nil {
				return err
			}
			subs, err := collect(func(after string) (adminapi.Page[adminapi.SubscriptionView], error) {
				return a.Subscriptions(ctx, w.ID.String(), uuid.Nil, after, adminapi.MaxLimit)
			})
			if err != nil {
				return err
			}
			return s.print(c, webhookShown{w, subs}, func(p *page) {
				showWebhook(p, &w)
				p.line("")
				if len(subs) == 0 {
					p.line("no vehicles are subscribed; subscribe: plugbeat subscribe %s --all", word(w.Name))
					return
				}
				var rows [][]string
				for _, v := range subs {
					rows = append(rows, []string{v.Vehicle.String(), cadenceOf(v), due(p, v), p.rel(v.ProducedAt)})
				}
				p.table([]string{"VEHICLE", "CADENCE", "NEXT", "LAST PRODUCED"}, rows)
			})
		}),
	}
}

// showWebhook prints everything known of a webhook.
func showWebhook(p *page, w *adminapi.WebhookView) {
	b, l := w.Breaker, w.Ledger
	p.fields(slices.Concat([][2]string{
		{"name", w.Name},
		{"id", w.ID.String()},
		{"type", string(w.Type)},
		{"callback", w.CallbackURI},
		{"status", w.Summary()},
		{"reason", w.ReasonText},
		{"since", p.rel(w.StatusSince)},
		{"verified", p.rel(w.VerifiedAt)},
		{"every", w.Cadence.Every},
		{"unplugged", inForce(w.Cadence.Unplugged, w.Effective.Unplugged)},
		{"plugged in", pluggedIn(w)},
		{"zone", inForce(w.Cadence.Zone, w.Effective.Zone)},
	}, carries(&w.Webhook), [][2]string{
		{"signing", string(w.Signing)},
		{"signing keys", twoKeys(p, &w.Webhook)},
		{"private callback", yesNo(w.AllowPrivate)},
		{"recover", inForce(string(w.Recover), string(w.EffectiveRecover))},
		{"recovering", recovering(w.Recovery)},
		{"last delivered", p.rel(b.LastSuccess)},
		{"last answer", failureText(&w.Webhook)},
		{"circuit breaker", breaker(p, w)},
		{"next probe", upcoming(p, b.NextProbe)},
		{"not before", asked(p, b.NotBefore)},
		{"next challenge", upcoming(p, b.NextChallenge)},
		{"ledger", ledger(l)},
		{"due times", dueTimes(&w.Webhook)},
	})...)
}

// dueTimes says what became of a webhook's due times.
func dueTimes(w *webhook.Webhook) string {
	f := w.DueTimes
	text := fmt.Sprintf("%d produced, %d collapsed, %d skipped", f.Produced, f.Collapsed, f.Skipped)
	if w.Type.Kind().Events {
		text += fmt.Sprintf(", %d without an event", f.Quiet)
	}
	return text
}

// breaker says how an active webhook's circuit breaker stands.
func breaker(p *page, w *adminapi.WebhookView) string {
	switch b := &w.Breaker; {
	case w.Status != webhook.Active:
		return ""
	case !b.Open():
		return "closed"
	case w.Retries > 0:
		return fmt.Sprintf("open since %s, %d of %d probes spent", when(p, b.OpenSince), b.Step, w.Retries)
	default:
		return fmt.Sprintf("open since %s, %s spent", when(p, b.OpenSince), count(b.Step, "probe"))
	}
}

// asked is the wait that the receiver asked for, while it lasts.
func asked(p *page, notBefore time.Time) string {
	if !notBefore.After(p.now) {
		return ""
	}
	return p.rel(notBefore) + ", as the receiver asked"
}

// failureText is the last failure of a webhook that is not well.
func failureText(w *webhook.Webhook) string {
	if b := &w.Breaker; w.Failing() || b.LastAttempt.After(b.LastSuccess) {
		return b.LastAnswer
	}
	return ""
}

// ledger writes the ledger's equation: the parts add up to what was produced.
func ledger(l webhook.Ledger) string {
	return fmt.Sprintf("%d produced = %d delivered + %d superseded + %d dead + %d expired + %d cancelled + %d waiting",
		l.Produced, l.Delivered, l.Superseded, l.Dead, l.Expired, l.Cancelled, l.Waiting())
}

// inForce is a setting of a webhook, or the daemon's default that stands in for it;
// a zone that nobody set is not worth a line.
func inForce(own, effective string) string {
	if own == "" && effective != "" && effective != "UTC" {
		return effective + " (the daemon's default)"
	}
	return own
}

func pluggedIn(w *adminapi.WebhookView) string {
	if !w.Type.Kind().FollowsPlug {
		return ""
	}
	if w.Cadence.Fastest {
		return "the make's fastest; " + w.Effective.PluggedIn + " where that is not known"
	}
	return inForce(w.Cadence.PluggedIn, w.Effective.PluggedIn)
}

// cadenceOf is the cadence of a subscription and the state that chose it.
func cadenceOf(v adminapi.SubscriptionView) string {
	if v.Cadence == "" {
		return stateName(v.State)
	}
	if !v.WebhookType.Kind().FollowsPlug {
		return v.Cadence
	}
	return v.Cadence + " (" + stateName(v.State) + ")"
}

// comeBack is the command that brings a webhook back that is not active.
func comeBack(w *webhook.Webhook) string {
	if w.Status == webhook.Disabled && w.Reason != webhook.CallbackChanged {
		return "plugbeat webhook enable " + word(w.Name)
	}
	return "plugbeat webhook verify " + word(w.Name)
}

// due says when a subscription fires next.
func due(p *page, v adminapi.SubscriptionView) string {
	if v.Parked {
		return "when the webhook is " + map[bool]string{true: "verified", false: "enabled"}[v.WebhookStatus == webhook.Unverified]
	}
	return p.next(v.Due)
}

// when is a relative time, or nothing where there is none.
func when(p *page, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return p.rel(t)
}

// upcoming is when for a time that is to come.
func upcoming(p *page, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return p.next(t)
}
