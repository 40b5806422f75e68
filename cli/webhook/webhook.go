// Package webhook is the commands about webhooks: add, list, show, change, verify, test,
// rotate-key, enable, recover, disable, rm.
//
// Change here what these commands ask, check and print. What a webhook may be is checked by
// the daemon; a check here only spares the way to it.
package webhook

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/words"
)

// commands are the commands of this topic in one session.
type commands struct{ *terminal.Session }

// Command is the command webhook.
func Command(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "webhook",
		Usage: "add and look after callback URIs",
		Description: `A webhook is a named callback URI. It receives nothing until it has answered a challenge
(verify). A webhook is named by its name or its id.`,
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook add --name fleet --callback https://example.com/hook --verify
plugbeat webhook list`),
		Subcommands: []*ucli.Command{
			s.addCommand(), s.listCommand(), s.showCommand(), s.changeCommand(),
			s.verifyCommand(), s.testCommand(), s.rotateKeyCommand(), s.enableCommand(), s.recoverCommand(), s.disableCommand(), s.removeCommand(),
		},
	}
}

func (s commands) listCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list webhooks with how they fare",
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook list
plugbeat webhook list --json`),
		Action: s.WithClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			list, err := terminal.Collect(func(after string) (adminapi.Page[adminapi.WebhookView], error) { return a.Webhooks(ctx, after, 0) })
			if err != nil {
				return err
			}
			slices.SortFunc(list, func(a, b adminapi.WebhookView) int { return cmp.Compare(a.Name, b.Name) })
			return s.Print(c, terminal.Items(list), func(p *terminal.Page) {
				var rows []terminal.Row
				for _, w := range list {
					rows = append(rows, terminal.Texts(w.Name, string(w.Type), w.Summary(), fmt.Sprint(w.Ledger.Waiting()), fmt.Sprint(w.Ledger.Delivered),
						p.Rel(w.Breaker.LastSuccess), w.CallbackURI, w.ID.String()))
				}
				columns := terminal.Columns("NAME", "TYPE", "STATUS", "WAITING", "DELIVERED", "LAST", "CALLBACK", "ID")
				columns[6].Least = 20
				p.List("no webhooks yet; add one: plugbeat webhook add", columns, rows)
			})
		}),
	}
}

// webhookShown is the JSON of webhook show.
type webhookShown struct {
	Webhook       adminapi.WebhookView        `json:"webhook"`
	Subscriptions []adminapi.SubscriptionView `json:"subscriptions"`
}

func (s commands) showCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "show",
		Usage:     "show a webhook, its ledger and its vehicles",
		ArgsUsage: "WEBHOOK",
		Flags:     terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook show fleet`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			w, err := a.Webhook(ctx, c.Args().First())
			if err != nil {
				return err
			}
			subs, err := terminal.Collect(func(after string) (adminapi.Page[adminapi.SubscriptionView], error) {
				return a.Subscriptions(ctx, w.ID.String(), "", after, adminapi.MaxLimit)
			})
			if err != nil {
				return err
			}
			return s.Print(c, webhookShown{w, subs}, func(p *terminal.Page) {
				showWebhook(p, &w)
				p.Line("")
				if len(subs) == 0 {
					p.Line("no vehicles are subscribed; subscribe: plugbeat subscribe %s --all", words.Shell(w.Name))
					return
				}
				var rows []terminal.Row
				for _, v := range subs {
					rows = append(rows, terminal.Texts(cmp.Or(v.VehicleName, v.Vehicle.String()), phrase.CadenceOf(v), phrase.Due(p, v), p.Rel(v.ProducedAt)))
				}
				p.Table(terminal.Columns("VEHICLE", "CADENCE", "NEXT", "LAST PRODUCED"), rows)
			})
		}),
	}
}

// showWebhook prints everything known of a webhook.
func showWebhook(p *terminal.Page, w *adminapi.WebhookView) {
	b, l := w.Breaker, w.Ledger
	p.Fields(slices.Concat([][2]string{
		{"name", w.Name},
		{"id", w.ID.String()},
		{"type", string(w.Type)},
		{"callback", w.CallbackURI},
		{"status", w.Summary()},
		{"reason", w.ReasonText},
		{"since", p.Rel(w.StatusSince)},
		{"verified", p.Rel(w.VerifiedAt)},
		{"every", w.Cadence.Every},
		{"unplugged", inForce(w.Cadence.Unplugged, w.Effective.Unplugged)},
		{"plugged in", pluggedIn(w)},
		{"zone", inForce(w.Cadence.Zone, w.Effective.Zone)},
	}, carries(&w.Webhook), [][2]string{
		{"signing", string(w.Signing)},
		{"signing keys", twoKeys(p, &w.Webhook)},
		{"private callback", map[bool]string{true: "yes", false: "no"}[w.AllowPrivate]},
		{"recover", inForce(string(w.Recover), string(w.EffectiveRecover))},
		{"recovering", phrase.Recovering(w.Recovery)},
		{"last delivered", p.Rel(b.LastSuccess)},
		{"last answer", failureText(&w.Webhook)},
		{"circuit breaker", breaker(p, w)},
		{"next probe", p.Upcoming(b.NextProbe)},
		{"not before", asked(p, b.NotBefore)},
		{"next challenge", p.Upcoming(b.NextChallenge)},
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
func breaker(p *terminal.Page, w *adminapi.WebhookView) string {
	switch b := &w.Breaker; {
	case w.Status != webhook.Active:
		return ""
	case !b.Open():
		return "closed"
	case w.Retries > 0:
		return fmt.Sprintf("open since %s, %d of %d probes spent", p.When(b.OpenSince), b.Step, w.Retries)
	default:
		return fmt.Sprintf("open since %s, %s spent", p.When(b.OpenSince), words.Count(b.Step, "probe"))
	}
}

// asked is the wait that the receiver asked for, while it lasts.
func asked(p *terminal.Page, notBefore time.Time) string {
	if !notBefore.After(p.Now) {
		return ""
	}
	return p.Rel(notBefore) + ", as the receiver asked"
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
