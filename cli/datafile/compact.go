package datafile

import (
	"errors"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/app"
	"plugbeat/cli/terminal"
	"plugbeat/words"
)

// compacted is the JSON of compact.
type compacted struct {
	DataFile string `json:"data_file"`
	app.Compaction
}

// CompactCommand is the command compact.
func CompactCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "compact",
		Usage: "rewrite the data file of a daemon that is stopped without its free space",
		Description: `A data file grows and never shrinks by itself; what was let go of is used again. After a large backlog, or a change of
retention, this gives the space back. The new file is held against the old one, row by row, before it takes its place.`,
		Flags: []ucli.Flag{
			terminal.ConfigFlag(),
		},
		CustomHelpTemplate: terminal.Example(`
systemctl stop plugbeat
plugbeat compact
systemctl start plugbeat`),
		Action: s.compact,
	}
}

func (s commands) compact(c *ucli.Context) error {
	if err := terminal.WantArgs(c, 0, 0); err != nil {
		return err
	}
	cfg, err := s.offline(c)
	if err != nil {
		return err
	}
	out := compacted{DataFile: cfg.DataFile()}
	if err := present(out.DataFile); err != nil {
		return err
	}
	out.Compaction, err = app.CompactDataFile(c.Context, out.DataFile)
	if errors.Is(err, app.ErrInUse) {
		return terminal.Hint(err, stopFirst)
	}
	return s.Show(c, out, err, func(p *terminal.Page) {
		if out.After >= out.Before {
			p.Line("%s: %s, and nothing to gain", words.Clean(out.DataFile), words.Size(out.Before))
			return
		}
		p.Line("%s: %s, was %s: %s gained", words.Clean(out.DataFile), words.Size(out.After), words.Size(out.Before),
			words.Size(out.Before-out.After))
	})
}
