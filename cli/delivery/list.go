// Package delivery is the commands about deliveries: list, show, resend, tail.
//
// Change here how deliveries are chosen and shown; what becomes of one the daemon decides.
package delivery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/words"
)

// commands are the commands of this topic in one session.
type commands struct{ *terminal.Session }

// Command is the command delivery.
func Command(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "delivery",
		Usage: "look at what was sent, what waits and why; send it again",
		CustomHelpTemplate: terminal.Example(`
plugbeat delivery list
plugbeat delivery list --state waiting`),
		Subcommands: []*ucli.Command{s.listCommand(), s.showCommand(), s.resendCommand(), s.tailCommand()},
	}
}

func (s commands) listCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list deliveries, newest first",
		Flags: terminal.ClientFlags(
			&ucli.StringFlag{Name: "webhook", Usage: "only of this `WEBHOOK`, a name or an id"},
			&ucli.StringFlag{Name: "vehicle", Usage: "only of this `VEHICLE`, a name, an id or its beginning"},
			&ucli.StringFlag{Name: "state", Usage: "only in this `STATE`: " + stateList()},
			&ucli.StringFlag{Name: "since", Usage: "only made after `TIME`: how long ago (2h), or a date and time"},
			&ucli.StringFlag{Name: "until", Usage: "only made before `TIME`"},
			&ucli.IntFlag{Name: "limit", Usage: "at most `N`", Value: 20},
			&ucli.StringFlag{Name: "before", Usage: "go on where a list ended: the `CURSOR` it printed"},
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat delivery list
plugbeat delivery list --webhook fleet --state dead --since 24h`),
		Action: s.WithClient(0, 0, s.listDeliveries),
	}
}

func stateList() string {
	var list []string
	for _, st := range webhook.States {
		list = append(list, string(st))
	}
	return strings.Join(list, ", ")
}

func (s commands) listDeliveries(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
	q, err := s.deliveryQuery(c)
	if err != nil {
		return err
	}
	want := c.Int("limit")
	out := adminapi.Page[adminapi.ListedDelivery]{Items: []adminapi.ListedDelivery{}}
	for len(out.Items) < want {
		q.Limit = min(want-len(out.Items), adminapi.MaxLimit)
		pg, err := a.Deliveries(ctx, q)
		if err != nil {
			return err
		}
		out.Items = append(out.Items, pg.Items...)
		out.Next = pg.Next
		if pg.Next == "" || pg.Next == q.Before {
			break
		}
		q.Before = pg.Next
	}
	hooks := map[uuid.UUID]*adminapi.WebhookView{}
	if !c.Bool("json") && len(out.Items) > 0 {
		list, err := terminal.Collect(func(after string) (adminapi.Page[adminapi.WebhookView], error) {
			return a.Webhooks(ctx, after, adminapi.MaxLimit)
		})
		if err != nil {
			return err
		}
		for i := range list {
			hooks[list[i].ID] = &list[i]
		}
	}
	return s.Print(c, out, func(p *terminal.Page) {
		if len(out.Items) == 0 {
			p.Line("no deliveries%s", map[bool]string{true: " that match", false: " yet"}[filtered(c)])
			return
		}
		var rows []terminal.Row
		for i, d := range out.Items {
			w, name := hooks[d.Webhook], d.Webhook.String()
			if w != nil {
				name = w.Name
			}
			behind := slices.ContainsFunc(out.Items[i+1:], func(o adminapi.ListedDelivery) bool {
				return o.State == webhook.Waiting && o.Webhook == d.Webhook && o.Vehicle == d.Vehicle
			})
			rows = append(rows, terminal.Texts(d.ID.String(), p.Rel(d.CreatedAt), string(d.State), fmt.Sprint(d.Attempts), name,
				cmp.Or(d.VehicleName, d.Vehicle.String()), d.Cause.String(), deliveryNote(p, d.Delivery, w, behind)))
		}
		p.Table(append(terminal.Columns("ID", "MADE", "STATE", "TRIES", "WEBHOOK", "VEHICLE", "CAUSE"),
			terminal.Column{Head: "NOTE", Least: 20}), rows)
		if out.Next != "" {
			p.Line("\nolder: --before %s, or --limit %d", words.Clean(out.Next), 5*want)
		}
	})
}

func filtered(c *ucli.Context) bool {
	return slices.ContainsFunc([]string{"webhook", "vehicle", "state", "since", "until", "before"}, c.IsSet)
}

func (s commands) deliveryQuery(c *ucli.Context) (adminapi.DeliveryQuery, error) {
	q := adminapi.DeliveryQuery{Webhook: c.String("webhook"), Vehicle: c.String("vehicle"), State: webhook.State(c.String("state")),
		Before: c.String("before")}
	var err error
	if q.State != "" && !slices.Contains(webhook.States[:], q.State) {
		return q, &terminal.UsageError{Text: fmt.Sprintf("--state %q: want one of %s", string(q.State), stateList())}
	}
	if q.Since, err = terminal.Moment(c, "since", s.Now()); err != nil {
		return q, err
	}
	if q.Until, err = terminal.Moment(c, "until", s.Now()); err != nil {
		return q, err
	}
	if c.Int("limit") < 1 {
		return q, &terminal.UsageError{Text: fmt.Sprintf("--limit %d: want 1 or more", c.Int("limit"))}
	}
	return q, nil
}

func isErased(v adminapi.DeliveryView) bool {
	return len(v.Payload) == 0 || string(v.Payload) == "null"
}

// deliveryNote is what matters most about a delivery: why it ended, or why it
// waits and until when. w is nil where the webhook is not known.
func deliveryNote(p *terminal.Page, d webhook.Delivery, w *adminapi.WebhookView, behind bool) string {
	switch {
	case d.State == webhook.Delivered:
		return ""
	case d.State.Final() && d.ResentAs != nil:
		return "sent again; " + d.FinalText
	case d.State.Final():
		return d.FinalText
	}
	note := whyWaiting(p, d, w, behind)
	if note != "" && d.LastAnswer != "" {
		note += "; "
	}
	return note + d.LastAnswer
}

// whyWaiting says what a waiting delivery waits for; empty where it leaves at once.
func whyWaiting(p *terminal.Page, d webhook.Delivery, w *adminapi.WebhookView, behind bool) string {
	switch {
	case w != nil && w.Recovery != nil:
		return "the webhook's backlog is being sifted"
	case w != nil && w.Status == webhook.Unverified:
		return "the webhook is not verified"
	case w != nil && w.Status == webhook.Disabled:
		return "the webhook is " + w.Summary()
	case w != nil && w.Breaker.Open():
		return "the webhook is " + phrase.NextProbe(p, &w.Webhook)
	case d.SetAside():
		return "set aside, retried " + p.Next(d.RetryAt)
	case behind:
		return behindAnother
	}
	return ""
}

const behindAnother = "behind an earlier one of this vehicle"

// whatNext says what a waiting delivery waits for, and what can be done about one
// that did not arrive; empty where nothing is to come.
func whatNext(p *terminal.Page, v adminapi.DeliveryView) string {
	d, w := v.Delivery, v.Webhook
	switch {
	case d.ResentAs != nil:
		return "it was sent again, as " + d.ResentAs.String()
	case d.State == webhook.Delivered || d.State == webhook.Superseded:
		return ""
	case d.State.Final() && isErased(v):
		return "nothing: its payload is erased"
	case d.State.Final():
		return "nothing; to send it again: plugbeat delivery resend " + d.ID.String()
	}
	switch why := whyWaiting(p, d, w, v.Behind != nil); {
	case why == "":
		return "leaves at once"
	case why == behindAnother:
		return why + ", " + v.Behind.String()
	case w != nil && w.Recovery != nil:
		return why + ": " + phrase.Recovering(w.Recovery)
	case w != nil && w.Status != webhook.Active:
		return why + ": " + phrase.ComeBack(&w.Webhook)
	default:
		return why
	}
}
