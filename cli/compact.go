package cli

import (
	"errors"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/app"
)

// compacted is the JSON of compact.
type compacted struct {
	DataFile string `json:"data_file"`
	app.Compaction
}

func (s *shell) compactCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "compact",
		Usage: "rewrite the data file of a daemon that is stopped without its free space",
		Description: `A data file grows and never shrinks by itself; what was let go of is used again. After a large backlog, or a change of
retention, this gives the space back. The new file is held against the old one, row by row, before it takes its place.`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "config", Usage: "the daemon's config `FILE` [$PLUGBEAT_CONFIG]"},
		},
		CustomHelpTemplate: example(`
systemctl stop plugbeat
plugbeat compact
systemctl start plugbeat`),
		Action: s.compact,
	}
}

func (s *shell) compact(c *ucli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	cfg, err := s.offline(c, "compact")
	if err != nil {
		return err
	}
	out := compacted{DataFile: cfg.DataFile()}
	if err := present(out.DataFile); err != nil {
		return err
	}
	out.Compaction, err = app.CompactDataFile(c.Context, out.DataFile)
	if errors.Is(err, app.ErrInUse) {
		return hint(err, stopFirst)
	}
	if err != nil {
		return err
	}
	return s.print(c, out, func(p *page) {
		if out.After >= out.Before {
			p.line("%s: %s, and nothing to gain", clean(out.DataFile), size(out.Before))
			return
		}
		p.line("%s: %s, was %s: %s gained", clean(out.DataFile), size(out.After), size(out.Before), size(out.Before-out.After))
		if out.Warning != "" {
			p.line("warning: %s", clean(out.Warning))
		}
	})
}
