package webhook

import (
	"context"
	"fmt"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/words"
)

func (s commands) rotateKeyCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "rotate-key",
		Usage:     "replace a webhook's Standard Webhooks key, with an overlap",
		ArgsUsage: "WEBHOOK",
		Description: `Makes a new key and shows it this once. For the overlap every request is signed with the old key and
with the new one, both in webhook-signature. Then:
   1. give the receiver the new key
   2. --try sends it a test payload signed with the new key alone
   3. --finish does so too, and when it is accepted ends the overlap; else the overlap ends by itself
--cancel keeps the old key: also when the new one was lost before anybody wrote it down. SC-Signature has
another key, the management token; see docs/keys.md.`,
		Flags: terminal.ClientFlags(
			&ucli.StringFlag{Name: "overlap", Usage: "both keys sign for this `TIME`, 0s to 720h; after 0s the old one is gone (default: 24h)"},
			terminal.Switch("try", "ask the receiver whether it can do without the old key"),
			terminal.Switch("finish", "end the overlap now, when the receiver can do without the old key"),
			terminal.Switch("force", "with --finish: without asking the receiver"),
			terminal.Switch("cancel", "keep the old key, and drop the new one"),
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat webhook rotate-key fleet
plugbeat webhook rotate-key fleet --try
plugbeat webhook rotate-key fleet --finish`),
		Action: s.WithClient(1, 1, s.rotateKey),
	}
}

// keyStep reads the one step that the flags ask for.
func keyStep(c *ucli.Context) (k adminapi.KeyChange, err error) {
	k = adminapi.KeyChange{Step: adminapi.KeyRotate, Overlap: c.String("overlap"), Force: c.Bool("force")}
	step, err := terminal.OneOf(c, string(adminapi.KeyTry), string(adminapi.KeyFinish), string(adminapi.KeyCancel))
	if err != nil {
		return k, err
	}
	if step != "" {
		k.Step = adminapi.KeyStep(step)
	}
	switch {
	case k.Force && k.Step != adminapi.KeyFinish:
		return k, &terminal.UsageError{Text: "--force goes with --finish"}
	case k.Overlap != "" && k.Step != adminapi.KeyRotate:
		return k, &terminal.UsageError{Text: "--overlap is for making a new key, not for --" + string(k.Step)}
	}
	if d, err := time.ParseDuration(k.Overlap); k.Overlap != "" && (err != nil || d < 0 || d > 720*time.Hour) {
		return k, &terminal.UsageError{Text: fmt.Sprintf("--overlap %q: want 0s to 720h, such as 24h", k.Overlap)}
	}
	return k, nil
}

func (s commands) rotateKey(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
	k, err := keyStep(c)
	if err != nil {
		return err
	}
	done, err := a.ChangeKey(ctx, c.Args().First(), k)
	if err != nil {
		return err
	}
	if err := s.Print(c, done, func(p *terminal.Page) { showKeyStep(p, k.Step, &done) }); err != nil {
		return err
	}
	if t := done.Attempt; k.Step == adminapi.KeyTry && t != nil && t.Outcome != webhook.OutcomeDelivered {
		return terminal.Hint(fmt.Errorf("%s did not accept a test payload signed with the new key alone: %s in %s", done.Webhook.Name,
			phrase.Answer(*t), words.Took(t.Duration)),
			"give the receiver the new key, then: plugbeat webhook rotate-key %s --try", words.Shell(done.Webhook.Name))
	}
	return nil
}

func showKeyStep(p *terminal.Page, step adminapi.KeyStep, d *adminapi.KeyChanged) {
	w := &d.Webhook
	name, cmd := words.Clean(w.Name), "plugbeat webhook rotate-key "+words.Shell(w.Name)
	switch step {
	case adminapi.KeyRotate:
		overlap := "none: requests are signed with the new key alone from now on"
		if w.KeyOverlap != nil {
			overlap = "ends " + p.Rel(w.KeyOverlap.Until) + "; until then the old key signs as well"
		}
		p.Fields(
			[2]string{"webhook", w.Name},
			[2]string{"new signing key", d.SigningKey + "   (shown once; for the webhook-signature header)"},
			[2]string{"overlap", overlap},
		)
		if w.KeyOverlap != nil {
			p.Line("")
			p.Line("next: give the receiver the new key, then: %s --finish", cmd)
			p.Line("if the new key is lost: %s --cancel", cmd)
		}
	case adminapi.KeyTry:
		if t := d.Attempt; t != nil && t.Outcome == webhook.OutcomeDelivered {
			p.Line("%s accepted a test payload signed with the new key alone: %d in %s", name, t.Status, words.Took(t.Duration))
			p.Line("next: %s --finish", cmd)
			return
		}
		p.Line("%s still needs the old key; it signs as well until the overlap ends, %s", name, terminal.OrDash(overlapEnd(p, w)))
	case adminapi.KeyFinish:
		if t := d.Attempt; t != nil {
			p.Line("%s accepted a test payload signed with the new key alone: %d in %s", name, t.Status, words.Took(t.Duration))
		}
		p.Line("%s signs with its new key alone", name)
	case adminapi.KeyCancel:
		p.Line("%s signs with its old key alone, as before; the new one is gone", name)
	}
}

// overlapEnd is when the old key of a webhook signs no more; empty when one key signs.
func overlapEnd(p *terminal.Page, w *webhook.Webhook) string {
	if w.KeyOverlap == nil || !p.Now.Before(w.KeyOverlap.Until) {
		return ""
	}
	return p.Rel(w.KeyOverlap.Until)
}

// twoKeys says that a webhook signs with two keys, and until when; empty when one
// signs.
func twoKeys(p *terminal.Page, w *webhook.Webhook) string {
	end := overlapEnd(p, w)
	if end == "" {
		return ""
	}
	return "two, the old one beside the new one; the overlap ends " + end
}
