package datafile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/words"
)

// stopFirst is said where a daemon is in the way.
const stopFirst = "stop the daemon first: systemctl stop plugbeat, or however it was started"

// restored is the JSON of restore.
type restored struct {
	File     string `json:"file"`      // the backup; "-" for standard input
	DataFile string `json:"data_file"` // what it took the place of
	app.Restored
}

// RestoreCommand is the command restore.
func RestoreCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:      "restore",
		Usage:     "put a backup in the place of the data file of a daemon that is stopped",
		ArgsUsage: "FILE|-",
		Description: `The backup is copied beside the data file and checked there, with the config's sealing key, before it takes
its place; what it replaces stays beside it under a dated name. A backup that is damaged, of a newer plugbeat or sealed with
another key is refused, and so is, without its flag, one of another instance or one without entries that the data file has.
Deliveries that left after the backup was made may leave again; receivers know them by their webhook-id.`,
		Flags: []ucli.Flag{
			terminal.ConfigFlag(),
			&ucli.StringFlag{Name: "key-file", Usage: "the sealing key, where the config names none: a `FILE`"},
			terminal.Switch("discard-newer", "take a backup that is older than the data file"),
			terminal.Switch("other-instance", "take a backup of another instance than the data file's"),
		},
		CustomHelpTemplate: terminal.Example(`
systemctl stop plugbeat
plugbeat restore plugbeat-2026-11-25.db
systemctl start plugbeat`),
		Action: terminal.Args(1, 1, s.restore),
	}
}

func (s commands) restore(c *ucli.Context) error {
	cfg, err := s.offline(c)
	if err != nil {
		return err
	}
	if k := c.String("key-file"); k != "" {
		if cfg.KeyFile != "" && cfg.KeyFile != k {
			return &terminal.UsageError{Text: "the config names its key_file, " + cfg.KeyFile + ", which the daemon will use",
				Hint: "put the backup's key there instead of giving --key-file"}
		}
		cfg.KeyFile = k
	}
	out := restored{File: c.Args().First(), DataFile: cfg.DataFile()}
	from, name := s.In, "on standard input"
	if out.File != "-" {
		if info, err := os.Stat(out.File); err == nil && !info.Mode().IsRegular() && !info.IsDir() { // a pipe would be waited for
			return terminal.Hint(fmt.Errorf("backup %s is not a regular file", out.File), "name one, or from a pipe: plugbeat restore -")
		}
		f, err := os.Open(out.File)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no backup at %s", out.File)
		}
		if err != nil {
			return fmt.Errorf("open backup: %w", err)
		}
		defer func() { _ = f.Close() }() // only read
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return fmt.Errorf("backup %s is a folder: name a file in it", out.File)
		}
		from, name = io.Reader(f), out.File
	} else if s.InTTY {
		return &terminal.UsageError{Text: "restore - reads a backup, and standard input is a terminal", Hint: "plugbeat restore FILE"}
	}
	out.Restored, err = app.Restore(c.Context, cfg, from, name, c.Bool("other-instance"), c.Bool("discard-newer"))
	if err != nil {
		return s.restoreRefused(out, err)
	}
	return s.Print(c, out, func(p *terminal.Page) { showRestored(p, out) })
}

// offline is the config of a command that works on the data file itself, which a
// daemon must not be doing.
func (s commands) offline(c *ucli.Context) (config.Config, error) {
	cfg, _, err := s.Config(c, "the daemon's config")
	if err != nil {
		return cfg, err
	}
	// The lock of the data file tells of a daemon too, unless the file was removed
	// under it.
	a := adminapi.Dial(cfg.Socket)
	defer a.Close()
	if _, err := a.Version(c.Context); err == nil {
		return cfg, terminal.Hint(fmt.Errorf("a daemon works with %s", cfg.DataFile()), stopFirst)
	}
	return cfg, nil
}

// restoreRefused says what stands in the way, what would be lost, and the flag.
func (s commands) restoreRefused(r restored, err error) error {
	kept := "what is there would stay beside it under a dated name"
	switch {
	case errors.Is(err, app.ErrInUse):
		return terminal.Hint(err, stopFirst)
	case errors.Is(err, app.ErrOtherInstance):
		return terminal.Hint(err, "%s\nto take it all the same, add --other-instance: none of the data that is there would be used any more; %s",
			held(r), kept)
	case errors.Is(err, app.ErrOlder):
		return terminal.Hint(err, "%s\n%s\nto take it all the same, add --discard-newer; %s", held(r), strings.Join(losses(r.Restored), "\n"),
			kept)
	}
	return err
}

