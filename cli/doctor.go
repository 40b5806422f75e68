package cli

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
	"plugbeat/config"
	"plugbeat/health"
)

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
	s       *shell
	m       machine
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

// disk is what a file system tells of itself.
type disk struct {
	free, total      int64
	files, freeFiles uint64
	readOnly         bool
	// kind is the file system's name where it matters: one of the network or in memory.
	kind string
}

func (s *shell) doctorCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "doctor",
		Usage: "look for what is wrong: config, keys, files, clock, disk, network, receivers, the service",
		Description: `Each line says what was checked, what came of it, and how to mend it. It works with a running daemon and
without one, best as root, and changes nothing. Receivers and sources get one HEAD request each, without a
body or a signature, past the same address check as deliveries. The exit code is 0 when there is no problem;
warnings do not count.`,
		Flags: append([]ucli.Flag{
			&ucli.BoolFlag{Name: "offline", Usage: "leave receivers, sources and name servers alone", DisableDefaultText: true},
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat doctor
plugbeat doctor --json | jq '.findings[] | select(.result != "ok")'`),
		Action: s.doctor,
	}
}

func (s *shell) doctor(c *ucli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	m, err := s.machine()
	if err != nil {
		return err
	}
	d := &doctor{s: s, m: m, now: s.now(), offline: c.Bool("offline")}
	d.file, _ = s.configPath(c)
	if _, err := os.Stat(s.defaultCfg); d.file == "" && errors.Is(err, fs.ErrPermission) {
		d.file = s.defaultCfg // it may be there
	}
	d.socket = c.String("socket")
	if d.socket == "" && c.String("config") == "" {
		d.socket = s.env("PLUGBEAT_SOCKET")
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
	if err := s.print(c, r, func(p *page) { showDiagnosis(p, r) }); err != nil {
		return err
	}
	if r.Problems > 0 {
		return &silent{errors.New("problems found")}
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
	health.Daemon: checkDaemon, health.DaemonPart: checkDaemon, health.Store: checkDisk, health.ClockKind: checkClock, health.Backup: checkBackup,
	health.Token: checkSecret, health.AlertTarget: checkAlert, health.Webhook: checkWebhook, health.Source: checkSource, health.Vehicle: checkVehicle, health.Fleet: checkVehicle,
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
		d.socket = d.s.defaultSoc
		if d.cfg != nil {
			d.socket = d.cfg.Socket
		}
		d.lost = d.cfg == nil && d.file != "" && d.file != d.s.defaultCfg
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

func showDiagnosis(p *page, r diagnosis) {
	wide := 0
	for _, f := range r.Findings {
		wide = max(wide, len(f.Check))
	}
	colours := map[string]style{resultOK: green, resultWarning: yellow, resultProblem: red}
	for _, f := range r.Findings {
		text := f.Text
		if f.Subject != "" {
			text = f.Subject + ": " + text
		}
		indent := len(resultProblem) + 2 + wide + 2
		lines := []string{clean(text)}
		if p.width > 0 {
			lines = wrap(text, max(p.width-indent, 20))
		}
		for i, l := range lines {
			if i > 0 {
				p.line("%*s%s", indent, "", l)
				continue
			}
			p.line("%s%*s%-*s%s", p.paint(colours[f.Result], f.Result), len(resultProblem)+2-len(f.Result), "", wide+2, f.Check, l)
		}
		for mend := range strings.SplitSeq(f.Mend, "\n") {
			lines := []string{clean(mend)}
			if p.width > 0 {
				lines = wrap(mend, max(p.width-indent-3, 20))
			}
			for i, l := range lines {
				if mark := map[bool]string{true: "-> ", false: "   "}[i == 0]; l != "" {
					p.line("%*s%s", indent, "", p.paint(bold, mark+l))
				}
			}
		}
	}
	p.line("")
	if r.Problems+r.Warnings == 0 {
		p.line("%s", p.paint(green, "no problems"))
		return
	}
	p.line("%s, %s", count(r.Problems, "problem"), count(r.Warnings, "warning"))
}

// callback is a webhook as far as its receiver is looked at.
type callback struct {
	name, uri string
	private   bool
}

// looker looks at the far ends; tests put their own in its place.
type looker interface {
	Callback(ctx context.Context, uri string, allowPrivate bool) app.Look
	Endpoints(ctx context.Context, source string) []app.Look
}

func newLooker(cfg config.Config) (looker, error) { return app.NewLooker(cfg) }
