package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// resendFilters are the flags that choose which deliveries of a webhook are resent.
var resendFilters = []string{"webhook", "vehicle", "state", "since", "until", "dry-run"}

func (s *shell) deliveryResendCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "resend",
		Usage:     "send a finished delivery once more, or a part of a webhook's past",
		ArgsUsage: "[DELIVERY]",
		Description: `A delivery becomes a new one with the same payload and the same webhook-id, so that a receiver which
has it already knows. It leaves after what waits for its vehicle now. What waits needs no resending, and
what has no payload any more cannot be resent.

Without DELIVERY, --webhook and the flags beside it choose finished deliveries, oldest first. What was
resent before and arrived is left out: after an error or a crash in the middle run it again.`,
		Flags: append([]ucli.Flag{
			&ucli.StringFlag{Name: "webhook", Usage: "those of this `WEBHOOK`, a name or an id"},
			&ucli.StringFlag{Name: "vehicle", Usage: "only of the vehicle with this `ID`"},
			&ucli.StringFlag{Name: "state", Usage: "only in this `STATE`: " + finalStates()},
			&ucli.StringFlag{Name: "since", Usage: "only made after `TIME`: how long ago (2h), or a date and time"},
			&ucli.StringFlag{Name: "until", Usage: "only made before `TIME`"},
			&ucli.BoolFlag{Name: "dry-run", Usage: "count what it would make, and make nothing", DisableDefaultText: true},
			yesFlag(),
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat delivery resend 0198c2a4-7f3e-7c51-9d0e-5b6f1a2c3d4e
plugbeat delivery resend --webhook fleet --since 6h --dry-run
plugbeat delivery resend --webhook fleet --state dead`),
		Action: s.withClient(0, 1, s.resend),
	}
}

// finalStates lists the states of finished deliveries.
func finalStates() string { return strings.TrimPrefix(stateList(), string(webhook.Waiting)+", ") }

func (s *shell) resend(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
	if c.NArg() == 0 {
		return s.resendAll(ctx, c, a)
	}
	if i := slices.IndexFunc(resendFilters, c.IsSet); i >= 0 {
		return &usageError{msg: "DELIVERY and --" + resendFilters[i] + " exclude each other", hint: "see: plugbeat delivery resend --help"}
	}
	id, err := deliveryID(c)
	if err != nil {
		return err
	}
	v, err := a.Resend(ctx, id)
	if err != nil {
		return err
	}
	return s.print(c, v, func(p *page) {
		d := v.Delivery
		p.line("resent as %s, webhook-id %s", d.ID, d.MessageID)
		p.line("next: %s", resendNext(p, v))
		p.line("see: plugbeat delivery show %s", d.ID)
	})
}

// resendNext is what comes next for a delivery that was just made; it may have
// arrived already.
func resendNext(p *page, v adminapi.DeliveryView) string {
	if v.Delivery.State.Final() {
		return "nothing: it is " + string(v.Delivery.State)
	}
	return whatNext(p, v)
}

func (s *shell) resendAll(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
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
		return s.print(c, counted, func(p *page) {
			showResendPlan(p, r.Webhook, counted.Plan)
			p.line("nothing is sent")
		})
	} else if err := s.sure(c, fmt.Sprintf("send %s again to %s", count(n, "delivery"), clean(r.Webhook))); err != nil {
		return err
	}
	r.DryRun = false
	made, err := a.ResendAll(ctx, r)
	if err != nil {
		return err
	}
	return s.print(c, made, func(p *page) {
		showResendPlan(p, r.Webhook, made.Plan)
		p.line("%s made, waiting to be sent; follow them: plugbeat delivery tail --webhook %s", count(made.Made, "delivery"), word(r.Webhook))
	})
}

func (s *shell) resendRequest(c *ucli.Context) (r adminapi.ResendRequest, err error) {
	r = adminapi.ResendRequest{Webhook: c.String("webhook"), State: webhook.State(c.String("state"))}
	if r.Webhook == "" {
		return r, &usageError{msg: "delivery resend needs a DELIVERY, or --webhook", hint: "see: plugbeat delivery resend --help"}
	}
	if v := c.String("vehicle"); v != "" {
		id, err := vehicleID(v)
		if err != nil {
			return r, err
		}
		r.Vehicle = &id
	}
	if r.State != "" && !slices.Contains(webhook.States[1:], r.State) {
		return r, &usageError{msg: fmt.Sprintf("--state %q: want one of %s", string(r.State), finalStates())}
	}
	for flag, field := range map[string]*string{"since": &r.Since, "until": &r.Until} {
		at, err := moment(c, flag, s.now())
		if err != nil {
			return r, err
		}
		if !at.IsZero() {
			*field = at.UTC().Format(time.RFC3339Nano)
		}
	}
	return r, nil
}

func showResendPlan(p *page, name string, n webhook.ResendPlan) {
	var parts []string
	for _, st := range webhook.States {
		if k := n.States[st]; k > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", k, st))
		}
	}
	sent := fmt.Sprint(n.Sent())
	if n.Sent() > 0 {
		sent = fmt.Sprintf("%d, of %s, %s", n.Sent(), count(n.Vehicles, "vehicle"), size(n.Bytes))
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
	p.fields(fields...)
}
