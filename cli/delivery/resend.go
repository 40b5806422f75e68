package delivery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/words"
)

// resendFilters are the flags that choose which deliveries of a webhook are resent.
var resendFilters = []string{"webhook", "vehicle", "state", "since", "until", "dry-run"}

func (s commands) resendCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "resend",
		Usage:     "send a finished delivery once more, or a part of a webhook's past",
		ArgsUsage: "[DELIVERY]",
		Description: `A delivery becomes a new one with the same payload and the same webhook-id, so that a receiver which
has it already knows. It leaves after what waits for its vehicle now. What waits needs no resending, and
what has no payload any more cannot be resent.

Without DELIVERY, --webhook and the flags beside it choose finished deliveries, oldest first. What was
resent before and arrived is left out: after an error or a crash in the middle run it again.`,
		Flags: terminal.ClientFlags(
			&ucli.StringFlag{Name: "webhook", Usage: "those of this `WEBHOOK`, a name or an id"},
			&ucli.StringFlag{Name: "vehicle", Usage: "only of this `VEHICLE`, a name, an id or its beginning"},
			&ucli.StringFlag{Name: "state", Usage: "only in this `STATE`: " + finalStates()},
			&ucli.StringFlag{Name: "since", Usage: "only made after `TIME`: how long ago (2h), or a date and time"},
			&ucli.StringFlag{Name: "until", Usage: "only made before `TIME`"},
			terminal.Switch("dry-run", "count what it would make, and make nothing"),
			terminal.YesFlag(),
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat delivery resend 0198c2a4-7f3e-7c51-9d0e-5b6f1a2c3d4e
plugbeat delivery resend --webhook fleet --since 6h --dry-run
plugbeat delivery resend --webhook fleet --state dead`),
		Action: s.WithClient(0, 1, s.resend),
	}
}

// finalStates lists the states of finished deliveries.
func finalStates() string { return strings.TrimPrefix(stateList(), string(webhook.Waiting)+", ") }

func (s commands) resend(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
	if c.NArg() == 0 {
		return s.resendAll(ctx, c, a)
	}
	if i := slices.IndexFunc(resendFilters, c.IsSet); i >= 0 {
		return &terminal.UsageError{Text: "DELIVERY and --" + resendFilters[i] + " exclude each other",
			Hint: "see: plugbeat delivery resend --help"}
	}
	id, err := deliveryID(c)
	if err != nil {
		return err
	}
	v, err := a.Resend(ctx, id)
	return s.Show(c, v, err, func(p *terminal.Page) {
		d := v.Delivery
		p.Line("resent as %s, webhook-id %s", d.ID, d.MessageID)
		p.Line("next: %s", resendNext(p, v))
		p.Line("see: plugbeat delivery show %s", d.ID)
	})
}

// resendNext is what comes next for a delivery that was just made; it may have
// arrived already.
func resendNext(p *terminal.Page, v adminapi.DeliveryView) string {
	if v.Delivery.State.Final() {
		return "nothing: it is " + string(v.Delivery.State)
	}
	return whatNext(p, v)
}

func (s commands) resendAll(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
	r, err := s.resendRequest(c)
	if err != nil {
		return err
	}
	r.DryRun = true
	counted, err := a.ResendAll(ctx, r)
	if err != nil {
		return err
	}
	if n := counted.Plan.Sent(); c.Bool("dry-run") || n == 0 {
		return s.Print(c, counted, func(p *terminal.Page) {
			showResendPlan(p, r.Webhook, counted.Plan)
			p.Line("nothing is sent")
		})
	} else if err := s.Sure(c, fmt.Sprintf("send %s again to %s", words.Count(n, "delivery"), words.Clean(r.Webhook))); err != nil {
		return err
	}
	r.DryRun = false
	made, err := a.ResendAll(ctx, r)
	return s.Show(c, made, err, func(p *terminal.Page) {
		showResendPlan(p, r.Webhook, made.Plan)
		p.Line("%s made, waiting to be sent; follow them: plugbeat delivery tail --webhook %s", words.Count(made.Made, "delivery"),
			words.Shell(r.Webhook))
	})
}

func (s commands) resendRequest(c *ucli.Context) (r adminapi.ResendRequest, err error) {
	r = adminapi.ResendRequest{Webhook: c.String("webhook"), Vehicle: c.String("vehicle"), State: webhook.State(c.String("state"))}
	if r.Webhook == "" {
		return r, &terminal.UsageError{Text: "delivery resend needs a DELIVERY, or --webhook", Hint: "see: plugbeat delivery resend --help"}
	}
	if r.State != "" && !slices.Contains(webhook.States[1:], r.State) {
		return r, &terminal.UsageError{Text: fmt.Sprintf("--state %q: want one of %s", string(r.State), finalStates())}
	}
	for flag, field := range map[string]*string{"since": &r.Since, "until": &r.Until} {
		at, err := terminal.Moment(c, flag, s.Now())
		if err != nil {
			return r, err
		}
		if !at.IsZero() {
			*field = at.UTC().Format(time.RFC3339Nano)
		}
	}
	return r, nil
}

func showResendPlan(p *terminal.Page, name string, n webhook.ResendPlan) {
	var parts []string
	for _, st := range webhook.States {
		if k := n.States[st]; k > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", k, st))
		}
	}
	sent := fmt.Sprint(n.Sent())
	if n.Sent() > 0 {
		sent = fmt.Sprintf("%d, of %s, %s", n.Sent(), words.Count(n.Vehicles, "vehicle"), words.Size(n.Bytes))
	}
	fields := [][2]string{{"webhook", name}, {"match", fmt.Sprint(n.Match)}, {"resend", sent}}
	if len(parts) > 0 {
		fields[1][1] += ": " + strings.Join(parts, ", ")
	}
	if n.Erased > 0 {
		fields = append(fields, [2]string{"erased", fmt.Sprintf("%d, whose payload is no longer kept", n.Erased)})
	}
	if n.Resent > 0 {
		fields = append(fields, [2]string{"left out", fmt.Sprintf("%d, resent before", n.Resent)})
	}
	p.Fields(fields...)
}
