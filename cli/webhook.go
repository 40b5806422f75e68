package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
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
			s.webhookVerifyCommand(), s.webhookTestCommand(), s.webhookEnableCommand(), s.webhookDisableCommand(), s.webhookRemoveCommand(),
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
		Action: s.withClient(0, 0, func(ctx context.Context, c *ucli.Context, a *api.Client) error {
			list, err := collect(func(after string) (api.Page[webhook.Webhook], error) { return a.Webhooks(ctx, after, 0) })
			if err != nil {
				return err
			}
			return s.print(c, items(list), func(p *page) {
				if len(list) == 0 {
					p.line("no webhooks yet; add one: plugbeat webhook add")
					return
				}
				var rows [][]string
				for _, w := range list {
					rows = append(rows, []string{w.Name, health(&w), fmt.Sprint(w.Ledger.Waiting()), fmt.Sprint(w.Ledger.Delivered),
						p.rel(w.Health.LastSuccess), short(w.CallbackURI, 60), w.ID.String()})
				}
				p.table([]string{"NAME", "STATUS", "WAITING", "DELIVERED", "LAST", "CALLBACK", "ID"}, rows)
			})
		}),
	}
}

// webhookShown is the JSON of webhook show.
type webhookShown struct {
	Webhook       webhook.Webhook        `json:"webhook"`
	Subscriptions []api.SubscriptionView `json:"subscriptions"`
}

func (s *shell) webhookShowCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "show",
		Usage:     "show a webhook, its ledger and its vehicles",
		ArgsUsage: "WEBHOOK",
		Flags:     clientFlags(),
		CustomHelpTemplate: example(`
plugbeat webhook show fleet`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *api.Client) error {
			w, err := a.Webhook(ctx, c.Args().First())
			if err != nil {
				return err
			}
			subs, err := collect(func(after string) (api.Page[api.SubscriptionView], error) {
				return a.Subscriptions(ctx, w.ID.String(), uuid.Nil, after, api.MaxLimit)
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
					rows = append(rows, []string{v.Vehicle.String(), stateName(v.State), due(p, v), p.rel(v.FiredAt)})
				}
				p.table([]string{"VEHICLE", "CADENCE", "NEXT", "LAST"}, rows)
			})
		}),
	}
}

// showWebhook prints everything known of a webhook.
func showWebhook(p *page, w *webhook.Webhook) {
	h, l := w.Health, w.Ledger
	p.fields(
		[2]string{"name", w.Name},
		[2]string{"id", w.ID.String()},
		[2]string{"type", string(w.Type)},
		[2]string{"callback", w.CallbackURI},
		[2]string{"status", health(w)},
		[2]string{"reason", w.ReasonText},
		[2]string{"since", p.rel(w.StatusSince)},
		[2]string{"verified", p.rel(w.VerifiedAt)},
		[2]string{"unplugged", orDefault(w.Cadence.Unplugged)},
		[2]string{"plugged in", pluggedIn(w.Cadence)},
		[2]string{"zone", w.Cadence.Zone},
		[2]string{"signing", string(w.Signing)},
		[2]string{"private callback", yesNo(w.AllowPrivate)},
		[2]string{"last delivered", p.rel(h.LastSuccess)},
		[2]string{"last answer", failureText(h)},
		[2]string{"failing since", when(p, h.FailingSince)},
		[2]string{"next trial", when(p, h.NextTrial)},
		[2]string{"not before", asked(p, h)},
		[2]string{"next challenge", when(p, h.NextChallenge)},
		[2]string{"ledger", ledger(l)},
		[2]string{"firings", fmt.Sprintf("%d produced, %d collapsed, %d skipped", w.Firings.Produced, w.Firings.Collapsed, w.Firings.Skipped)},
	)
}

// asked is the wait that the receiver asked for, while it lasts.
func asked(p *page, h webhook.Health) string {
	if !h.NotBefore.After(p.now) {
		return ""
	}
	return p.rel(h.NotBefore) + ", as the receiver asked"
}

// failureText is the last failure of a webhook that is not well.
func failureText(h webhook.Health) string {
	if h.Failing() || h.LastAttempt.After(h.LastSuccess) {
		return h.LastAnswer
	}
	return ""
}

// ledger writes the ledger's equation: the parts add up to what was produced.
func ledger(l webhook.Ledger) string {
	return fmt.Sprintf("%d produced = %d delivered + %d superseded + %d dead + %d expired + %d cancelled + %d waiting",
		l.Produced, l.Delivered, l.Superseded, l.Dead, l.Expired, l.Cancelled, l.Waiting())
}

// health is a webhook's status in a few words.
func health(w *webhook.Webhook) string {
	switch {
	case w.Status == webhook.Disabled:
		return fmt.Sprintf("disabled (%s)", w.Reason)
	case w.Status == webhook.Active && w.Health.Failing():
		return fmt.Sprintf("failing (rung %d)", w.Health.Rung)
	}
	return string(w.Status)
}

func orDefault(spec string) string {
	if spec == "" {
		return "the daemon's default"
	}
	return spec
}

func pluggedIn(c webhook.Cadence) string {
	if c.Fastest {
		return "the make's fastest"
	}
	return orDefault(c.PluggedIn)
}

// due says when a subscription fires next.
func due(p *page, v api.SubscriptionView) string {
	if v.Parked {
		return "when the webhook is " + map[bool]string{true: "verified", false: "enabled"}[v.WebhookStatus == webhook.Unverified]
	}
	return p.rel(v.Due)
}

// when is a relative time, or nothing where there is none.
func when(p *page, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return p.rel(t)
}
