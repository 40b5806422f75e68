package cli

import (
	"context"
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func (s *shell) webhookChangeCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "change",
		Usage:     "change a webhook's settings",
		ArgsUsage: "WEBHOOK",
		Description: `Only the settings named change. A new callback has to be verified before it receives anything;
what waits then goes to it. --unplugged, --plugged-in, --zone, --unit-system and --recover with an empty value return to the
daemon's default, --paths and --events to all.`,
		Flags: append(settingFlags(), clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat webhook change fleet --plugged-in 15m
plugbeat webhook change fleet --callback https://example.com/new && plugbeat webhook verify fleet`),
		Action: s.withClient(1, 1, s.changeWebhook),
	}
}

func (s *shell) changeWebhook(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
	ref := c.Args().First()
	var ch adminapi.WebhookChange
	text := func(flag string) *string {
		if !c.IsSet(flag) {
			return nil
		}
		v := c.String(flag)
		return &v
	}
	ch.Name, ch.CallbackURI = text("name"), text("callback")
	if err := checkNameFlag(c); err != nil {
		return err
	}
	if v := text("signing"); v != nil {
		sign := webhook.Signing(*v)
		if err := checkSigning(sign); err != nil || sign == "" {
			return &usageError{msg: fmt.Sprintf("--signing %q: want smartcar, standard or both", *v)}
		}
		ch.Signing = &sign
	}
	if c.IsSet("allow-private") {
		v := c.Bool("allow-private")
		ch.AllowPrivate = &v
	}
	if c.IsSet("recover") {
		v, err := policy("--recover", c.String("recover"))
		if err != nil {
			return err
		}
		ch.Recover = &v
	}
	cadence := c.IsSet("every") || c.IsSet("unplugged") || c.IsSet("plugged-in") || c.IsSet("zone") || c.IsSet("fastest")
	_, content := changedContent(c, webhook.Content{})
	if !cadence && !content && ch == (adminapi.WebhookChange{}) {
		return &usageError{msg: "webhook change needs at least one setting to change", hint: "see: plugbeat webhook change --help"}
	}
	if ch.CallbackURI != nil {
		if err := webhook.CheckCallback(*ch.CallbackURI); err != nil {
			return &usageError{msg: "--callback: " + err.Error()}
		}
	}
	if cadence || content || ch.CallbackURI != nil && ch.AllowPrivate == nil {
		w, err := a.Webhook(ctx, ref)
		if err != nil {
			return err
		}
		// What follows was decided on these settings.
		a = a.IfMatch(w.ETag)
		if cadence {
			ch.Cadence = changedCadence(c, w.Cadence)
		}
		if content {
			now, _ := changedContent(c, w.Content)
			if err := checkContent(w.Type, now); err != nil {
				return err
			}
			ch.Content = &now
		}
		if ch.CallbackURI != nil && ch.AllowPrivate == nil && !w.AllowPrivate {
			var p *prompter
			if s.inTTY && !c.Bool("json") {
				p = s.prompter()
			}
			yes, err := s.consent(ctx, c, p, *ch.CallbackURI)
			if err != nil {
				return err
			}
			if yes {
				ch.AllowPrivate = &yes
			}
		}
	}
	changed, err := a.ChangeWebhook(ctx, ref, ch)
	if err != nil {
		return err
	}
	return s.print(c, changed, func(p *page) {
		showWebhook(p, &adminapi.WebhookView{Webhook: changed.Webhook, Derived: changed.Derived})
		warn(p, changed.Warnings)
		costs(p, changed.Costs)
		if w := changed.Webhook; w.Status == webhook.Disabled && w.Reason == webhook.CallbackChanged || w.Status == webhook.Unverified {
			p.line("\nnext: plugbeat webhook verify %s", word(w.Name))
		}
	})
}

// changedCadence is the webhook's cadence with the flags that were typed.
func changedCadence(c *ucli.Context, old webhook.Cadence) *webhook.Cadence {
	for flag, field := range map[string]*string{"every": &old.Every, "unplugged": &old.Unplugged, "plugged-in": &old.PluggedIn, "zone": &old.Zone} {
		if c.IsSet(flag) {
			*field = c.String(flag)
		}
	}
	if c.IsSet("fastest") {
		old.Fastest = c.Bool("fastest")
	}
	return &old
}

func (s *shell) webhookVerifyCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "verify",
		Usage:     "send the challenge; a right answer activates the webhook",
		ArgsUsage: "WEBHOOK",
		Description: `The callback gets {"eventName": "verify", ...} and answers {"challenge": HEX}, where HEX is the
HMAC-SHA256 of the challenge under the management token. It activates a webhook that is not verified
yet or whose callback was changed. Of any other it changes nothing: to try a failing one now, or to
bring a disabled one back, enable it, which sends a challenge too.`,
		Flags: clientFlags(),
		CustomHelpTemplate: example(`
plugbeat webhook verify fleet`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			v, err := a.VerifyWebhook(ctx, c.Args().First())
			if err != nil {
				if e := challengeOf(err); e != nil {
					return hint(err, "%s", verifyHint(err, c.Args().First()))
				}
				return err
			}
			return s.print(c, v, func(p *page) { showVerified(p, v) })
		}),
	}
}

