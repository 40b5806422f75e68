package webhook

import (
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

func (s commands) changeCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "change",
		Usage:     "change a webhook's settings",
		ArgsUsage: "WEBHOOK",
		Description: `Only the settings named change. A new callback has to be verified before it receives anything;
what waits then goes to it. --unplugged, --plugged-in, --zone, --unit-system and --recover with an empty value return to the
daemon's default, --paths and --events to all.`,
		Flags: append(settingFlags(), terminal.ClientFlags()...),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook change fleet --plugged-in 15m
plugbeat webhook change fleet --callback https://example.com/new && plugbeat webhook verify fleet`),
		Action: s.WithClient(1, 1, s.changeWebhook),
	}
}

func (s commands) changeWebhook(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
	ref := c.Args().First()
	var ch adminapi.WebhookChange
	text := func(flag string) *string {
		if !c.IsSet(flag) {
			return nil
		}
		v := c.String(flag)
		return &v
	}
	if err := checkSettings(c); err != nil {
		return err
	}
	ch.Name, ch.CallbackURI = text("name"), text("callback")
	ch.Signing, ch.Recover = (*webhook.Signing)(text("signing")), (*webhook.Policy)(text("recover"))
	if c.IsSet("allow-private") {
		v := c.Bool("allow-private")
		ch.AllowPrivate = &v
	}
	cadence := c.IsSet("every") || c.IsSet("unplugged") || c.IsSet("plugged-in") || c.IsSet("zone") || c.IsSet("fastest")
	_, content := changedContent(c, webhook.Content{})
	if !cadence && !content && ch == (adminapi.WebhookChange{}) {
		return &terminal.UsageError{Text: "webhook change needs at least one setting to change", Hint: "see: plugbeat webhook change --help"}
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
			var p *terminal.Prompter
			if s.InTTY && !c.Bool("json") {
				p = s.Prompter()
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
	return s.Show(c, changed, err, func(p *terminal.Page) {
		showWebhook(p, &adminapi.WebhookView{Webhook: changed.Webhook, Derived: changed.Derived})
		phrase.Warn(p, changed.Warnings)
		phrase.Costs(p, changed.Costs)
		if w := changed.Webhook; w.Status == webhook.Disabled && w.Reason == webhook.CallbackChanged || w.Status == webhook.Unverified {
			p.Line("\nnext: plugbeat webhook verify %s", words.Shell(w.Name))
		}
	})
}

// changedCadence is the webhook's cadence with the flags that were typed.
func changedCadence(c *ucli.Context, old webhook.Cadence) *webhook.Cadence {
	for flag, field := range map[string]*string{"every": &old.Every, "unplugged": &old.Unplugged, "plugged-in": &old.PluggedIn,
		"zone": &old.Zone} {
		if c.IsSet(flag) {
			*field = c.String(flag)
		}
	}
	if c.IsSet("fastest") {
		old.Fastest = c.Bool("fastest")
	}
	return &old
}

func (s commands) verifyCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "verify",
		Usage:     "send the challenge; a right answer activates the webhook",
		ArgsUsage: "WEBHOOK",
		Description: `The callback gets {"eventName": "verify", ...} and answers {"challenge": HEX}, where HEX is the
HMAC-SHA256 of the challenge under the management token. It activates a webhook that is not verified
yet or whose callback was changed. Of any other it changes nothing: to try a failing one now, or to
bring a disabled one back, enable it, which sends a challenge too.`,
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook verify fleet`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			v, err := a.VerifyWebhook(ctx, c.Args().First())
			if err != nil {
				if e := challengeOf(err); e != nil {
					return terminal.Hint(err, "%s", verifyHint(err, c.Args().First()))
				}
				return err
			}
			return s.Print(c, v, func(p *terminal.Page) { showVerified(p, v) })
		}),
	}
}

// showVerified says what a right answer led to, which depends on how the webhook was.
func showVerified(p *terminal.Page, v adminapi.Verified) {
	w := &v.Webhook
	name, in := words.Clean(w.Name), words.Took(v.Challenge.Duration)
	switch {
	case w.Status == webhook.Disabled:
		p.Line("%s answered the challenge rightly in %s, but it is still disabled (%s)", name, in, w.Reason)
		p.Line("next: %s", phrase.ComeBack(w))
	case w.Failing():
		p.Line("%s answered the challenge rightly in %s, and nothing has changed: it is %s; %s waiting", name, in, phrase.NextProbe(p, w),
			words.Count(w.Ledger.Waiting(), "delivery"))
		p.Line("to send a probe now: plugbeat webhook enable %s", words.Shell(w.Name))
	default:
		p.Line("%s is verified: the callback answered the challenge in %s and receives payloads now", name, in)
		if !v.Subscribed {
			p.Line("next: plugbeat subscribe %s --all", words.Shell(w.Name))
		}
	}
}

func (s commands) testCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "test",
		Usage:     "send a test payload with made-up values; it is not a delivery",
		ArgsUsage: "WEBHOOK",
		Flags:     terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook test fleet`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			t, err := a.TestWebhook(ctx, c.Args().First())
			if err != nil {
				return err
			}
			name := c.Args().First()
			accepted := t.Outcome == webhook.OutcomeDelivered
			err = s.Print(c, t, func(p *terminal.Page) {
				if accepted {
					p.Line("%s accepted the test payload: %d in %s", words.Clean(name), t.Status, words.Took(t.Duration))
					return
				}
				phrase.Attempts(p, []webhook.Attempt{t})
			})
			if err != nil {
				return err
			}
			if !accepted {
				verb := "refused"
				if t.Status == 0 {
					verb = "did not get"
				}
				return terminal.Hint(fmt.Errorf("%s %s the test payload: %s in %s", name, verb, phrase.Answer(t), words.Took(t.Duration)),
					"correct the receiver, then: plugbeat webhook test %s", words.Shell(c.Args().First()))
			}
			return nil
		}),
	}
}

