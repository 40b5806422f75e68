// Package access is the commands about tokens: those of applications and operators, and the
// rotation of the application management token.
//
// Change here what these commands ask and print, and how the files of the management token are
// replaced: whole or not at all, whatever step was the last before a crash.
package access

import (
	"cmp"
	"context"
	"fmt"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/cli/terminal"
	"plugbeat/words"
)

// commands are the commands of this topic in one session.
type commands struct{ *terminal.Session }

// Command is the command token.
func Command(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "token",
		Usage: "tokens: of applications for /v2.0, of operators for /api/v1, of devices for /intake",
		Description: `An application's access token opens /v2.0 on http.api; an operator's token opens /api/v1 on
http.admin; a token for an intake lets a device or a script send documents to one source, at
/intake/NAME on http.api. None works in place of another. On this machine the plugbeat command needs
none. A token is printed once; only its hash is kept.`,
		CustomHelpTemplate: terminal.Example(`
plugbeat token add backend --access
curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8765/v2.0/vehicles
plugbeat token add grafana --scope read
curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8766/api/v1/status`),
		Subcommands: []*ucli.Command{s.addCommand(), s.listCommand(), s.removeCommand(), s.rotateManagementCommand()},
	}
}

func (s commands) addCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "add",
		Usage:     "make a token and print it, this once",
		ArgsUsage: "NAME",
		Flags: terminal.ClientFlags(
			terminal.Switch("access", "an access token for /v2.0: reads, subscribes, unsubscribes and disconnects (erases) vehicles"),
			&ucli.StringFlag{Name: "scope", Usage: "an operator's token for /api/v1 with this `SCOPE`: read (all but keys and tokens) or operate"},
			terminal.Switch("intake", "a token for the intake of the source NAME"),
			&ucli.StringFlag{Name: "source", Usage: "with --intake: the `SOURCE`, where the token has another name"},
			&ucli.StringSliceFlag{Name: "vehicle", Usage: "an access token only for this `VEHICLE`, a name, an id or its beginning; may be repeated",
				DefaultText: "every vehicle"},
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat token add backend --access
plugbeat token add one-vehicle --access --vehicle 36ab27d0-fd9d-4455-823a-ce30af709ffc
plugbeat token add grafana --scope read
plugbeat token add scripts --intake
plugbeat token add shed --intake --source scripts`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			n, err := newToken(c)
			if err != nil {
				return err
			}
			t, err := a.AddToken(ctx, n)
			return s.Show(c, t, err, func(p *terminal.Page) {
				p.Fields([2]string{"name", t.Name}, [2]string{"kind", kind(t.Kind, t.Scope)},
					[2]string{"reaches", reaches(t.Kind, t.Intake, t.Vehicles)},
					[2]string{"token", t.Token + "   (shown once)"})
			})
		}),
	}
}

// newToken is the token that the flags describe: one kind, and only what that kind
// can have.
func newToken(c *ucli.Context) (adminapi.NewToken, error) {
	name, scope := c.Args().First(), access.Scope(c.String("scope"))
	command := "plugbeat token add " + words.Shell(name)
	kinds := 0
	for _, is := range []bool{c.Bool("access"), c.IsSet("scope"), c.Bool("intake")} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return adminapi.NewToken{}, &terminal.UsageError{
			Text: "token add needs the kind of token: --access for an application, --scope for an operator, or --intake for a device or a script",
			Hint: command + " --access\n" + command + " --scope read\n" + command + " --intake",
		}
	case c.IsSet("source") && !c.Bool("intake"):
		return adminapi.NewToken{}, &terminal.UsageError{Text: "--source goes with --intake", Hint: command + " --intake --source SOURCE"}
	case c.Bool("intake") && c.IsSet("vehicle"):
		return adminapi.NewToken{}, &terminal.UsageError{Text: "--vehicle is for access tokens; a token for an intake is for a source",
			Hint: command + " --intake"}
	case c.Bool("intake"):
		return adminapi.NewToken{Name: name, Intake: cmp.Or(c.String("source"), name)}, nil
	case c.IsSet("scope") && scope != access.ScopeRead && scope != access.ScopeOperate:
		return adminapi.NewToken{}, &terminal.UsageError{Text: fmt.Sprintf("--scope %q: want read or operate", string(scope)),
			Hint: command + " --scope read"}
	case c.IsSet("scope") && c.IsSet("vehicle"):
		return adminapi.NewToken{}, &terminal.UsageError{Text: "--vehicle is for access tokens; an operator's token reaches every vehicle",
			Hint: command + " --scope " + string(scope)}
	}
	return adminapi.NewToken{Name: name, Scope: scope, Vehicles: c.StringSlice("vehicle")}, nil
}

// kind says whose a token is and, of an operator's, its scope.
func kind(k adminapi.TokenKind, scope access.Scope) string {
	if scope == "" {
		return string(k)
	}
	return string(k) + ", " + string(scope)
}

func reaches(k adminapi.TokenKind, intake string, ids []uuid.UUID) string {
	switch k {
	case adminapi.OperatorToken:
		return "the admin API"
	case adminapi.IntakeToken:
		return "POST /intake/" + words.Clean(intake)
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

func (s commands) listCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list tokens by name, without the tokens",
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat token list`),
		Action: s.WithClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			list, err := terminal.Collect(func(after string) (adminapi.Page[adminapi.TokenView], error) {
				return a.Tokens(ctx, after, adminapi.MaxLimit)
			})
			return s.Show(c, terminal.Items(list), err, func(p *terminal.Page) {
				var rows []terminal.Row
				for _, t := range list {
					rows = append(rows, terminal.Texts(t.Name, kind(t.Kind, t.Scope), reaches(t.Kind, t.Intake, t.Vehicles), p.Rel(t.CreatedAt),
						p.Or(t.LastUsedAt, "never")))
				}
				columns := terminal.Columns("NAME", "KIND", "REACHES", "MADE", "LAST USED")
				p.List("no tokens yet; make one: plugbeat token add NAME --access, for an operator --scope read|operate, for a device --intake",
					columns, rows)
			})
		}),
	}
}

// tokenRemoved is the JSON of token rm.
type tokenRemoved struct {
	Removed string `json:"removed"`
}

func (s commands) removeCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "rm",
		Usage:       "revoke a token, at once",
		ArgsUsage:   "NAME",
		Description: "A consent is revoked with all tokens of it, by the id that token list shows. On a terminal it asks first.",
		Flags:       terminal.ClientFlags(terminal.YesFlag()),
		CustomHelpTemplate: terminal.Example(`
plugbeat token rm backend --yes
plugbeat token rm 50200dbd-358e-4baf-8343-2a23dadae302 --yes`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			name := c.Args().First()
			if err := s.Sure(c, fmt.Sprintf("revoke token %s; its callers are refused from now on", words.Clean(name))); err != nil {
				return err
			}
			if err := a.RemoveToken(ctx, name); err != nil {
				return err
			}
			return s.Print(c, tokenRemoved{name}, func(p *terminal.Page) { p.Line("revoked %s", words.Clean(name)) })
		}),
	}
}
