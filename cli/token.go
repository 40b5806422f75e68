package cli

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/webhook/api"
)

func (s *shell) tokenCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "token",
		Usage:       "access tokens for callers of the v2.0 API",
		Description: "A token is printed once; only its hash is kept.",
		CustomHelpTemplate: example(`
plugbeat token add backend --access
curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8765/v2.0/vehicles`),
		Subcommands: []*ucli.Command{s.tokenAddCommand(), s.tokenListCommand(), s.tokenRemoveCommand()},
	}
}

func (s *shell) tokenAddCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "add",
		Usage:     "make a token and print it, this once",
		ArgsUsage: "NAME",
		Flags: append([]ucli.Flag{
			&ucli.BoolFlag{Name: "access", Usage: "an access token for /v2.0: reads, subscribes, unsubscribes and disconnects (erases) vehicles", DisableDefaultText: true},
			&ucli.StringSliceFlag{Name: "vehicle", Usage: "only for the vehicle with this `ID`; may be repeated", DefaultText: "every vehicle"},
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat token add backend --access
plugbeat token add one-car --access --vehicle 36ab27d0-fd9d-4455-823a-ce30af709ffc`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *api.Client) error {
			if !c.Bool("access") {
				return &usageError{msg: "token add needs the kind of token: --access", hint: "plugbeat token add " + word(c.Args().First()) + " --access"}
			}
			ids, err := vehicleIDs(c.StringSlice("vehicle"))
			if err != nil {
				return err
			}
			t, err := a.AddToken(ctx, api.NewToken{Name: c.Args().First(), Vehicles: ids})
			if err != nil {
				return err
			}
			return s.print(c, t, func(p *page) {
				p.fields([2]string{"name", t.Name}, [2]string{"reaches", reaches(t.Vehicles)}, [2]string{"token", t.Token + "   (shown once)"})
			})
		}),
	}
}

func reaches(ids []uuid.UUID) string {
	switch len(ids) {
	case 0:
		return "every vehicle"
	case 1:
		return ids[0].String()
	}
	return fmt.Sprintf("%d vehicles", len(ids))
}

func (s *shell) tokenListCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list tokens by name, without the tokens",
		Flags: clientFlags(),
		CustomHelpTemplate: example(`
plugbeat token list`),
		Action: s.withClient(0, 0, func(ctx context.Context, c *ucli.Context, a *api.Client) error {
			list, err := collect(func(after string) (api.Page[api.TokenView], error) { return a.Tokens(ctx, after, api.MaxLimit) })
			if err != nil {
				return err
			}
			return s.print(c, items(list), func(p *page) {
				if len(list) == 0 {
					p.line("no tokens yet; make one: plugbeat token add NAME --access")
					return
				}
				var rows [][]string
				for _, t := range list {
					rows = append(rows, []string{t.Name, reaches(t.Vehicles), p.rel(t.CreatedAt)})
				}
				p.table([]string{"NAME", "REACHES", "MADE"}, rows)
			})
		}),
	}
}

// tokenRemoved is the JSON of token rm.
type tokenRemoved struct {
	Removed string `json:"removed"`
}

func (s *shell) tokenRemoveCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "rm",
		Usage:       "revoke a token, at once",
		ArgsUsage:   "NAME",
		Description: "On a terminal it asks first.",
		Flags:       append([]ucli.Flag{yesFlag()}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat token rm backend --yes`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *api.Client) error {
			name := c.Args().First()
			if err := s.sure(c, fmt.Sprintf("revoke token %s; its callers are refused from now on", clean(name))); err != nil {
				return err
			}
			if err := a.RemoveToken(ctx, name); err != nil {
				return err
			}
			return s.print(c, tokenRemoved{name}, func(p *page) { p.line("revoked %s", clean(name)) })
		}),
	}
}