// showVerified says what a right answer led to, which depends on how the webhook was.
func showVerified(p *page, v adminapi.Verified) {
	w := &v.Webhook
	name, in := clean(w.Name), took(v.Challenge.Duration)
	switch {
	case w.Status == webhook.Disabled:
		p.line("%s answered the challenge rightly in %s, but it is still disabled (%s)", name, in, w.Reason)
		p.line("next: %s", comeBack(w))
	case w.Failing():
		p.line("%s answered the challenge rightly in %s, and nothing has changed: it is %s; %s waiting", name, in, nextProbe(p, w), count(w.Ledger.Waiting(), "delivery"))
		p.line("to send a probe now: plugbeat webhook enable %s", word(w.Name))
	default:
		p.line("%s is verified: the callback answered the challenge in %s and receives payloads now", name, in)
		if !v.Subscribed {
			p.line("next: plugbeat subscribe %s --all", word(w.Name))
		}
	}
}

func (s *shell) webhookTestCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "test",
		Usage:     "send a test payload with made-up values; it is not a delivery",
		ArgsUsage: "WEBHOOK",
		Flags:     clientFlags(),
		CustomHelpTemplate: example(`
plugbeat webhook test fleet`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			t, err := a.TestWebhook(ctx, c.Args().First())
			if err != nil {
				return err
			}
			name := c.Args().First()
			accepted := t.Outcome == webhook.OutcomeDelivered
			err = s.print(c, t, func(p *page) {
				if accepted {
					p.line("%s accepted the test payload: %d in %s", clean(name), t.Status, took(t.Duration))
					return
				}
				showAttempts(p, []webhook.Attempt{t})
			})
			if err != nil {
				return err
			}
			if !accepted {
				verb := "refused"
				if t.Status == 0 {
					verb = "did not get"
				}
				return hint(fmt.Errorf("%s %s the test payload: %s in %s", name, verb, answer(t), took(t.Duration)), "correct the receiver, then: plugbeat webhook test %s", word(c.Args().First()))
			}
			return nil
		}),
	}
}

func (s *shell) webhookDisableCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "disable",
		Usage:       "stop a webhook until it is enabled",
		ArgsUsage:   "WEBHOOK",
		Description: "Its vehicles are not read for it and nothing is sent. What waits keeps waiting.",
		Flags:       clientFlags(),
		CustomHelpTemplate: example(`
plugbeat webhook disable fleet`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			w, err := a.DisableWebhook(ctx, c.Args().First())
			if err != nil {
				return err
			}
			return s.print(c, w, func(p *page) {
				p.line("%s is %s; %s waiting", clean(w.Name), adminapi.WebhookView{Webhook: w}.Summary(), count(w.Ledger.Waiting(), "delivery"))
				p.line("to go on: plugbeat webhook enable %s", word(w.Name))
			})
		}),
	}
}

func (s *shell) webhookRemoveCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "rm",
		Usage:       "remove a webhook, its subscriptions and what waits",
		ArgsUsage:   "WEBHOOK",
		Description: "Waiting deliveries are cancelled. On a terminal it asks first.",
		Flags:       append([]ucli.Flag{yesFlag()}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat webhook rm fleet --yes`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			w, err := a.Webhook(ctx, c.Args().First())
			if err != nil {
				return err
			}
			question := fmt.Sprintf("remove webhook %s and cancel its %s waiting", clean(w.Name), count(w.Ledger.Waiting(), "delivery"))
			if err := s.sure(c, question); err != nil {
				return err
			}
			done, err := a.IfMatch(w.ETag).RemoveWebhook(ctx, w.ID.String())
			if err != nil {
				return err
			}
			return s.print(c, done, func(p *page) {
				p.line("removed %s; %s cancelled", clean(w.Name), count(done.Cancelled, "waiting delivery"))
			})
		}),
	}
}

func yesFlag() ucli.Flag {
	return &ucli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask", DisableDefaultText: true}
}

// sure asks before something that cannot be undone; not on a terminal, --yes is
// needed instead.
func (s *shell) sure(c *ucli.Context, question string) error {
	if c.Bool("yes") {
		return nil
	}
	if !s.inTTY || c.Bool("json") {
		return &usageError{msg: c.Command.HelpName + " cannot be undone", hint: "confirm it with --yes"}
	}
	yes, err := s.prompter().confirm(question, false)
	if err != nil {
		return err
	}
	if !yes {
		return fmt.Errorf("not confirmed; nothing was changed")
	}
	return nil
}
