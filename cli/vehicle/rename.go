package vehicle

import (
	"context"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/terminal"
	"plugbeat/words"
)

func (s commands) renameCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "rename",
		Usage:     "set what a vehicle is called",
		ArgsUsage: "VEHICLE NAME",
		Description: `Tables show the name and commands take it. An empty name gives the vehicle its own back: the one of its
source, or its make and model. Two vehicles may have one name; commands then ask for an id.`,
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle rename 36ab27d0 'the blue one'
plugbeat vehicle rename 'the blue one' ''`),
		Action: s.WithClient(2, 2, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			v, err := a.RenameVehicle(ctx, c.Args().First(), c.Args().Get(1))
			return s.Show(c, v, err, func(p *terminal.Page) {
				p.Line("%s is called %s now", v.ID, words.Shell(v.Name))
			})
		}),
	}
}
