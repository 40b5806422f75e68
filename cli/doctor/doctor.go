// Package doctor is the command that looks for what is wrong, with a daemon or without one.
//
// Change here what is looked at. What a running daemon says of itself is judged by package
// health; files, modes, the unit and far ends are looked at here. doctor changes nothing.
package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/health"
)

// Surroundings are what doctor asks of the machine and of far ends.
type Surroundings struct {
	Machine func() (machine.Machine, error)
	Looker  func(config.Config) (Looker, error)
	Disk    func(path string) (Disk, error)
	// ClockSynchronised reports whether a time service keeps the clock; known is false where
	// the system does not say.
	ClockSynchronised func() (yes, known bool)
}

// These are the machine we run on and the far ends as they are.
func These() Surroundings {
	return Surroundings{
		Machine: machine.This, Looker: func(cfg config.Config) (Looker, error) { return app.NewLooker(cfg) },
		Disk: diskOf, ClockSynchronised: clockSynchronised,
	}
}

// doctor looks for what is wrong. It changes nothing, here or elsewhere.
type doctor struct {
	*terminal.Session
	at      Surroundings
	m       machine.Machine
	now     time.Time
	offline bool
	file    string         // the config's; empty for none
	cfg     *config.Config // nil when it cannot be loaded
	socket  string
	// lost is true when the socket is not known, since the config that names it cannot
	// be read.
	lost bool
	st   *adminapi.Status // nil when no daemon answers
	away error            // why it does not
	// hooks are the webhooks, from the daemon or the data file; asked is false where
	// neither could be asked.
	hooks []callback
	asked bool
	report
}

// Disk is what a file system tells of itself.
type Disk struct {
	Free, Total      int64
	Files, FreeFiles uint64
	ReadOnly         bool
	// Kind is the file system's name where it matters: one of the network or in memory.
	Kind string
}

// Command is the command doctor.
func Command(s *terminal.Session, at Surroundings) *ucli.Command {
	return &ucli.Command{
		Name:  "doctor",
		Usage: "look for what is wrong: config, keys, files, clock, disk, network, receivers, the service",
		Description: `Each line says what was checked, what came of it, and how to mend it. It works with a running daemon and
without one, best as root, and changes nothing. Receivers and sources get one HEAD request each, without a
body or a signature, past the same address check as deliveries. The exit code is 0 when there is no problem;
warnings do not count.`,
		Flags: terminal.ClientFlags(
			terminal.Switch("offline", "leave receivers, sources and name servers alone"),
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat doctor
plugbeat doctor --json | jq '.findings[] | select(.result != "ok")'`),
		Action: terminal.Args(0, 0, func(c *ucli.Context) error { return examine(s, at, c) }),
	}
}

func examine(s *terminal.Session, at Surroundings, c *ucli.Context) error {
	m, err := at.Machine()
	if err != nil {
		return err
	}
	d := &doctor{Session: s, at: at, m: m, now: s.Now(), offline: c.Bool("offline")}
	d.file = s.ConfigPath(c)
	if _, err := os.Stat(s.DefaultConfig); d.file == "" && errors.Is(err, fs.ErrPermission) {
		d.file = s.DefaultConfig // it may be there
	}
	d.socket = c.String("socket")
	if d.socket == "" && c.String("config") == "" {
		d.socket = s.Env("PLUGBEAT_SOCKET")
	}
	d.checkConfig()
	d.ask(c.Context)
	d.checkSecrets()
	d.checkData()
	d.checkDisk()
	d.checkBackups()
	d.checkDaemon()
	d.showConditions()
	d.checkListeners(c.Context)
	d.checkService(c.Context)
	d.checkFarEnds(c.Context)
	r := diagnosis{Findings: append([]finding{}, d.found...)}
	for _, f := range d.found {
		switch f.Result {
		case resultWarning:
			r.Warnings++
		case resultProblem:
			r.Problems++
		}
	}
	if err := s.Print(c, r, func(p *terminal.Page) { showDiagnosis(p, r) }); err != nil {
		return err
	}
	if r.Problems > 0 {
		return &terminal.Silent{Err: errors.New("problems found")}
	}
	return nil
}

// told reports whether the daemon told of a condition.
func (d *doctor) told(codes ...health.Code) bool {
	return d.st != nil && slices.ContainsFunc(d.st.Conditions, func(c health.Condition) bool { return slices.Contains(codes, c.Code) })
}

// sudo is the command that sees more.
const sudo = "sudo plugbeat doctor"

// ask asks the daemon how it fares, and for its webhooks; where none runs the data
// file is asked for those.
func (d *doctor) ask(ctx context.Context) {
	if d.socket == "" {
		d.socket = d.DefaultSocket
		if d.cfg != nil {
			d.socket = d.cfg.Socket
		}
		d.lost = d.cfg == nil && d.file != "" && d.file != d.DefaultConfig
	}
	a := adminapi.Dial(d.socket)
	defer a.Close()
	st, err := a.Status(ctx)
	if err == nil {
		d.st, d.asked = &st, true
		for _, h := range st.Webhooks {
			d.hooks = append(d.hooks, callback{h.Webhook.Name, h.Webhook.CallbackURI, h.Webhook.AllowPrivate})
		}
		return
	}
	d.away = err
}

// changedSince is when the daemon started, if the file was changed after that; zero
// else.
func (d *doctor) changedSince(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil || d.st == nil || !info.ModTime().After(d.st.StartedAt) {
		return time.Time{}
	}
	return info.ModTime()
}

// callback is a webhook as far as its receiver is looked at.
type callback struct {
	name, uri string
	private   bool
}

// Looker looks at the far ends.
type Looker interface {
	Callback(ctx context.Context, uri string, allowPrivate bool) app.Look
	Endpoints(ctx context.Context, source string) []app.Look
}
