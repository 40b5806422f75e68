package cli

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/access"
	"plugbeat/adminapi"
)

func (s *shell) tokenCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "token",
		Usage: "tokens: of applications for the v2.0 API, of operators for the admin API",
		Description: `An application's access token opens /v2.0 on http.api; an operator's token opens /api/v1 on
http.admin. Neither works in place of the other. On this machine the plugbeat command needs none.
A token is printed once; only its hash is kept.`,
		CustomHelpTemplate: example(`
plugbeat token add backend --access
curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8765/v2.0/vehicles
plugbeat token add grafana --scope read
curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8766/api/v1/status`),
		Subcommands: []*ucli.Command{s.tokenAddCommand(), s.tokenListCommand(), s.tokenRemoveCommand(), s.rotateManagementCommand()},
	}
}

func (s *shell) tokenAddCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "add",
		Usage:     "make a token and print it, this once",
		ArgsUsage: "NAME",
		Flags: append([]ucli.Flag{
			&ucli.BoolFlag{Name: "access", Usage: "an access token for /v2.0: reads, subscribes, unsubscribes and disconnects (erases) vehicles", DisableDefaultText: true},
			&ucli.StringFlag{Name: "scope", Usage: "an operator's token for /api/v1 with this `SCOPE`: read sees everything but keys and tokens, operate changes things too"},
			&ucli.StringSliceFlag{Name: "vehicle", Usage: "an access token only for the vehicle with this `ID`; may be repeated", DefaultText: "every vehicle"},
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat token add backend --access
plugbeat token add one-car --access --vehicle 36ab27d0-fd9d-4455-823a-ce30af709ffc
plugbeat token add grafana --scope read`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			n, err := newToken(c)
			if err != nil {
				return err
			}
			t, err := a.AddToken(ctx, n)
			if err != nil {
				return err
			}
			return s.print(c, t, func(p *page) {
				p.fields([2]string{"name", t.Name}, [2]string{"kind", kind(t.Kind, t.Scope)}, [2]string{"reaches", reaches(t.Kind, t.Vehicles)}, [2]string{"token", t.Token + "   (shown once)"})
			})
		}),
	}
}

// newToken is the token that the flags describe: one kind, and only what that kind
// can have.
func newToken(c *ucli.Context) (adminapi.NewToken, error) {
	name, scope := c.Args().First(), access.Scope(c.String("scope"))
	command := "plugbeat token add " + word(name)
	switch {
	case c.Bool("access") == c.IsSet("scope"):
		return adminapi.NewToken{}, &usageError{msg: "token add needs the kind of token: --access for an application, or --scope for an operator",
			hint: command + " --access\n" + command + " --scope read"}
	case c.IsSet("scope") && scope != access.ScopeRead && scope != access.ScopeOperate:
		return adminapi.NewToken{}, &usageError{msg: fmt.Sprintf("--scope %q: want read or operate", string(scope)), hint: command + " --scope read"}
	case c.IsSet("scope") && c.IsSet("vehicle"):
		return adminapi.NewToken{}, &usageError{msg: "--vehicle is for access tokens; an operator's token reaches every vehicle", hint: command + " --scope " + string(scope)}
	}
	ids, err := vehicleIDs(c.StringSlice("vehicle"))
	return adminapi.NewToken{Name: name, Scope: scope, Vehicles: ids}, err
}

// kind says whose a token is and, of an operator's, its scope.
func kind(k adminapi.TokenKind, scope access.Scope) string {
	if scope == "" {
		return string(k)
	}
	return string(k) + ", " + string(scope)
}

func reaches(k adminapi.TokenKind, ids []uuid.UUID) string {
	if k == adminapi.OperatorToken {
		return "the admin API"
	}
	switch len(ids) {
	case 0:
		if k == adminapi.ConsentToken {
			return "no vehicle any more"
		}
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
		Action: s.withClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			list, err := collect(func(after string) (adminapi.Page[adminapi.TokenView], error) {
				return a.Tokens(ctx, after, adminapi.MaxLimit)
			})
			if err != nil {
				return err
			}
			return s.print(c, items(list), func(p *page) {
				if len(list) == 0 {
					p.line("no tokens yet; make one: plugbeat token add NAME --access, or for an operator --scope read|operate")
					return
				}
				var rows [][]string
				for _, t := range list {
					used := "never"
					if !t.LastUsedAt.IsZero() {
						used = p.rel(t.LastUsedAt)
					}
					rows = append(rows, []string{t.Name, kind(t.Kind, t.Scope), reaches(t.Kind, t.Vehicles), p.rel(t.CreatedAt), used})
				}
				p.table([]string{"NAME", "KIND", "REACHES", "MADE", "LAST USED"}, rows)
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
		Description: "A consent is revoked with all tokens of it, by the id that token list shows. On a terminal it asks first.",
		Flags:       append([]ucli.Flag{yesFlag()}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat token rm backend --yes
plugbeat token rm 50200dbd-358e-4baf-8343-2a23dadae302 --yes`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
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
