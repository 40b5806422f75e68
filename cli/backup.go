package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/config"
)

// keyNote is said with every backup.
const keyNote = "the sealing key (key_file) is not in it, and it is of no use without: keep a copy of the key elsewhere"

// backedUp is the JSON of backup.
type backedUp struct {
	File string `json:"file"` // empty for standard output
	From string `json:"from"` // the daemon's socket, or the data file
	app.FileSummary
}

func (s *shell) backupCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "backup",
		Usage:     "write a consistent, checked copy of the data file, also while the daemon works",
		ArgsUsage: "FILE|-",
		Description: `A running daemon is asked for the copy; where none runs the data file of the config is read. FILE gets its
name once the copy is whole on disk and found sound, and may replace an earlier backup; - is standard output.
The sealing key (key_file) is not in it, and it is of no use without: keep a copy of the key elsewhere.
The daemon makes backups by itself when the config's backup.folder is set.`,
		Flags: clientFlags(),
		CustomHelpTemplate: example(`
plugbeat backup plugbeat-$(date +%F).db
plugbeat backup - | ssh nas 'cat > plugbeat.db'`),
		Action: s.backup,
	}
}

func (s *shell) backup(c *ucli.Context) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	to := c.Args().First()
	if to == "-" && s.outTTY {
		return &usageError{msg: "backup - writes a data file, and standard output is a terminal", hint: "plugbeat backup FILE; or: plugbeat backup - > FILE"}
	}
	socket, from, err := s.socket(c)
	if err != nil {
		return err
	}
	a := adminapi.Dial(socket)
	defer a.Close()
	out := backedUp{File: to, From: socket}
	if to == "-" {
		out.File = ""
		out.Bytes, err = a.Backup(c.Context, s.out)
	} else {
		out.FileSummary, err = app.SaveBackup(c.Context, to, func(w io.Writer) error {
			_, err := a.Backup(c.Context, w)
			return err
		})
	}
	if errors.Is(err, adminapi.ErrNoDaemon) {
		if cfgFile, _ := s.configPath(c); cfgFile != "" && c.String("socket") == "" {
			cfg, cerr := config.Load(cfgFile)
			if cerr != nil {
				return loadError(cfgFile, cerr)
			}
			return s.backupFile(c, cfg.DataFile(), out)
		}
	}
	if err != nil {
		return s.explain(err, socket, from)
	}
	return s.showBackup(c, out, "the running daemon's data")
}

// backupFile copies the data file of a daemon that does not run.
func (s *shell) backupFile(c *ucli.Context, file string, out backedUp) (err error) {
	out.From = file
	if err := present(file); err != nil {
		return err
	}
	if out.File == "" {
		out.FileSummary, err = app.WriteDataFile(c.Context, file, s.out)
	} else {
		if own, err := filepath.Abs(out.File); err == nil && own == file {
			return fmt.Errorf("%s is the data file itself: name another file", file)
		}
		out.FileSummary, err = app.CopyDataFile(c.Context, file, out.File)
	}
	if err != nil {
		return err
	}
	return s.showBackup(c, out, "the data file of a daemon that does not run")
}

// showBackup says what was done; where the backup itself went to standard output,
// it says so on standard error.
func (s *shell) showBackup(c *ucli.Context, b backedUp, of string) error {
	if b.File == "" {
		_, _ = fmt.Fprintf(s.err, "%s written: %s, checked; %s\n", size(b.Bytes), of, keyNote)
		return nil
	}
	return s.print(c, b, func(p *page) {
		p.line("%s: %s, checked: %s", clean(b.File), size(b.Bytes), of)
		p.line("%s, %s, %s, %s waiting; newest entry %s", count(b.Webhooks, "webhook"), count(b.Vehicles, "vehicle"),
			count(b.Subscriptions, "subscription"), count(b.Waiting, "delivery"), p.rel(b.Latest))
		p.line("%s", keyNote)
		if b.Warning != "" {
			p.line("warning: %s", clean(b.Warning))
		}
	})
}
