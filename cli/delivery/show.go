package delivery

import (
	"bytes"
	"context"
	"encoding/json"
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

// deliveryID reads a delivery's id from the command line.
func deliveryID(c *ucli.Context) (uuid.UUID, error) {
	arg := c.Args().First()
	id, err := uuid.Parse(arg)
	if err != nil || len(arg) != 36 {
		return uuid.Nil, &terminal.UsageError{Text: fmt.Sprintf("%q is not a delivery id", arg),
			Hint: "ids are listed by: plugbeat delivery list"}
	}
	return id, nil
}

func idOrNone(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

func (s commands) showCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "show",
		Usage:     "show a delivery with its attempts and its payload",
		ArgsUsage: "DELIVERY",
		Flags:     terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat delivery show 0198c2a4-7f3e-7c51-9d0e-5b6f1a2c3d4e
plugbeat delivery show 0198c2a4-7f3e-7c51-9d0e-5b6f1a2c3d4e --json | jq .payload`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			id, err := deliveryID(c)
			if err != nil {
				return err
			}
			v, err := a.Delivery(ctx, id)
			return s.Show(c, v, err, func(p *terminal.Page) { showDelivery(p, v) })
		}),
	}
}

func showDelivery(p *terminal.Page, v adminapi.DeliveryView) {
	d := v.Delivery
	hook, named := d.Webhook.String(), d.Vehicle.String()
	if v.Webhook != nil {
		hook = v.Webhook.Name + "   " + hook
	}
	if v.Vehicle != nil {
		named = v.Vehicle.Name + "   " + named
	}
	p.Fields(
		[2]string{"id", d.ID.String()},
		[2]string{"state", string(d.State)},
		[2]string{"why", d.FinalText},
		[2]string{"next", whatNext(p, v)},
		[2]string{"webhook", hook},
		[2]string{"vehicle", named},
		[2]string{"webhook-id", d.MessageID.String()},
		[2]string{"event", d.EventName},
		[2]string{"cause", d.Cause.String()},
		[2]string{"due", p.Rel(d.Due)},
		[2]string{"made", p.Rel(d.CreatedAt)},
		[2]string{"finished", p.When(d.FinishedAt)},
		[2]string{"resend of", idOrNone(d.ResendOf)},
		[2]string{"resent as", idOrNone(d.ResentAs)},
		[2]string{"superseded by", idOrNone(d.SupersededBy)},
		[2]string{"payload", words.Size(int64(d.Bytes))},
	)
	p.Line("")
	if len(v.Attempts) == 0 {
		p.Line("no attempt yet")
	} else {
		list := make([]webhook.Attempt, len(v.Attempts))
		for i, t := range v.Attempts {
			list[i] = t.Attempt
		}
		phrase.Attempts(p, list)
		for _, t := range v.Attempts {
			showAnswer(p, t)
		}
	}
	p.Line("")
	var pretty bytes.Buffer
	switch {
	case isErased(v):
		p.Line("the payload is erased")
	case json.Indent(&pretty, v.Payload, "  ", "  ") == nil:
		p.Line("payload:\n  %s", terminal.CleanLines(pretty.String()))
	default:
		p.Line("payload:\n%s", indented(string(v.Payload)))
	}
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(terminal.CleanLines(text), "\n", "\n  ")
}

// showAnswer prints what is kept of the answer to an attempt.
func showAnswer(p *terminal.Page, t adminapi.AttemptView) {
	if t.ContentType == "" && t.RetryAfter == 0 && len(t.Body) == 0 {
		return
	}
	p.Line("\nanswer to attempt %d:", t.N)
	if t.ContentType != "" {
		p.Line("  content-type: %s", words.Clean(t.ContentType))
	}
	if t.RetryAfter != 0 {
		p.Line("  retry-after: %s", words.Span(t.RetryAfter))
	}
	switch {
	case len(t.Body) == 0:
	case t.BodyText == "":
		p.Line("\n  %s that are no text", words.Count(len(t.Body), "byte"))
	default:
		p.Line("\n%s", indented(t.BodyText))
	}
}
