// Package datafile is the commands about the data file: backup, restore, check, compact.
//
// Change here how they choose between a running daemon and the file, and what they say. The
// file itself is read and written by package app alone.
package datafile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/terminal"
	"plugbeat/words"
)

// commands are the commands of this topic in one session.
type commands struct{ *terminal.Session }

// keyNote is said with every backup.
const keyNote = "the sealing key (key_file) is not in it, and it is of no use without: keep a copy of the key elsewhere"

// backedUp is the JSON of backup.
type backedUp struct {
	File string `json:"file"` // empty for standard output
	From string `json:"from"` // the daemon's socket, or the data file
	app.FileSummary
}

// BackupCommand is the command backup.
func BackupCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:      "backup",
		Usage:     "write a consistent, checked copy of the data file, also while the daemon works",
		ArgsUsage: "FILE|-",
		Description: `A running daemon is asked for the copy; where none runs the data file of the config is read. FILE gets its
name once the copy is whole on disk and found sound, and may replace an earlier backup; - is standard output.
The sealing key (key_file) is not in it, and it is of no use without: keep a copy of the key elsewhere.
The daemon makes backups by itself when the config's backup.folder is set.`,
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat backup plugbeat-$(date +%F).db
plugbeat backup - | ssh nas 'cat > plugbeat.db'`),
		Action: terminal.Args(1, 1, s.backup),
	}
}

func (s commands) backup(c *ucli.Context) error {
	to := c.Args().First()
	if to == "" {
		return &terminal.UsageError{Text: "backup was given an empty name", Hint: "plugbeat backup FILE"}
	}
	if to == "-" && s.OutTTY {
		return &terminal.UsageError{Text: "backup - writes a data file, and standard output is a terminal",
			Hint: "plugbeat backup FILE; or: plugbeat backup - > FILE"}
	}
	socket, from, err := s.Socket(c)
	if err != nil {
		return err
	}
	a := adminapi.Dial(socket)
	defer a.Close()
	out := backedUp{File: to, From: socket}
	if to == "-" {
		out.File = ""
		out.Bytes, err = a.Backup(c.Context, s.Out)
	} else {
		out.FileSummary, err = app.SaveBackup(c.Context, to, func(w io.Writer) error {
			_, err := a.Backup(c.Context, w)
			return err
		})
	}
	if s.fileInstead(c, err) {
		cfg, _, err := s.Config(c, "")
		if err != nil {
			return err
		}
		return s.backupFile(c, cfg.DataFile(), out)
	}
	if err != nil {
		return s.Explain(cannotWrite(err, to), socket, from)
	}
	return s.showBackup(c, out, "the running daemon's data")
}

// fileInstead reports whether the config's data file is to be used, since no daemon runs that
// has it.
func (s commands) fileInstead(c *ucli.Context, err error) bool {
	return errors.Is(err, adminapi.ErrNoDaemon) && s.ConfigPath(c) != "" && c.String("socket") == ""
}

// cannotWrite says what is the matter with the folder of a backup, where that is why it
// was not made.
func cannotWrite(err error, file string) error {
	pe, ok := errors.AsType[*fs.PathError](err)
	if !ok || filepath.Dir(pe.Path) != filepath.Dir(file) {
		return err
	}
	return terminal.FolderError(err, file, "choose another folder, or run this as one who may write there")
}

// backupFile copies the data file of a daemon that does not run.
func (s commands) backupFile(c *ucli.Context, file string, out backedUp) (err error) {
	out.From = file
	if err := present(file); err != nil {
		return err
	}
	if out.File == "" {
		out.FileSummary, err = app.WriteDataFile(c.Context, file, s.Out)
	} else {
		if own, err := filepath.Abs(out.File); err == nil && own == file {
			return fmt.Errorf("%s is the data file itself: name another file", file)
		}
		out.FileSummary, err = app.CopyDataFile(c.Context, file, out.File)
	}
	if err != nil {
		return cannotWrite(err, out.File)
	}
	return s.showBackup(c, out, "the data file of a daemon that does not run")
}

// showBackup says what was done; where the backup itself went to standard output,
// it says so on standard error.
func (s commands) showBackup(c *ucli.Context, b backedUp, of string) error {
	if b.File == "" {
		_, _ = fmt.Fprintf(s.Err, "%s written: %s, checked; %s\n", words.Size(b.Bytes), of, keyNote)
		return nil
	}
	return s.Print(c, b, func(p *terminal.Page) {
		p.Line("%s: %s, checked: %s", words.Clean(b.File), words.Size(b.Bytes), of)
		p.Line("%s, %s, %s, %s waiting; newest entry %s", words.Count(b.Webhooks, "webhook"), words.Count(b.Vehicles, "vehicle"),
			words.Count(b.Subscriptions, "subscription"), words.Count(b.Waiting, "delivery"), p.Rel(b.Latest))
		p.Line("%s", keyNote)
		if b.Warning != "" {
			p.Line("warning: %s", words.Clean(b.Warning))
		}
	})
}
