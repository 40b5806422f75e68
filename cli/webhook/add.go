package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/words"
)

// settingFlags are the flags of a webhook's settings, for add and change.
func settingFlags() []ucli.Flag {
	return append([]ucli.Flag{
		&ucli.StringFlag{Name: "name", Usage: "the webhook's `NAME`, by which commands know it"},
		&ucli.StringFlag{Name: "callback", Usage: "the `URI` that receives payloads, http or https"},
		&ucli.StringFlag{Name: "unplugged", Usage: "`CADENCE` while unplugged: a duration (1h) or a cron expression (\"0 * * * *\")"},
		&ucli.StringFlag{Name: "plugged-in", Usage: "`CADENCE` while plugged in"},
		&ucli.StringFlag{Name: "zone", Usage: "time `ZONE` of cron expressions (default: UTC); a time that spring skips comes after the gap, " +
			"one that autumn doubles comes once"},
		terminal.Switch("fastest", "while plugged in, the make's fastest sensible interval"),
		&ucli.StringFlag{Name: "signing", Usage: "signature headers: `smartcar|standard|both`"},
		&ucli.StringFlag{Name: "recover", Usage: "what waited leaves when it comes back by this `POLICY`: all, latest or none"},
		terminal.Switch("allow-private", "let the callback be a private or loopback address; =false when delivery.allow lists it"),
	}, contentFlags()...)
}

func (s commands) addCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "add",
		Usage: "add a webhook; asks for what is missing when typed on a terminal",
		Description: `The signing key is printed once. The webhook receives nothing until it is verified: plugbeat
POSTs a challenge to the callback, which answers {"challenge": HMAC-SHA256(management token, challenge)}.
Several webhooks may share a callback; eventName and webhookId tell their deliveries apart.`,
		Flags: append(append(settingFlags(),
			&ucli.StringFlag{Name: "type", Usage: "what it sends: `dynamic|schedule|eventBased`", Value: string(webhook.TypeDynamic)},
			&ucli.StringFlag{Name: "id", Usage: "bring an old webhook's `UUID` along"},
			terminal.Switch("verify", "send the challenge at once")), terminal.ClientFlags()...),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook add
plugbeat webhook add --name fleet --callback https://example.com/hook --verify
plugbeat webhook add --name daily --type schedule --every "0 7 * * *" --zone Europe/Berlin --callback https://example.com/hook
plugbeat webhook add --name local --callback http://127.0.0.1:8000/hook --allow-private`),
		Action: s.WithClient(0, 0, s.addWebhook),
	}
}

func (s commands) addWebhook(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
	n, err := newWebhook(c)
	if err != nil {
		return err
	}
	verify := c.Bool("verify")
	ask := s.InTTY && !c.Bool("json")
	var p *terminal.Prompter
	if ask {
		p = s.Prompter()
	}
	if !ask || n.Name != "" && n.CallbackURI != "" {
		if err := checkContent(n.Type, n.Content); err != nil {
			return err
		}
	}
	if n.Name == "" || n.CallbackURI == "" || needsMore(&n) {
		if !ask && n.Name != "" && n.CallbackURI != "" {
			return &terminal.UsageError{Text: fmt.Sprintf("webhook add --type %s needs --every", n.Type),
				Hint: "such as --every daily, --every \"2 weeks\" or --every \"0 7 * * *\""}
		}
		if !ask {
			return &terminal.UsageError{Text: "webhook add needs --name and --callback",
				Hint: "on a terminal it asks for them; see: plugbeat webhook add --help"}
		}
		// Nobody should answer questions for a daemon that is not there.
		if _, err := a.Version(ctx); err != nil {
			return err
		}
		if verify, err = s.webhookWizard(ctx, c, a, p, &n); err != nil {
			return err
		}
	} else if n.AllowPrivate, err = s.consent(ctx, c, p, n.CallbackURI); err != nil {
		return err
	}
	added, err := a.AddWebhook(ctx, n)
	if err != nil {
		return err
	}
	var verified *adminapi.Verified
	var refused error
	if verify {
		v, err := a.VerifyWebhook(ctx, added.Webhook.ID.String())
		if err == nil {
			verified, added.Webhook = &v, v.Webhook
		} else {
			// The key is shown only here, so the result comes first.
			refused = terminal.Hint(fmt.Errorf("webhook %s was added but is not verified: %w", added.Webhook.Name, err), "%s",
				verifyHint(err, added.Webhook.Name))
		}
	}
	return errors.Join(s.Print(c, added, func(p *terminal.Page) { showAdded(p, added, verified) }), refused)
}

func newWebhook(c *ucli.Context) (adminapi.NewWebhook, error) {
	if err := checkSettings(c); err != nil {
		return adminapi.NewWebhook{}, err
	}
	n := adminapi.NewWebhook{
		Type: webhook.Type(c.String("type")), Name: c.String("name"), CallbackURI: c.String("callback"),
		Cadence: *changedCadence(c, webhook.Cadence{}),
		Signing: webhook.Signing(c.String("signing")), Recover: webhook.Policy(c.String("recover")),
	}
	n.Content, _ = changedContent(c, n.Content)
	if err := webhook.CheckType(n.Type); err != nil {
		return n, &terminal.UsageError{Text: "--type: " + err.Error()}
	}
	if v := c.String("id"); v != "" {
		id, err := uuid.Parse(v)
		if err != nil || len(v) != 36 {
			return n, &terminal.UsageError{Text: fmt.Sprintf("--id %q: want a UUID, such as 2b3a7c1e-8f0d-4f6e-9a55-3f1d2c4b5a69", v)}
		}
		n.ID = &id
	}
	return n, nil
}