func (s commands) disableCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "disable",
		Usage:       "stop a webhook until it is enabled",
		ArgsUsage:   "WEBHOOK",
		Description: "Its vehicles are not read for it and nothing is sent. What waits keeps waiting.",
		Flags:       terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook disable fleet`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			w, err := a.DisableWebhook(ctx, c.Args().First())
			return s.Show(c, w, err, func(p *terminal.Page) {
				p.Line("%s is %s; %s waiting", words.Clean(w.Name), adminapi.WebhookView{Webhook: w}.Summary(),
					words.Count(w.Ledger.Waiting(), "delivery"))
				p.Line("to go on: plugbeat webhook enable %s", words.Shell(w.Name))
			})
		}),
	}
}

func (s commands) removeCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "rm",
		Usage:       "remove a webhook, its subscriptions and what waits",
		ArgsUsage:   "WEBHOOK",
		Description: "Waiting deliveries are cancelled. On a terminal it asks first.",
		Flags:       terminal.ClientFlags(terminal.YesFlag()),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook rm fleet --yes`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			w, err := a.Webhook(ctx, c.Args().First())
			if err != nil {
				return err
			}
			question := fmt.Sprintf("remove webhook %s and cancel its %s waiting", words.Clean(w.Name),
				words.Count(w.Ledger.Waiting(), "delivery"))
			if err := s.Sure(c, question); err != nil {
				return err
			}
			done, err := a.IfMatch(w.ETag).RemoveWebhook(ctx, w.ID.String())
			return s.Show(c, done, err, func(p *terminal.Page) {
				p.Line("removed %s; %s cancelled", words.Clean(w.Name), words.Count(done.Cancelled, "waiting delivery"))
			})
		}),
	}
}

// challengeOf returns the receiver's answer to a challenge that failed.
func challengeOf(err error) *webhook.Challenge {
	var e *adminapi.Error
	if errors.As(err, &e) && e.Code == adminapi.CodeChallengeFailed {
		if e.Challenge == nil {
			return &webhook.Challenge{}
		}
		return e.Challenge
	}
	return nil
}
