package doctor

import (
	"fmt"
	"strings"

	"plugbeat/cli/terminal"
	"plugbeat/health"
	"plugbeat/words"
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

// report is what was found so far.
type report struct{ found []finding }

func (r *report) add(check, subject, result, mend, text string, args ...any) {
	r.found = append(r.found, finding{Check: check, Subject: subject, Result: result, Text: fmt.Sprintf(text, args...), Mend: mend})
}

func (r *report) ok(check, subject, text string, args ...any) {
	r.add(check, subject, resultOK, "", text, args...)
}

func (r *report) warn(check, subject, mend, text string, args ...any) {
	r.add(check, subject, resultWarning, mend, text, args...)
}

func (r *report) problem(check, subject, mend, text string, args ...any) {
	r.add(check, subject, resultProblem, mend, text, args...)
}

// kindChecks is the check that conditions of a kind are shown as.
var kindChecks = map[health.Kind]string{
	health.Daemon: checkDaemon, health.DaemonPart: checkDaemon, health.Store: checkDisk, health.ClockKind: checkClock,
	health.Backup: checkBackup, health.Token: checkSecret, health.AlertTarget: checkAlert, health.Webhook: checkWebhook,
	health.Source: checkSource, health.Vehicle: checkVehicle, health.Fleet: checkVehicle,
}

// conditions shows what health judged.
func (r *report) conditions(cs []health.Condition) {
	for _, c := range cs {
		result := resultWarning
		if c.Severity == health.Error {
			result = resultProblem
		}
		r.add(kindChecks[c.Subject.Kind], string(c.Code), result, c.Advice(), "%s", c.Text)
	}
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