// checkSettings refuses what the flags of a webhook's settings cannot be, before the daemon
// is asked.
func checkSettings(c *ucli.Context) error {
	for _, setting := range []struct {
		flag  string
		check func(string) error
	}{
		{"name", webhook.CheckName},
		{"callback", webhook.CheckCallback},
		{"signing", func(v string) error { return webhook.CheckSigning(webhook.Signing(v)) }},
	} {
		if !c.IsSet(setting.flag) {
			continue
		}
		if err := setting.check(c.String(setting.flag)); err != nil {
			return &terminal.UsageError{Text: "--" + setting.flag + ": " + err.Error()}
		}
	}
	_, err := policy("--recover", c.String("recover"))
	return err
}

// webhookWizard asks for what a webhook needs and whether to verify it.
func (s commands) webhookWizard(ctx context.Context, c *ucli.Context, a *adminapi.Client, p *terminal.Prompter,
	n *adminapi.NewWebhook) (verify bool, err error) {
	if !c.IsSet("type") {
		if n.Type, err = askType(ctx, p); err != nil {
			return false, err
		}
	}
	if err := checkContent(n.Type, n.Content); err != nil {
		return false, err
	}
	if n.Name == "" {
		n.Name, err = p.Ask(ctx, "name", "", checkName(ctx, a))
		if err != nil {
			return false, err
		}
	}
	if err := s.askCallback(ctx, c, p, n); err != nil {
		return false, err
	}
	if err := askContent(ctx, c, a, p, n); err != nil {
		return false, err
	}
	// What it costs is no reason to stop when it cannot be told.
	if k, err := a.Cost(ctx, *n); err == nil {
		for _, line := range k.Lines {
			p.Say("cost: " + words.Clean(line))
		}
	}
	yes, err := p.Confirm(ctx, fmt.Sprintf("add webhook %s to %s", words.Clean(n.Name), words.Clean(n.CallbackURI)), true)
	if err != nil {
		return false, err
	}
	if !yes {
		return false, errors.New("not added; nothing was changed")
	}
	if c.Bool("verify") {
		return true, nil
	}
	return p.Confirm(ctx, "send the challenge now, so that it may receive payloads", true)
}

// askCallback asks for a callback unless a flag gave it, until it is one that
// plugbeat may send to.
func (s commands) askCallback(ctx context.Context, c *ucli.Context, p *terminal.Prompter, n *adminapi.NewWebhook) error {
	asked := n.CallbackURI == ""
	for {
		var err error
		if asked {
			n.CallbackURI, err = p.Ask(ctx, "callback URI", "", func(v string) error {
				if v == "" {
					return errors.New("a callback URI is needed: where payloads are POSTed, such as https://example.com/hook")
				}
				return webhook.CheckCallback(v)
			})
			if err != nil {
				return err
			}
		}
		if n.AllowPrivate, err = s.consent(ctx, c, p, n.CallbackURI); err != nil {
			return err
		}
		if n.AllowPrivate || !asked || c.IsSet("allow-private") {
			return nil
		}
		if _, class := privateAddress(ctx, n.CallbackURI); class == "" {
			return nil
		}
		p.Say("then nothing would ever reach it; which other callback?")
	}
}

func showAdded(p *terminal.Page, a adminapi.WebhookAdded, v *adminapi.Verified) {
	name := words.Shell(a.Webhook.Name)
	p.Fields(
		[2]string{"webhook", a.Webhook.Name},
		[2]string{"id", a.Webhook.ID.String()},
		[2]string{"type", string(a.Webhook.Type)},
		[2]string{"callback", a.Webhook.CallbackURI},
		[2]string{"status", adminapi.WebhookView{Webhook: a.Webhook}.Summary()},
		[2]string{"signing key", a.SigningKey + "   (shown once; for the webhook-signature header)"},
	)
	phrase.Warn(p, a.Warnings)
	phrase.Costs(p, a.Costs)
	p.Line("")
	if v != nil {
		p.Line("verified: %s", words.Clean(v.Challenge.Text))
		p.Line("next: plugbeat subscribe %s --all", name)
		return
	}
	p.Line("next: plugbeat webhook verify %s", name)
}

// verifyHint says what to do about a challenge that was not answered rightly.
func verifyHint(err error, name string) string {
	lines := []string{"then try again: plugbeat webhook verify " + words.Shell(name)}
	if ch := challengeOf(err); ch != nil && (ch.Status != 0 || ch.Text == "") {
		lines = append([]string{`the callback answers a body with "eventName": "verify" by status 200 and {"challenge": HEX}, where HEX is`,
			"HMAC-SHA256(management token, payload.challenge); Smartcar's SDKs have it as hashChallenge"}, lines...)
	}
	return strings.Join(lines, "\n") + bridgeHint(err, name)
}

// bridgeHint names the way that works for a receiver that takes every POST and answers no
// challenge; empty where the receiver refused or did not answer.
func bridgeHint(err error, name string) string {
	if ch := challengeOf(err); ch == nil || ch.Status < 200 || ch.Status > 299 {
		return ""
	}
	return "\na receiver that cannot answer it, as Home Assistant's webhook trigger, gets its deliveries by: plugbeat bridge URL" +
		"\nwith URL the receiver's; the webhook's callback is then the bridge: plugbeat webhook change " + words.Shell(name) +
		" --callback http://127.0.0.1:8098/ --allow-private"
}

// enableHint says what to do about a challenge that kept a webhook from being enabled. Force
// is advised only where the daemon grants it: after a right answer at that callback.
func enableHint(err error, name string, verified bool) string {
	if !verified {
		return verifyHint(err, name)
	}
	return "correct the receiver and try again, or skip the challenge: plugbeat webhook enable " + words.Shell(name) + " --force" +
		bridgeHint(err, name)
}
