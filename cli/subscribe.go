package cli

import (
	"context"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
)

func (s *shell) subscribeCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "subscribe",
		Usage:     "put vehicles on a webhook",
		ArgsUsage: "WEBHOOK [VEHICLE...]",
		Description: `The first delivery leaves at once and the cadence counts from it. A vehicle that is already
subscribed keeps its schedule. On a webhook that is not verified yet the subscription waits.`,
		Flags: append([]ucli.Flag{
			&ucli.BoolFlag{Name: "all", Usage: "every vehicle", DisableDefaultText: true},
			&ucli.DurationFlag{Name: "spread", Usage: "start the vehicles evenly apart over this `TIME`, such as 1h", DefaultText: "all now"},
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat subscribe fleet 36ab27d0-fd9d-4455-823a-ce30af709ffc
plugbeat subscribe fleet --all --spread 1h`),
		Action: s.withClient(1, -1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			ids, err := vehicleIDs(c.Args().Tail())
			if err != nil {
				return err
			}
			all, spread := c.Bool("all"), c.Duration("spread")
			if all == (len(ids) > 0) {
				return &usageError{msg: "subscribe needs either vehicle ids or --all", hint: "ids are listed by: plugbeat vehicle list"}
			}
			if spread < 0 {
				return &usageError{msg: "--spread " + typed(spread) + ": want a positive duration, such as 30m or 1h"}
			}
			req := adminapi.Subscribe{Webhook: c.Args().First(), Vehicles: ids, All: all}
			if spread > 0 {
				req.Spread = typed(spread)
			}
			done, err := a.Subscribe(ctx, req)
			if err != nil {
				return err
			}
			return s.print(c, done, func(p *page) { showSubscribed(p, done, word(req.Webhook), spread > 0) })
		}),
	}
}

// typed writes a duration as a person types it: 1h, not 1h0m0s.
func typed(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func showSubscribed(p *page, done adminapi.Subscribed, name string, spread bool) {
	switch {
	case done.Subscribed+done.Already == 0:
		p.line("there are no vehicles to subscribe; see: plugbeat vehicle list")
		return
	case done.Already == 0:
		p.line("subscribed %s to %s", count(done.Subscribed, "vehicle"), name)
	default:
		p.line("subscribed %s to %s; already subscribed and unchanged: %d", count(done.Subscribed, "vehicle"), name, done.Already)
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
		p.line("the first starts %s, the last %s", p.rel(first), p.rel(last))
	}
	warn(p, done.Warnings)
	costs(p, done.Costs)
	p.line("next: plugbeat webhook show %s, plugbeat delivery list", name)
}

// unsubscribed is the JSON of unsubscribe.
type unsubscribed struct {
	Removed int `json:"removed"`
	// Missing counts the vehicles that were not subscribed.
	Missing int `json:"missing"`
}

func (s *shell) unsubscribeCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "unsubscribe",
		Usage:       "take vehicles off a webhook",
		ArgsUsage:   "WEBHOOK VEHICLE...",
		Description: "What was produced before still leaves.",
		Flags:       clientFlags(),
		CustomHelpTemplate: example(`
plugbeat unsubscribe fleet 36ab27d0-fd9d-4455-823a-ce30af709ffc`),
		Action: s.withClient(2, -1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			ids, err := vehicleIDs(c.Args().Tail())
			if err != nil {
				return err
			}
			var done unsubscribed
			for _, id := range ids {
				r, err := a.Unsubscribe(ctx, c.Args().First(), id)
				if err != nil {
					return err
				}
				if r.Removed {
					done.Removed++
				} else {
					done.Missing++
				}
			}
			return s.print(c, done, func(p *page) {
				p.line("took %s off %s", count(done.Removed, "vehicle"), word(c.Args().First()))
				if done.Missing > 0 {
					p.line("not subscribed before: %d", done.Missing)
				}
			})
		}),
	}
}
