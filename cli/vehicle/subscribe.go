package vehicle

import (
	"context"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/words"
)

// SubscribeCommand is the command subscribe.
func SubscribeCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:      "subscribe",
		Usage:     "put vehicles on a webhook",
		ArgsUsage: "WEBHOOK [VEHICLE...]",
		Description: `The first delivery leaves at once and the cadence counts from it. A vehicle that is already
subscribed keeps its schedule. On a webhook that is not verified yet the subscription waits.`,
		Flags: terminal.ClientFlags(
			terminal.Switch("all", "every vehicle"),
			&ucli.DurationFlag{Name: "spread", Usage: "start the vehicles evenly apart over this `TIME`, such as 1h", DefaultText: "all now"},
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat subscribe fleet 36ab27d0-fd9d-4455-823a-ce30af709ffc
plugbeat subscribe fleet --all --spread 1h`),
		Action: s.WithClient(1, -1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			vehicles, all, spread := c.Args().Tail(), c.Bool("all"), c.Duration("spread")
			if all == (len(vehicles) > 0) {
				return &terminal.UsageError{Text: "subscribe needs either vehicles or --all", Hint: "they are listed by: plugbeat vehicle list"}
			}
			if spread < 0 {
				return &terminal.UsageError{Text: "--spread " + words.Typed(spread) + ": want a positive duration, such as 30m or 1h"}
			}
			req := adminapi.Subscribe{Webhook: c.Args().First(), Vehicles: vehicles, All: all}
			if spread > 0 {
				req.Spread = words.Typed(spread)
			}
			done, err := a.Subscribe(ctx, req)
			return s.Show(c, done, err, func(p *terminal.Page) { showSubscribed(p, done, words.Shell(req.Webhook), spread > 0) })
		}),
	}
}

func showSubscribed(p *terminal.Page, done adminapi.Subscribed, name string, spread bool) {
	switch {
	case done.Subscribed+done.Already == 0:
		p.Line("there are no vehicles to subscribe; see: plugbeat vehicle list")
		return
	case done.Already == 0:
		p.Line("subscribed %s to %s", words.Count(done.Subscribed, "vehicle"), name)
	default:
		p.Line("subscribed %s to %s; already subscribed and unchanged: %d", words.Count(done.Subscribed, "vehicle"), name, done.Already)
	}
	if spread && done.Subscribed > 1 {
		var first, last time.Time
		for _, i := range done.Items {
			if i.Already {
				continue
			}
			if first.IsZero() || i.Anchor.Before(first) {
				first = i.Anchor
			}
			if i.Anchor.After(last) {
				last = i.Anchor
			}
		}
		p.Line("the first starts %s, the last %s", p.Rel(first), p.Rel(last))
	}
	phrase.Warn(p, done.Warnings)
	phrase.Costs(p, done.Costs)
	p.Line("next: plugbeat webhook show %s, plugbeat delivery list", name)
}

// unsubscribed is the JSON of unsubscribe.
type unsubscribed struct {
	Removed int `json:"removed"`
	// Missing counts the vehicles that were not subscribed.
	Missing int `json:"missing"`
}

// UnsubscribeCommand is the command unsubscribe.
func UnsubscribeCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:        "unsubscribe",
		Usage:       "take vehicles off a webhook",
		ArgsUsage:   "WEBHOOK VEHICLE...",
		Description: "What was produced before still leaves.",
		Flags:       terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat unsubscribe fleet 36ab27d0-fd9d-4455-823a-ce30af709ffc`),
		Action: s.WithClient(2, -1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			var done unsubscribed
			for _, vehicle := range c.Args().Tail() {
				r, err := a.Unsubscribe(ctx, c.Args().First(), vehicle)
				if err != nil {
					return err
				}
				if r.Removed {
					done.Removed++
				} else {
					done.Missing++
				}
			}
			return s.Print(c, done, func(p *terminal.Page) {
				p.Line("took %s off %s", words.Count(done.Removed, "vehicle"), words.Shell(c.Args().First()))
				if done.Missing > 0 {
					p.Line("not subscribed before: %d", done.Missing)
				}
			})
		}),
	}
}
