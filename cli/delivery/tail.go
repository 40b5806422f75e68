package delivery

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/words"
)

func (s commands) tailCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "tail",
		Usage: "follow deliveries as they are made, attempted and finished",
		Description: `Prints a line for each step from now on, until Ctrl-C. A daemon that restarts is waited for. What
happened meanwhile is not shown: the tail says so, and since when to list deliveries. With --json each
line is an object with the delivery and its attempt.`,
		Flags: terminal.ClientFlags(
			&ucli.StringFlag{Name: "webhook", Usage: "only of this `WEBHOOK`, a name or an id"},
			&ucli.StringFlag{Name: "vehicle", Usage: "only of this `VEHICLE`, a name, an id or its beginning"},
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat delivery tail
plugbeat delivery tail --webhook fleet --json`),
		Action: terminal.Args(0, 0, s.tail),
	}
}

// tail follows the daemon's events.
func (s commands) tail(c *ucli.Context) error {
	q := adminapi.EventsQuery{Webhook: c.String("webhook"), Vehicle: c.String("vehicle")}
	last := s.Now()
	return terminal.Follow(s.Session, c, terminal.Follower[webhook.Change]{
		Name: "tail",
		Open: func(a *adminapi.Client) (*adminapi.Events, error) { return a.Events(c.Context, q) },
		Event: func(change webhook.Change) error {
			if last = change.At; change.Delivery == nil {
				return nil
			}
			return s.tailLine(c, change)
		},
		Missed: func(n int) string {
			return fmt.Sprintf("this tail was read too slowly and missed %s; see: %s", words.Count(n, "event"), listSince(q, last))
		},
		Back: func(cut time.Time) string { return "; what happened meanwhile is not shown, see: " + listSince(q, cut) },
	})
}

// listSince is the command that lists what a tail did not show.
func listSince(q adminapi.EventsQuery, since time.Time) string {
	text := "plugbeat delivery list --since " + since.UTC().Format(time.RFC3339)
	if q.Webhook != "" {
		text += " --webhook " + words.Shell(q.Webhook)
	}
	return text
}

func (s commands) tailLine(c *ucli.Context, change webhook.Change) error {
	p := s.Page()
	if c.Bool("json") {
		b, err := json.Marshal(change)
		if err != nil {
			return fmt.Errorf("encode result: %w", err)
		}
		return s.Write(string(b) + "\n")
	}
	at := change.At.UTC().Format("2006-01-02T15:04:05.000Z")
	if s.OutTTY {
		at = change.At.Local().Format("15:04:05.000")
	}
	p.Line("%s  %s  %s  %s  %s", at, words.Clean(change.WebhookName),
		words.Clean(cmp.Or(change.VehicleName, change.Vehicle.String())), change.Delivery.ID, words.Clean(stepText(change)))
	return s.Write(p.String())
}

// stepText says in one line what happened to a delivery.
func stepText(c webhook.Change) string {
	d := c.Delivery
	switch {
	case c.Action == webhook.Made && d.ResendOf != nil:
		return "made, a resend of " + d.ResendOf.String()
	case c.Action == webhook.Made:
		return fmt.Sprintf("made (%s), %s", d.Cause, words.Size(int64(d.Bytes)))
	}
	var parts []string
	if d.State.Final() {
		parts = append(parts, string(d.State))
	}
	if c.Attempt != nil {
		parts = append(parts, strings.TrimSuffix(fmt.Sprintf("attempt %d in %s: %s", c.Attempt.N, words.Took(c.Attempt.Duration),
			phrase.Answer(*c.Attempt)), ": -"))
	}
	text := strings.Join(parts, ", ")
	if d.State.Final() && d.FinalText != "" {
		text += "; " + d.FinalText
	}
	return text
}
