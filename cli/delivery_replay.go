package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

func (s *shell) deliveryReplayCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "replay",
		Usage: "send a part of the past again",
		Description: `Chooses finished deliveries that were not sent again since, of one webhook or of all. Each becomes
a new delivery with the same payload and the same webhook-id, oldest first, at the rate and no faster
than its webhook takes them. It goes on by itself, also over a restart; status shows how far it is.`,
		Flags: append([]ucli.Flag{
			&ucli.StringFlag{Name: "webhook", Usage: "only of this `WEBHOOK`, a name or an id"},
			&ucli.StringFlag{Name: "vehicle", Usage: "only of the vehicle with this `ID`"},
			&ucli.StringFlag{Name: "state", Usage: "only in this `STATE`: " + stateList()},
			&ucli.StringFlag{Name: "since", Usage: "only made after `TIME`: how long ago (2h), or a date and time"},
			&ucli.StringFlag{Name: "until", Usage: "only made before `TIME`"},
			&ucli.Float64Flag{Name: "rate", Usage: "at most `N` a second; 0.5 is one every two seconds (default: delivery.recover_rate)"},
			dryRunFlag(), yesFlag(),
			&ucli.BoolFlag{Name: "cancel", Usage: "end the replay of --webhook; what was made of it stays", DisableDefaultText: true},
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat delivery replay --webhook fleet --since 6h --dry-run
plugbeat delivery replay --webhook fleet --state dead --rate 5
plugbeat delivery replay --webhook fleet --cancel`),
		Action: s.withClient(0, 0, s.replay),
	}
}

func (s *shell) replay(ctx context.Context, c *ucli.Context, a *api.Client) error {
	r, err := s.replayRequest(c)
	if err != nil {
		return err
	}
	if c.Bool("cancel") {
		return s.cancelReplay(ctx, c, a)
	}
	r.DryRun = true
	plan, err := a.Replay(ctx, r)
	if err != nil {
		return err
	}
	total, names := 0, []string{}
	for _, i := range plan.Items {
		if n := i.Plan.Sent(); n > 0 {
			total, names = total+n, append(names, i.Webhook.Name)
		}
	}
	if c.Bool("dry-run") || total == 0 {
		return s.print(c, plan, func(p *page) {
			showReplays(p, plan.Items)
			p.line("nothing is sent")
		})
	}
	if err := s.sure(c, fmt.Sprintf("send %s again to %s", count(total, "delivery"), clean(strings.Join(names, ", ")))); err != nil {
		return err
	}
	r.DryRun = false
	begun, err := a.Replay(ctx, r)
	if err != nil {
		return err
	}
	return s.print(c, begun, func(p *page) {
		showReplays(p, begun.Items)
		p.line("it has begun; follow it: plugbeat status, plugbeat delivery tail")
		p.line("to end it: plugbeat delivery replay --cancel --webhook %s", word(begun.Items[0].Webhook.Name))
	})
}

func (s *shell) replayRequest(c *ucli.Context) (r api.ReplayRequest, err error) {
	r = api.ReplayRequest{Webhook: c.String("webhook"), State: webhook.State(c.String("state")), Rate: c.Float64("rate")}
	if c.Bool("cancel") {
		for _, f := range []string{"vehicle", "state", "since", "until", "rate", "dry-run"} {
			if c.IsSet(f) {
				return r, &usageError{msg: "--cancel ends the whole replay of a webhook; it goes without --" + f}
			}
		}
		if r.Webhook == "" {
			return r, &usageError{msg: "--cancel needs --webhook", hint: "see: plugbeat status"}
		}
		return r, nil
	}
	if v := c.String("vehicle"); v != "" {
		id, err := vehicleID(v)
		if err != nil {
			return r, err
		}
		r.Vehicle = &id
	}
	if r.State != "" && !slices.Contains(webhook.States[1:], r.State) {
		return r, &usageError{msg: fmt.Sprintf("--state %q: want one of %s", string(r.State), strings.TrimPrefix(stateList(), string(webhook.Waiting)+", "))}
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
	if c.IsSet("rate") && !(r.Rate > 0) {
		return r, &usageError{msg: fmt.Sprintf("--rate %v: want more than 0", r.Rate)}
	}
	if r.Webhook == "" && r.Vehicle == nil && r.State == "" && r.Since == "" && r.Until == "" {
		return r, &usageError{msg: "delivery replay needs to know what: --webhook, --vehicle, --state, --since or --until", hint: "see: plugbeat delivery replay --help"}
	}
	return r, nil
}

func (s *shell) cancelReplay(ctx context.Context, c *ucli.Context, a *api.Client) error {
	was, err := a.CancelReplay(ctx, c.String("webhook"))
	if err != nil {
		return err
	}
	return s.print(c, was, func(p *page) {
		p.line("the replay is cancelled; %s of %d were made, and leave", count(was.Made, "delivery"), was.Total)
	})
}

func showReplays(p *page, items []api.ReplayedItem) {
	if len(items) == 0 {
		p.line("no finished delivery matches that was not sent again since")
		return
	}
	var rows [][]string
	erased := 0
	for _, i := range items {
		n := i.Plan
		var parts []string
		for _, st := range webhook.States {
			if k := n.States[st]; k > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", k, st))
			}
		}
		erased += n.Erased
		note := ""
		if n.Sent() > 0 {
			note = replayWaits(&i.Webhook)
		}
		rows = append(rows, []string{i.Webhook.Name, orDash(strings.Join(parts, ", ")), fmt.Sprint(n.Sent()), fmt.Sprint(n.Vehicles), size(n.Bytes), fmt.Sprintf("%g/s", n.Rate), took(n.Takes) + " or more", note})
	}
	p.table([]string{"WEBHOOK", "MATCH", "SENT", "VEHICLES", "SIZE", "RATE", "TAKES", "NOTE"}, rows)
	if erased > 0 {
		p.line("%s among them cannot be sent again: the payload is erased", count(erased, "delivery"))
	}
}

// replayWaits says why a webhook takes no replay now.
func replayWaits(w *webhook.Webhook) string {
	switch {
	case w.Status != webhook.Active:
		return "waits: the webhook is " + api.WebhookView{Webhook: *w}.Summary()
	case w.Health.Failing():
		return "waits: the webhook is failing"
	}
	return ""
}

// replaying says how far a replay has come; empty when none goes on.
func replaying(w *webhook.Webhook) string {
	r := w.Replay
	if r == nil {
		return ""
	}
	text := fmt.Sprintf("%d of %d made, at most %g a second", r.Made, r.Total, r.Rate)
	if r.Passed > 0 {
		text += fmt.Sprintf(", %d without a payload", r.Passed)
	}
	if why := replayWaits(w); why != "" {
		text += "; " + why
	}
	return text
}

func dryRunFlag() ucli.Flag {
	return &ucli.BoolFlag{Name: "dry-run", Usage: "count what it would do, and do nothing", DisableDefaultText: true}
}