// held says what the data file holds and how old both are.
func held(r restored) string {
	if r.Here == nil {
		return r.Unreadable
	}
	const at = "2006-01-02 15:04:05"
	return fmt.Sprintf("the data file goes to %s (%s, %s), the backup to %s (%s, %s)",
		r.Here.Latest.Format(at), words.Count(r.Here.Webhooks, "webhook"), words.Count(r.Here.Vehicles, "vehicle"),
		r.Backup.Latest.Format(at), words.Count(r.Backup.Webhooks, "webhook"), words.Count(r.Backup.Vehicles, "vehicle"))
}

// losses says what the data file has and the backup has not, a line each.
func losses(r app.Restored) []string {
	l := r.Loss
	parts := counted(l.Webhooks, l.Vehicles, l.Subscriptions, l.Tokens)
	if l.Deliveries > 0 {
		d := "the records of " + words.Count(l.Deliveries, "delivery")
		if l.Waiting > 0 {
			d += fmt.Sprintf(" (%d not sent yet, which would never be)", l.Waiting)
		}
		parts = append(parts, d)
	}
	var lines []string
	if len(parts) > 0 {
		lines = append(lines, "not in the backup: "+strings.Join(parts, ", "))
	} else if !r.Backup.Latest.After(r.Here.Latest) {
		lines = append(lines, "not in the backup: later changes of what both have")
	}
	if l.Again > 0 {
		lines = append(lines, fmt.Sprintf("sent again: %s that ended since; receivers know them by their webhook-id",
			words.Count(l.Again, "delivery")))
	}
	if back := counted(l.Back.Webhooks, l.Back.Vehicles, l.Back.Subscriptions, l.Back.Tokens); len(back) > 0 {
		lines = append(lines, "back again, though let go of since: "+strings.Join(back, ", "))
	}
	if l.Keys > 0 {
		lines = append(lines, fmt.Sprintf("the signing keys of %s were replaced since, and the old ones are in force again: "+
			"give their receivers those, or rotate anew", words.Count(l.Keys, "webhook")))
	}
	if l.Accounts > 0 {
		lines = append(lines, fmt.Sprintf("the tokens of %s were renewed since; "+
			"where the vendor refuses the old ones the owner gives access again (plugbeat status tells)", words.Count(l.Accounts, "connection")))
	}
	return lines
}

// counted names those counts that are not zero.
func counted(webhooks, vehicles, subscriptions, tokens int) (parts []string) {
	for _, p := range []struct {
		n    int
		noun string
	}{{webhooks, "webhook"}, {vehicles, "vehicle"}, {subscriptions, "subscription"}, {tokens, "token"}} {
		if p.n > 0 {
			parts = append(parts, words.Count(p.n, p.noun))
		}
	}
	return parts
}

func showRestored(p *terminal.Page, r restored) {
	b, file := r.Backup, words.Clean(r.File)
	if file == "-" {
		file = "the backup on standard input"
	}
	if r.Same {
		p.Line("%s holds the same as %s: nothing was done", file, words.Clean(r.DataFile))
		return
	}
	p.Line("%s was put in the place of %s", file, words.Clean(r.DataFile))
	p.Line("it holds %s, %s, %s, %s waiting; newest entry %s", words.Count(b.Webhooks, "webhook"), words.Count(b.Vehicles, "vehicle"),
		words.Count(b.Subscriptions, "subscription"), words.Count(b.Waiting, "delivery"), p.Rel(b.Latest))
	if r.Warning != "" {
		p.Line("warning: %s", words.Clean(r.Warning))
	}
	if r.Unreadable != "" {
		p.Line("what was there could not be read: %s", words.Clean(r.Unreadable))
	}
	if r.Kept != "" {
		p.Line("what was there is kept: %s", words.Clean(r.Kept))
	}
	for _, text := range r.NotMigrated {
		p.Line("not taken over: %s", words.Clean(text))
	}
	if r.Here != nil && r.Here.Instance == b.Instance {
		for _, l := range losses(r.Restored) {
			p.Line("%s", l)
		}
	}
	p.Line("")
	p.Line("what follows: start the daemon. Vehicles that came due meanwhile are read once, deliveries that wait are sent. What left")
	p.Line("after the backup was made may leave again under the same webhook-id, by which receivers know it.")
}

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
		Action: terminal.Args(0, 0, s.compact),
	}
}

func (s commands) compact(c *ucli.Context) error {
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
		if out.Warning != "" {
			p.Line("warning: %s", words.Clean(out.Warning))
		}
	})
}
