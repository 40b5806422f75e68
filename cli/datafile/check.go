package datafile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/terminal"
	"plugbeat/words"
)

// checked is the JSON of check. The API's problems keep their parts; a file that
// was opened here has them in one text.
type checked struct {
	Checked  string   `json:"checked"` // the file, or the daemon's socket
	Sound    bool     `json:"sound"`
	Problems []string `json:"problems"`
}

// CheckCommand is the command check.
func CheckCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:      "check",
		Usage:     "check a data file: every record, every index both ways, every ledger",
		ArgsUsage: "[FILE]",
		Description: `Without FILE a running daemon is asked to check a copy of its data; where none runs, the data
file of the config is opened, read only. Exit code 1 means that problems were found.`,
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat check
plugbeat check ./copy-of/plugbeat.db`),
		Action: terminal.Args(0, 1, s.check),
	}
}

func (s commands) check(c *ucli.Context) error {
	file := c.Args().First()
	if file != "" {
		return s.checkFile(c, file)
	}
	path, from, err := s.Socket(c)
	if err != nil {
		return err
	}
	a := adminapi.Dial(path)
	defer a.Close()
	r, err := a.Check(c.Context)
	if s.fileInstead(c, err) {
		cfg, _, err := s.Config(c, "")
		if err != nil {
			return err
		}
		return s.checkFile(c, cfg.DataFile())
	}
	if err != nil {
		return s.Explain(err, path, from)
	}
	out := checked{Checked: path, Sound: len(r.Problems) == 0, Problems: []string{}}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, p.String())
	}
	return s.showCheck(c, out, fmt.Sprintf("a copy of the running daemon's data, %s in %s", words.Size(r.Bytes), words.Took(r.Duration)))
}

// present returns an error where there is no data file.
func present(file string) error {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return terminal.Hint(fmt.Errorf("there is no data file at %s", file),
			"data files are named plugbeat.db, in the config's data_dir; the daemon makes its own at its first start")
	}
	return nil
}

func (s commands) checkFile(c *ucli.Context, file string) error {
	if err := present(file); err != nil {
		return err
	}
	problems, err := app.CheckFile(file)
	if errors.Is(err, app.ErrInUse) {
		return terminal.Hint(err, "the daemon that has it open checks a copy: plugbeat check, without a file")
	}
	if err != nil {
		return err
	}
	return s.showCheck(c, checked{Checked: file, Sound: len(problems) == 0, Problems: append([]string{}, problems...)}, file)
}

func (s commands) showCheck(c *ucli.Context, r checked, what string) error {
	err := s.Print(c, r, func(p *terminal.Page) {
		if r.Sound {
			p.Line("sound: %s", words.Clean(what))
			return
		}
		p.Line("%s in %s", words.Count(len(r.Problems), "problem"), words.Clean(what))
		for _, t := range r.Problems {
			p.Line("  %s", words.Clean(t))
		}
		p.Line("keep a copy of the file; restore a backup, or report the problems with the copy's check")
	})
	if err == nil && !r.Sound {
		return &terminal.Silent{Err: errors.New("problems found")}
	}
	return err
}
