package daemon

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// shownWebhooks bounds the webhooks on the status page.
const shownWebhooks = 20

// StatusCommand is the command status.
func StatusCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "status",
		Usage: "the whole daemon at a glance: what needs attention, what comes next",
		Description: `What needs a person comes first, with what to do. The exit code is 0 whenever the daemon answers.
On a terminal it is coloured, unless NO_COLOR is set.`,
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat status
watch plugbeat status
plugbeat status --json | jq .conditions`),
		Action: terminal.Args(0, 0, s.status),
	}
}

func (s commands) status(c *ucli.Context) error {
	return s.WithClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
		st, err := a.Status(ctx)
		return s.Show(c, st, err, func(p *terminal.Page) { showStatus(p, st) })
	})(c)
}

func showStatus(p *terminal.Page, st adminapi.Status) {
	state, colour := "ready", terminal.Green
	switch {
	case st.Stopping:
		state, colour = "stopping", terminal.Yellow
	case !st.Ready:
		state, colour = "not ready", terminal.Red
	}
	p.Line("%s  %s  up %s", p.Paint(terminal.Bold, "plugbeat "+words.Clean(st.Version.Version)), p.Paint(colour, state),
		words.Span(p.Now.Sub(st.StartedAt)))
	for _, c := range st.Conditions {
		condition(p, c)
	}
	if len(st.Conditions) == 0 {
		p.Line("%s", p.Paint(terminal.Green, "all is well"))
	}
	p.Line("")
	showStore(p, st)
	p.Line("")
	showSources(p, st)
	p.Line("")
	showQueues(p, st)
	p.Line("")
	showVehicles(p, st)
}

// severityStyles are the colours of severities.
var severityStyles = map[health.Severity]terminal.Style{
	health.Error: terminal.Red, health.Warning: terminal.Yellow, health.Info: terminal.Plain,
}

// about returns the place in the list of the most urgent condition of a subject; its length
// for none.
func about(cs []health.Condition, kind health.Kind, id string) int {
	i := slices.IndexFunc(cs, func(c health.Condition) bool { return c.Subject.Kind == kind && c.Subject.ID == id })
	if i < 0 {
		return len(cs)
	}
	return i
}

// condition adds what is wrong, for how long, and what to do.
func condition(p *terminal.Page, c health.Condition) {
	text := c.Text
	if p.Now.Sub(c.Since) >= time.Minute && !c.Since.IsZero() {
		text += " (for " + words.Span(p.Now.Sub(c.Since)) + ")"
	}
	p.Marked(p.Paint(severityStyles[c.Severity], "!")+" ", 2, text, terminal.Plain)
	p.Marked("  ", 2, "-> "+c.Advice(), terminal.Bold)
}

func showStore(p *terminal.Page, st adminapi.Status) {
	d := st.Store
	disk := string(d.State)
	if d.State != webhook.DiskOK {
		disk = "DISK " + strings.ToUpper(strings.ReplaceAll(disk, "_", " "))
	}
	file := words.Size(d.FileBytes)
	if d.MaxBytes > 0 {
		file += fmt.Sprintf(", %s live of %s", words.Size(d.LiveBytes), words.Size(d.MaxBytes))
	}
	if d.TotalBytes > 0 {
		file += fmt.Sprintf("; %s free on disk", words.Size(d.FreeBytes))
	}
	next := ""
	if !st.NextReading.IsZero() {
		next = ", next reading " + p.Next(st.NextReading)
	}
	p.Fields(
		[2]string{"store", disk + "  " + d.Path},
		[2]string{"size", file},
		[2]string{"backups", backups(p, st.Backup)},
		[2]string{"subscriptions", fmt.Sprint(st.Subscriptions) + next},
		[2]string{"waiting", words.Count(d.Waiting, "delivery")},
	)
}

// backups says how the scheduled backups stand; empty when there are none.
func backups(p *terminal.Page, b *adminapi.Backups) string {
	if b == nil {
		return ""
	}
	last := "none yet"
	if !b.Last.IsZero() {
		last = fmt.Sprintf("last %s, %s", p.Rel(b.Last), words.Size(b.LastBytes))
	}
	if b.Failed != "" {
		last += ", " + "failed " + p.Rel(b.FailedAt)
	}
	return fmt.Sprintf("%s; next %s; %d in %s", last, p.Next(b.Next), b.Kept, b.Folder)
}

func showSources(p *terminal.Page, st adminapi.Status) {
	if len(st.Sources) == 0 {
		p.Line("no sources; add one to the config, then restart")
		return
	}
	var rows []terminal.Row
	for _, s := range st.Sources {
		state, notes := terminal.Cell{Text: "not read yet", Style: terminal.Plain}, []terminal.Cell(nil)
		if i := about(st.Conditions, health.Source, s.Name); i < len(st.Conditions) {
			c := st.Conditions[i]
			state = terminal.Cell{Text: strings.TrimPrefix(string(c.Code), "source."), Style: severityStyles[c.Severity]}
			if c.Code == health.SourceRefused {
				state.Text = "messages refused"
			}
		} else if !s.LastOK.IsZero() {
			state = terminal.Cell{Text: "well", Style: terminal.Green}
		}
		for _, line := range phrase.Spending(p, s) {
			notes = append(notes, terminal.Cell{Text: line, Style: terminal.Dim})
		}
		rows = append(rows, terminal.Row{Cells: []terminal.Cell{{Text: s.Name}, state, {Text: p.Rel(s.LastOK)}, {Text: fmt.Sprint(s.Vehicles)},
			{Text: fmt.Sprint(s.Reads)}, {Text: fmt.Sprint(s.PathReads)},
			{Text: fmt.Sprint(s.Faults)}, {Text: p.Next(s.Due)}}, Notes: notes})
	}
	columns := terminal.Columns("SOURCE", "STATE", "LAST OK", "VEHICLES", "READS", "PATHS", "FAULTS", "NEXT")
	columns[0].Least = 6
	p.Table(columns, rows)
}

func showQueues(p *terminal.Page, st adminapi.Status) {
	if len(st.Webhooks) == 0 {
		p.Line("no webhooks yet; add one: plugbeat webhook add")
		return
	}
	hooks := slices.Clone(st.Webhooks)
	place := func(h adminapi.WebhookStatus) int { return about(st.Conditions, health.Webhook, h.Webhook.ID.String()) }
	slices.SortStableFunc(hooks, func(a, b adminapi.WebhookStatus) int { return cmp.Compare(place(a), place(b)) })
	var rows []terminal.Row
	for _, h := range hooks[:min(len(hooks), shownWebhooks)] {
		w, queue := h.Webhook, h.Queue
		state, probes, next := terminal.Cell{Text: string(w.Status), Style: terminal.Green}, "", queue.NextRetry
		var notes []terminal.Cell
		if i := place(h); i < len(st.Conditions) {
			state.Style = severityStyles[st.Conditions[i].Severity]
		}
		switch {
		case w.Failing():
			state.Text, next = "failing", w.Breaker.NextProbe
			probes = fmt.Sprint(w.Breaker.Step)
			if h.Retries > 0 {
				probes += fmt.Sprintf("/%d", h.Retries)
			}
		case w.Status == webhook.Active && w.Breaker.Open():
			notes = append(notes, terminal.Cell{Text: phrase.NextProbe(p, &w), Style: terminal.Dim})
		}
		if w.Recovery != nil {
			notes = append(notes, terminal.Cell{Text: "recovering: " + phrase.Recovering(w.Recovery), Style: terminal.Dim})
		}
		age := ""
		if !queue.Oldest.IsZero() {
			age = words.Span(p.Now.Sub(queue.Oldest))
		}
		rows = append(rows, terminal.Row{Cells: []terminal.Cell{{Text: w.Name}, state, {Text: probes}, {Text: fmt.Sprint(queue.Waiting)},
			{Text: age}, {Text: p.Upcoming(next)},
			{Text: p.Upcoming(w.Breaker.NextChallenge)}, {Text: p.Rel(w.Breaker.LastSuccess)}}, Notes: notes})
	}
	columns := terminal.Columns("WEBHOOK", "STATUS", "PROBES", "WAITING", "OLDEST", "NEXT", "CHALLENGE", "LAST OK")
	columns[0].Least = 8
	p.Table(columns, rows)
	if more := len(hooks) - shownWebhooks; more > 0 {
		p.Line("and %d more: plugbeat webhook list", more)
	}
}

func showVehicles(p *terminal.Page, st adminapi.Status) {
	v := st.Vehicles
	if v.Total == 0 {
		p.Line("no vehicles yet; connect an account: plugbeat vehicle connect --source NAME")
		return
	}
	var rows []terminal.Row
	for _, g := range st.FirstVehicles {
		plug, notes := terminal.Cell{Text: phrase.State(g.State), Style: terminal.Plain}, []terminal.Cell(nil)
		if g.State == vehicle.StatePluggedIn {
			plug.Style = terminal.Green
		}
		if g.Trouble != "" {
			trouble, style := "unread ", terminal.Yellow
			if g.NeedsOwner {
				trouble, style = "no access ", terminal.Red
			}
			notes = append(notes, terminal.Cell{Text: trouble + p.Rel(g.ReadAt) + ": " + g.Trouble + "; see: plugbeat vehicle show " +
				phrase.VehicleID(p, g.Vehicle.ID), Style: style})
		}
		due := p.Next(g.NextDue)
		if g.Subscriptions == 0 {
			due = "no webhook"
		}
		rows = append(rows, terminal.Row{Cells: []terminal.Cell{{Text: phrase.VehicleID(p, g.Vehicle.ID)}, {Text: g.Vehicle.Name},
			{Text: g.Vehicle.Source}, plug, {Text: phrase.Age(p, g.ObservedAt)}, {Text: phrase.Percent(g.Battery)},
			{Text: phrase.Age(p, g.Battery.ObservedAt())}, {Text: due}}, Notes: notes})
	}
	columns := terminal.Columns("ID", "NAME", "SOURCE", "PLUG", "AGE", "LEVEL", "AGE", "NEXT DUE")
	columns[1].Least = 10
	columns[2].Least = 6
	p.Table(columns, rows)
	sum := fmt.Sprintf("%d plugged in, %d unplugged, %d unknown", v.PluggedIn, v.Unplugged, v.Unknown)
	if v.Restricted > 0 {
		sum += fmt.Sprintf("; %d without access", v.Restricted)
	}
	if v.Unread > 0 {
		sum += fmt.Sprintf("; %d unread", v.Unread)
	}
	if more := v.Total - len(rows); more > 0 {
		p.Line("and %d more: plugbeat vehicle list", more)
	}
	p.Line("%s: %s", words.Count(v.Total, "vehicle"), sum)
}
