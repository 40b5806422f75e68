package cli

import (
	"context"
	"errors"
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
)

func (s *shell) alertCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "alert",
		Usage: "alerts: see where they go, and try it",
		Description: `The config's section alerts names the targets: ntfy, a chat's incoming webhook, or a program of yours.
They are told when a webhook fails, is disabled and comes back, when deliveries die, and of the disk, backups and sources.`,
		CustomHelpTemplate: example(`
plugbeat alert test
plugbeat alert list`),
		Subcommands: []*ucli.Command{s.alertListCommand(), s.alertTestCommand()},
	}
}

func (s *shell) alertListCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list the targets of alerts and how they fare",
		Flags: clientFlags(),
		CustomHelpTemplate: example(`
plugbeat alert list`),
		Action: s.withClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			st, err := a.Status(ctx)
			if err != nil {
				return err
			}
			return s.print(c, items(st.Alerts), func(p *page) {
				if len(st.Alerts) == 0 {
					p.line("no targets of alerts; add one to the config: plugbeat config describe alerts")
					return
				}
				var rows [][]string
				for _, t := range st.Alerts {
					last := "never"
					if !t.LastSent.IsZero() {
						last = p.rel(t.LastSent)
					}
					rows = append(rows, []string{t.Name, t.Template, t.Host, t.Severity, fmt.Sprint(t.Waiting), last, orDash(t.LastError)})
				}
				p.table([]string{"NAME", "TEMPLATE", "HOST", "SEVERITY", "WAITING", "LAST SENT", "TROUBLE"}, rows)
			})
		}),
	}
}

func (s *shell) alertTestCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "test",
		Usage:       "send a test alert now and say what the target answered",
		ArgsUsage:   "[TARGET]",
		Description: "Without TARGET to every target. Exit code 1 means that one did not take it.",
		Flags:       clientFlags(),
		CustomHelpTemplate: example(`
plugbeat alert test
plugbeat alert test phone`),
		Action: s.withClient(0, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			r, err := a.TestAlerts(ctx, c.Args().First())
			if err != nil {
				return err
			}
			failed := 0
			err = s.print(c, r, func(p *page) {
				for _, t := range r.Results {
					if t.Arrived {
						p.line("%s: %s took it (%d, %s)", clean(t.Target), clean(t.Host), t.Status, took(t.Duration))
						continue
					}
					p.line("%s: %s did not take it: %s", clean(t.Target), clean(t.Host), clean(t.Error))
				}
			})
			for _, t := range r.Results {
				if !t.Arrived {
					failed++
				}
			}
			if err == nil && failed > 0 {
				return &silent{errors.New("not every target took the test")}
			}
			return err
		}),
	}
}
