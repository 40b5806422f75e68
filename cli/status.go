package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// roomForID is the width from which a page shows whole ids of vehicles.
const roomForID = 120

// shownWebhooks bounds the webhooks on the status page.
const shownWebhooks = 20

func (s *shell) statusCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "status",
		Usage: "the whole daemon at a glance: what needs attention, what comes next",
		Description: `What needs a person comes first, with what to do. The exit code is 0 whenever the daemon answers.
On a terminal it is coloured, unless NO_COLOR is set.`,
		Flags: append([]ucli.Flag{
			&ucli.BoolFlag{Name: "watch", Usage: "show it again and again, until Ctrl-C", DisableDefaultText: true},
			&ucli.DurationFlag{Name: "every", Usage: "with --watch: how often, from 200ms to 1h", Value: 2 * time.Second},
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat status
plugbeat status --watch
plugbeat status --json | jq .conditions`),
		Action: s.status,
	}
}

func (s *shell) status(c *ucli.Context) error {
	if c.IsSet("every") && !c.Bool("watch") {
		return &usageError{msg: "--every goes with --watch", hint: "see: plugbeat status --help"}
	}
	if c.Bool("watch") {
		return s.watch(c)
	}
	return s.withClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
		st, err := a.Status(ctx)
		if err != nil {
			return err
		}
		return s.print(c, st, func(p *page) { showStatus(p, st) })
	})(c)
}

func showStatus(p *page, st adminapi.Status) {
	state, colour := "ready", green
	switch {
	case st.Stopping:
		state, colour = "stopping", yellow
	case !st.Ready:
		state, colour = "not ready", red
	}
	p.line("%s  %s  up %s", p.paint(bold, "plugbeat "+clean(st.Version.Version)), p.paint(colour, state), words.Span(p.now.Sub(st.StartedAt)))
	for _, c := range st.Conditions {
		p.condition(c)
	}
	if len(st.Conditions) == 0 {
		p.line("%s", p.paint(green, "all is well"))
	}
	p.line("")
	showStore(p, st)
	p.line("")
	showSources(p, st)
	p.line("")
	showQueues(p, st)
	p.line("")
	showVehicles(p, st)
}

// severityStyles are the colours of severities.
var severityStyles = map[health.Severity]style{health.Error: red, health.Warning: yellow, health.Info: plain}

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
func (p *page) condition(c health.Condition) {
	text := c.Text
	if p.now.Sub(c.Since) >= time.Minute && !c.Since.IsZero() {
		text += " (for " + words.Span(p.now.Sub(c.Since)) + ")"
	}
	p.marked(p.paint(severityStyles[c.Severity], "!"), text, plain)
	p.marked(" ", "-> "+c.Advice(), bold)
}

// attention adds one line of what needs a person.
func (p *page) attention(text string) { p.marked(p.paint(red, "!"), text, plain) }

// marked adds a text behind a mark, wrapped where the page has a width.
func (p *page) marked(mark, text string, of style) {
	lines := []string{clean(text)}
	if p.width > 0 {
		lines = wrap(text, p.width-2)
	}
	for i, l := range lines {
		if i > 0 {
			mark = " "
		}
		p.line("%s %s", mark, p.paint(of, l))
	}
}

func showStore(p *page, st adminapi.Status) {
	d := st.Store
	disk := cell{string(d.State), green}
	if d.State != webhook.DiskOK {
		disk = cell{"DISK " + strings.ToUpper(strings.ReplaceAll(string(d.State), "_", " ")), red}
	}
	file := size(d.FileBytes)
	if d.MaxBytes > 0 {
		file += fmt.Sprintf(", %s live of %s", size(d.LiveBytes), size(d.MaxBytes))
	}
	if d.DiskTotalBytes > 0 {
		file += fmt.Sprintf("; %s free on disk", size(d.DiskFreeBytes))
	}
	next := ""
	if !st.NextReading.IsZero() {
		next = ", next reading " + p.next(st.NextReading)
	}
	p.facts(
		[2]string{"store", p.paint(disk.style, clean(disk.text)) + "  " + clean(d.Path)},
		[2]string{"size", file},
		[2]string{"backups", backups(p, st.Backup)},
		[2]string{"subscriptions", fmt.Sprint(st.Subscriptions) + next},
		[2]string{"waiting", count(d.Waiting, "delivery")},
	)
}

// facts adds labels and values that are clean and may be painted.
func (p *page) facts(list ...[2]string) {
	wide := 0
	for _, f := range list {
		wide = max(wide, len(f[0]))
	}
	for _, f := range list {
		if f[1] != "" {
			p.line("%-*s  %s", wide, f[0], f[1])
		}
	}
}

// backups says how the scheduled backups stand; empty when there are none.
func backups(p *page, b *adminapi.Backups) string {
	if b == nil {
		return ""
	}
	last := "none yet"
	if !b.Last.IsZero() {
		last = fmt.Sprintf("last %s, %s", p.rel(b.Last), size(b.LastBytes))
	}
	if b.Failed != "" {
		last += ", " + p.paint(red, "failed "+p.rel(b.FailedAt))
	}
	return fmt.Sprintf("%s; next %s; %d in %s", last, p.next(b.Next), b.Kept, clean(b.Folder))
}

func showSources(p *page, st adminapi.Status) {
	if len(st.Sources) == 0 {
		p.line("no sources; add one to the config, then restart")
		return
	}
	var rows []gridRow
	for _, s := range st.Sources {
		state, notes := cell{"not read yet", plain}, []cell(nil)
		if i := about(st.Conditions, health.Source, s.Name); i < len(st.Conditions) {
			c := st.Conditions[i]
			state = cell{strings.TrimPrefix(string(c.Code), "source."), severityStyles[c.Severity]}
		} else if !s.LastOK.IsZero() {
			state = cell{"well", green}
		}
		for _, line := range spending(p, s) {
			notes = append(notes, cell{line, dim})
		}
		rows = append(rows, gridRow{cells: []cell{{text: s.Name}, state, {text: p.rel(s.LastOK)}, {text: fmt.Sprint(s.Vehicles)}, {text: fmt.Sprint(s.Reads)}, {text: fmt.Sprint(s.PathReads)},
			{text: fmt.Sprint(s.Faults)}, {text: p.next(s.Due)}}, notes: notes})
	}
	p.grid([]column{{"SOURCE", 6}, {"STATE", 0}, {"LAST OK", 0}, {"VEHICLES", 0}, {"READS", 0}, {"PATHS", 0}, {"FAULTS", 0}, {"NEXT", 0}}, rows)
}

// spending says what a source has cost, what its bucket holds, and what its webhooks'
// cadences cost.
func spending(p *page, s adminapi.Source) []string {
	c := s.Cost
	if c == nil {
		return nil
	}
	line := fmt.Sprintf("%s spent this %s", count(int(c.Spent), "call"), c.Per) //nolint:gosec // a count
	if c.Budget > 0 {
		line = fmt.Sprintf("budget %d calls a %s for each vehicle; %d of %d spent; a new %s begins %s", c.Budget, c.Per, c.Spent, c.Budget*uint64(s.Vehicles), c.Per, p.rel(c.Until)) //nolint:gosec // a count
	}
	if c.BucketSize > 0 {
		line += fmt.Sprintf("; %d of %d calls to be had at once", c.BucketLeft, c.BucketSize)
	}
	return append([]string{line}, c.Lines...)
}

func showQueues(p *page, st adminapi.Status) {
	if len(st.Webhooks) == 0 {
		p.line("no webhooks yet; add one: plugbeat webhook add")
		return
	}
	hooks, place := slices.Clone(st.Webhooks), func(h adminapi.WebhookStatus) int { return about(st.Conditions, health.Webhook, h.Webhook.ID.String()) }
	slices.SortStableFunc(hooks, func(a, b adminapi.WebhookStatus) int { return cmp.Compare(place(a), place(b)) })
	var rows []gridRow
	for _, h := range hooks[:min(len(hooks), shownWebhooks)] {
		w, queue := h.Webhook, h.Queue
		state, probes, next := cell{string(w.Status), green}, "", queue.NextRetry
		var notes []cell
		if i := place(h); i < len(st.Conditions) {
			state.style = severityStyles[st.Conditions[i].Severity]
		}
		switch {
		case w.Failing():
			state.text, next = "failing", w.Breaker.NextProbe
			probes = fmt.Sprint(w.Breaker.Step)
			if h.Retries > 0 {
				probes += fmt.Sprintf("/%d", h.Retries)
			}
		case w.Status == webhook.Active && w.Breaker.Open():
			notes = append(notes, cell{nextProbe(p, &w), dim})
		}
		if w.Recovery != nil {
			notes = append(notes, cell{"recovering: " + recovering(w.Recovery), dim})
		}
		age := ""
		if !queue.Oldest.IsZero() {
			age = words.Span(p.now.Sub(queue.Oldest))
		}
		rows = append(rows, gridRow{cells: []cell{{text: w.Name}, state, {text: probes}, {text: fmt.Sprint(queue.Waiting)}, {text: age}, {text: upcoming(p, next)},
			{text: upcoming(p, w.Breaker.NextChallenge)}, {text: p.rel(w.Breaker.LastSuccess)}}, notes: notes})
	}
	p.grid([]column{{"WEBHOOK", 8}, {"STATUS", 0}, {"PROBES", 0}, {"WAITING", 0}, {"OLDEST", 0}, {"NEXT", 0}, {"CHALLENGE", 0}, {"LAST OK", 0}}, rows)
	if more := len(hooks) - shownWebhooks; more > 0 {
		p.line("and %d more: plugbeat webhook list", more)
	}
}

func showVehicles(p *page, st adminapi.Status) {
	v := st.Vehicles
	if v.Total == 0 {
		p.line("no vehicles yet; connect an account: plugbeat vehicle connect --source NAME")
		return
	}
	id := func(g adminapi.VehicleGlance) string {
		whole := g.Vehicle.ID.String()
		if p.width == 0 || p.width >= roomForID {
			return whole // as commands take it
		}
		return whole[:8]
	}
	var rows []gridRow
	for _, g := range st.FirstVehicles {
		state, notes := cell{stateName(g.State), plain}, []cell(nil)
		switch {
		case g.NeedsOwner:
			state = cell{"no access", red}
		case g.Trouble != "":
			state = cell{"unread", yellow}
		case g.State == vehicle.StatePluggedIn:
			state.style = green
		}
		if g.Trouble != "" {
			notes = append(notes, cell{g.Trouble + "; see: plugbeat vehicle show " + g.Vehicle.ID.String(), dim})
		}
		due := p.next(g.NextDue)
		if g.Subscriptions == 0 {
			due = "no webhook"
		}
		rows = append(rows, gridRow{cells: []cell{{text: id(g)}, {text: carName(g.Vehicle)}, {text: g.Vehicle.Source}, state, {text: p.rel(g.Since)}, {text: p.rel(g.ReadAt)}, {text: due}}, notes: notes})
	}
	p.grid([]column{{"ID", 0}, {"VEHICLE", 10}, {"SOURCE", 6}, {"STATE", 0}, {"SINCE", 0}, {"READ", 0}, {"NEXT DUE", 0}}, rows)
	sum := fmt.Sprintf("%d plugged in, %d unplugged, %d unknown", v.PluggedIn, v.Unplugged, v.Unknown)
	if v.Restricted > 0 {
		sum += fmt.Sprintf("; %d without access", v.Restricted)
	}
	if v.Unread > 0 {
		sum += fmt.Sprintf("; %d unread", v.Unread)
	}
	if more := v.Total - len(rows); more > 0 {
		p.line("and %d more: plugbeat vehicle list", more)
	}
	p.line("%s: %s", count(v.Total, "vehicle"), sum)
}
