// Package doctor is the command that looks for what is wrong, with a daemon or without one.
//
// Change here what is looked at. What a running daemon says of itself is judged by package
// health; files, modes, the unit and far ends are looked at here. doctor changes nothing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/health"
	"plugbeat/words"
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

// The results of a check.
const (
	resultOK      = "ok"
	resultWarning = "warning" // works, or cannot be told; worth a look
	resultProblem = "problem" // keeps something from working
)

// The checks, in the order they are shown. The set is closed.
const (
	checkConfig   = "config"
	checkSecret   = "secret"
	checkData     = "data"
	checkDisk     = "disk"
	checkBackup   = "backup"
	checkDaemon   = "daemon"
	checkListener = "listener"
	checkService  = "service"
	checkClock    = "clock"
	checkNetwork  = "network"
	checkSource   = "source"
	checkWebhook  = "webhook"
	checkAlert    = "alert"
	checkVehicle  = "vehicle"
)

// finding is what one check came to.
type finding struct {
	Check string `json:"check"`
	// Subject is what was checked: a path, a setting, a webhook's name; or the code of a
	// condition that the daemon told of.
	Subject string `json:"subject,omitempty"`
	Result  string `json:"result"`
	Text    string `json:"text"`
	// Mend says what to do; empty where nothing is to be done.
	Mend string `json:"mend,omitempty"`
}

// diagnosis is the JSON of doctor.
type diagnosis struct {
	Problems int       `json:"problems"`
	Warnings int       `json:"warnings"`
	Findings []finding `json:"findings"`
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
	found []finding
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
		Action: func(c *ucli.Context) error { return examine(s, at, c) },
	}
}

func examine(s *terminal.Session, at Surroundings, c *ucli.Context) error {
	if err := terminal.WantArgs(c, 0, 0); err != nil {
		return err
	}
	m, err := at.Machine()
	if err != nil {
		return err
	}
	d := &doctor{Session: s, at: at, m: m, now: s.Now(), offline: c.Bool("offline")}
	d.file, _ = s.ConfigPath(c)
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

func (d *doctor) add(check, subject, result, mend, text string, args ...any) {
	d.found = append(d.found, finding{Check: check, Subject: subject, Result: result, Text: fmt.Sprintf(text, args...), Mend: mend})
}

func (d *doctor) ok(check, subject, text string, args ...any) {
	d.add(check, subject, resultOK, "", text, args...)
}

func (d *doctor) warn(check, subject, mend, text string, args ...any) {
	d.add(check, subject, resultWarning, mend, text, args...)
}

func (d *doctor) problem(check, subject, mend, text string, args ...any) {
	d.add(check, subject, resultProblem, mend, text, args...)
}

// kindChecks is the check that conditions of a kind are shown as.
var kindChecks = map[health.Kind]string{
	health.Daemon: checkDaemon, health.DaemonPart: checkDaemon, health.Store: checkDisk, health.ClockKind: checkClock,
	health.Backup: checkBackup, health.Token: checkSecret, health.AlertTarget: checkAlert, health.Webhook: checkWebhook,
	health.Source: checkSource, health.Vehicle: checkVehicle, health.Fleet: checkVehicle,
}

// conditions shows what health judged.
func (d *doctor) conditions(cs []health.Condition) {
	for _, c := range cs {
		result := resultWarning
		if c.Severity == health.Error {
			result = resultProblem
		}
		d.add(kindChecks[c.Subject.Kind], string(c.Code), result, c.Advice(), "%s", c.Text)
	}
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

func showDiagnosis(p *terminal.Page, r diagnosis) {
	wide := 0
	for _, f := range r.Findings {
		wide = max(wide, len(f.Check))
	}
	colours := map[string]terminal.Style{resultOK: terminal.Green, resultWarning: terminal.Yellow, resultProblem: terminal.Red}
	for _, f := range r.Findings {
		text := f.Text
		if f.Subject != "" {
			text = f.Subject + ": " + text
		}
		indent := len(resultProblem) + 2 + wide + 2
		mark := fmt.Sprintf("%s%*s%-*s", p.Paint(colours[f.Result], f.Result), len(resultProblem)+2-len(f.Result), "", wide+2, f.Check)
		p.Marked(mark, indent, text, terminal.Plain)
		if f.Mend == "" {
			continue
		}
		for mend := range strings.SplitSeq(f.Mend, "\n") {
			p.Marked(strings.Repeat(" ", indent)+p.Paint(terminal.Bold, "-> "), indent+3, mend, terminal.Bold)
		}
	}
	p.Line("")
	if r.Problems+r.Warnings == 0 {
		p.Line("%s", p.Paint(terminal.Green, "no problems"))
		return
	}
	p.Line("%s, %s", words.Count(r.Problems, "problem"), words.Count(r.Warnings, "warning"))
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
