package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/words"
)

const recoverFlag = "recover"

func (s commands) enableCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "enable",
		Usage:     "enable a disabled or failing webhook after a right answer to a challenge",
		ArgsUsage: "WEBHOOK",
		Description: `One probe leaves at once. Once it has arrived, what waits leaves, oldest first. --recover lets only
a part of it leave, as webhook recover says.`,
		Flags: terminal.ClientFlags(
			terminal.Switch("force", "without a challenge"),
			&ucli.StringFlag{Name: recoverFlag, Usage: "what waited leaves by this `POLICY`: all, latest or none (default: the webhook's)"},
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook enable fleet
plugbeat webhook enable fleet --recover latest`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			name := c.Args().First()
			policy, err := policy("--recover", c.String(recoverFlag))
			if err != nil {
				return err
			}
			w, err := a.EnableWebhook(ctx, name, c.Bool("force"), policy)
			if err != nil {
				if challengeOf(err) != nil {
					v, unknown := a.Webhook(ctx, name)
					return terminal.Hint(err, "%s", enableHint(err, name, unknown == nil && !v.VerifiedAt.IsZero()))
				}
				return err
			}
			return s.Print(c, w, func(p *terminal.Page) {
				p.Line("%s is %s; %s waiting", words.Clean(w.Name), adminapi.WebhookView{Webhook: w}.Summary(),
					words.Count(w.Ledger.Waiting(), "delivery"))
				if w.Recovery != nil {
					p.Line("recovering: %s", phrase.Recovering(w.Recovery))
				}
			})
		}),
	}
}

func (s commands) recoverCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "recover",
		Usage:     "let go of a part of what waits",
		ArgsUsage: "WEBHOOK [POLICY]",
		Description: `A policy says what of the waiting deliveries still leaves:
   all      everything, in order
   latest   each vehicle's newest; the older ones are superseded and linked to it
   none     nothing: what waits is cancelled
Without one it is the webhook's own. It is applied now, whatever the webhook's status, and does not
enable it. A part of what it lets go of can be sent again while its payload is kept: delivery resend.`,
		Flags: terminal.ClientFlags(terminal.YesFlag()),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook recover fleet latest
plugbeat webhook recover fleet none --yes`),
		Action: s.WithClient(1, 2, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			policy, err := policy("POLICY", c.Args().Get(1))
			if err != nil {
				return err
			}
			w, err := a.Webhook(ctx, c.Args().First())
			if err != nil {
				return err
			}
			inForce := cmp.Or(policy, w.EffectiveRecover)
			if n := w.Ledger.Waiting(); n > 0 && inForce != webhook.RecoverAll {
				if err := s.Sure(c, fmt.Sprintf("apply the policy %s to %s of %s", inForce, words.Count(n, "waiting delivery"),
					words.Clean(w.Name))); err != nil {
					return err
				}
			}
			done, err := a.RecoverWebhook(ctx, w.ID.String(), policy)
			return s.Show(c, done, err, func(p *terminal.Page) {
				p.Fields([2]string{"webhook", done.Name}, [2]string{"recover", string(inForce)},
					[2]string{"waiting", fmt.Sprint(done.Ledger.Waiting())})
				if done.Recovery != nil {
					p.Line("it has begun; see: plugbeat webhook show %s", words.Shell(done.Name))
				}
			})
		}),
	}
}

// policy reads a policy that a command takes.
func policy(name, text string) (webhook.Policy, error) {
	p := webhook.Policy(text)
	bad, ok := errors.AsType[*webhook.Invalid](webhook.CheckPolicy(p))
	if !ok {
		return p, nil
	}
	return "", &terminal.UsageError{Text: fmt.Sprintf("%s %q: want one of %s", name, bad.Value, bad.Allowed), Hint: bad.Why}
}
