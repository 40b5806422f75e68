package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/terminal"
	"plugbeat/health"
	"plugbeat/words"
)

// AlertCommand is the command alert.
func AlertCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "alert",
		Usage: "alerts: see where they go, and try it",
		Description: `The config's section alerts names the targets: ntfy, a chat's incoming webhook, or a program of yours.
They are told when a webhook fails, is disabled and comes back, when deliveries die, and of the disk, backups and sources.`,
		CustomHelpTemplate: terminal.Example(`
plugbeat alert test
plugbeat alert list`),
		Subcommands: []*ucli.Command{s.listCommand(), s.testCommand()},
	}
}

func (s commands) listCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list the targets of alerts and how they fare",
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat alert list`),
		Action: s.WithClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			st, err := a.Status(ctx)
			return s.Show(c, terminal.Items(st.Alerts), err, func(p *terminal.Page) {
				var rows []terminal.Row
				for _, t := range st.Alerts {
					rows = append(rows, terminal.Texts(t.Name, t.Template, t.Host, t.Severity, fmt.Sprint(t.Waiting), p.Or(t.LastSent, "never"),
						t.LastError))
				}
				columns := terminal.Columns("NAME", "TEMPLATE", "HOST", "SEVERITY", "WAITING", "LAST SENT", "TROUBLE")
				p.List("no targets of alerts; add one to the config: plugbeat config describe alerts", columns, rows)
			})
		}),
	}
}

func (s commands) testCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "test",
		Usage:       "send a test alert now and say what the target answered",
		ArgsUsage:   "[TARGET]",
		Description: "Without TARGET to every target. Exit code 1 means that one did not take it.",
		Flags:       terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat alert test
plugbeat alert test phone`),
		Action: s.WithClient(0, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			r, err := a.TestAlerts(ctx, c.Args().First())
			err = s.Show(c, r, err, func(p *terminal.Page) {
				for _, t := range r.Results {
					if t.Arrived {
						p.Line("%s: %s took it (%d, %s)", words.Clean(t.Target), words.Clean(t.Host), t.Status, words.Took(t.Duration))
						continue
					}
					p.Line("%s: %s did not take it: %s", words.Clean(t.Target), words.Clean(t.Host), words.Clean(t.Error))
				}
			})
			if err == nil && slices.ContainsFunc(r.Results, func(t health.AlertTested) bool { return !t.Arrived }) {
				err = &terminal.Silent{Err: errors.New("not every target took the test")}
			}
			return err
		}),
	}
}
