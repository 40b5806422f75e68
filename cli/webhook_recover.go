package cli

import (
	"context"
	"errors"
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

const recoverFlag = "recover"

func (s *shell) webhookEnableCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "enable",
		Usage:     "enable a disabled or failing webhook after a right answer to a challenge",
		ArgsUsage: "WEBHOOK",
		Description: `One probe leaves at once. Once it has arrived, what waits leaves, oldest first. --recover lets only
a part of it leave, as webhook recover says.`,
		Flags: append([]ucli.Flag{
			&ucli.BoolFlag{Name: "force", Usage: "without a challenge", DisableDefaultText: true},
			&ucli.StringFlag{Name: recoverFlag, Usage: "what waited leaves by this `POLICY`: all, latest, none, how long ago it may have been made, or a time (default: the webhook's)"},
			dryRunFlag(),
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat webhook enable fleet
plugbeat webhook enable fleet --recover latest --dry-run`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *api.Client) error {
			name := c.Args().First()
			policy, err := s.policy("--recover", c.String(recoverFlag))
			if err != nil {
				return err
			}
			if c.Bool("dry-run") {
				return s.planRecovery(ctx, c, a, policy)
			}
			w, err := a.EnableWebhook(ctx, name, c.Bool("force"), policy)
			if err != nil {
				if challengeOf(err) != nil {
					return hint(err, "correct the receiver and try again, or skip the challenge: plugbeat webhook enable %s --force", word(name))
				}
				return err
			}
			return s.print(c, w, func(p *page) {
				p.line("%s is %s; %s waiting", clean(w.Name), api.WebhookView{Webhook: w}.Summary(), count(w.Ledger.Waiting(), "delivery"))
				if w.Recovery != nil {
					p.line("recovering: %s", recovering(w.Recovery))
				}
			})
		}),
	}
}

func (s *shell) webhookRecoverCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "recover",
		Usage:     "let go of a part of what waits",
		ArgsUsage: "WEBHOOK [POLICY]",
		Description: `A policy says what of the waiting deliveries still leaves:
   all      everything, in order
   latest   each vehicle's newest; the older ones are superseded and linked to it
   none     nothing: what waits is cancelled
   24h      what was made in the last 24 hours; the rest is cancelled
   TIME     what was made since 2026-01-31T08:00:00Z; the rest is cancelled
Without one it is the webhook's own. It is applied now, whatever the webhook's status, and does not
enable it. What it lets go of can be sent again while its payload is kept: delivery resend, delivery replay.`,
		Flags: append([]ucli.Flag{dryRunFlag(), yesFlag()}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat webhook recover fleet latest --dry-run
plugbeat webhook recover fleet latest --yes`),
		Action: s.withClient(1, 2, func(ctx context.Context, c *ucli.Context, a *api.Client) error {
			policy, err := s.policy("POLICY", c.Args().Get(1))
			if err != nil {
				return err
			}
			if c.Bool("dry-run") {
				return s.planRecovery(ctx, c, a, policy)
			}
			ref := c.Args().First()
			plan, err := a.RecoverWebhook(ctx, ref, api.Recover{Policy: policy, DryRun: true})
			if err != nil {
				return err
			}
			if n := plan.Plan.Superseded + plan.Plan.Cancelled; n > 0 {
				if err := s.sure(c, fmt.Sprintf("let go of %s of %s by policy %s", count(n, "waiting delivery"), clean(plan.Webhook.Name), plan.Plan.Policy)); err != nil {
					return err
				}
			}
			done, err := a.RecoverWebhook(ctx, ref, api.Recover{Policy: policy})
			if err != nil {
				return err
			}
			return s.print(c, done, func(p *page) {
				showPlan(p, done)
				p.line("it has begun; see: plugbeat webhook show %s", word(done.Webhook.Name))
			})
		}),
	}
}

func dryRunFlag() ucli.Flag {
	return &ucli.BoolFlag{Name: "dry-run", Usage: "count what it would do, and do nothing", DisableDefaultText: true}
}

// policy reads a policy that a command takes: a time may be spelt as in --since.
func (s *shell) policy(name, text string) (webhook.Policy, error) {
	p := webhook.Policy(text)
	_, err := p.Begin(s.now())
	if err == nil {
		return p, nil
	}
	if at, ok := parseMoment(text, s.now()); ok {
		return webhook.Policy(at.UTC().Format("2006-01-02T15:04:05Z07:00")), nil
	}
	return "", policyError(name, err)
}

// policyError is a wrong policy on the command line.
func policyError(name string, err error) error {
	if bad, ok := errors.AsType[*webhook.Invalid](err); ok {
		return &usageError{msg: fmt.Sprintf("%s %q: want %s", name, bad.Value, bad.Allowed)}
	}
	return err
}

// planRecovery shows what a policy would do.
func (s *shell) planRecovery(ctx context.Context, c *ucli.Context, a *api.Client, policy webhook.Policy) error {
	plan, err := a.RecoverWebhook(ctx, c.Args().First(), api.Recover{Policy: policy, DryRun: true})
	if err != nil {
		return err
	}
	return s.print(c, plan, func(p *page) {
		showPlan(p, plan)
		p.line("nothing was changed")
	})
}

func showPlan(p *page, r api.Recovered) {
	n := r.Plan
	leave := fmt.Sprint(n.Leave)
	if n.Leave > 0 {
		leave = fmt.Sprintf("%d, of %s, %s; the oldest made %s; they take %s or more", n.Leave, count(n.Vehicles, "vehicle"), size(n.Bytes), p.rel(n.Oldest), took(n.Takes))
	}
	p.fields(
		[2]string{"webhook", r.Webhook.Name},
		[2]string{"recover", string(n.Policy)},
		[2]string{"waiting", fmt.Sprint(n.Waiting)},
		[2]string{"leave", leave},
		[2]string{"superseded", fmt.Sprint(n.Superseded)},
		[2]string{"cancelled", fmt.Sprint(n.Cancelled)},
	)
}

// recovering says how far a recovery has come; empty when none goes on.
func recovering(r *webhook.Recovery) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s; %d superseded and %d cancelled so far, nothing leaves until it is through", r.Policy, r.Superseded, r.Cancelled)
}
