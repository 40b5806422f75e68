package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

func (s *shell) statusCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "status",
		Usage:       "the whole daemon at a glance: what needs attention, what comes next",
		Description: "What needs a person comes first. The exit code is 0 whenever the daemon answers.",
		Flags:       clientFlags(),
		CustomHelpTemplate: example(`
plugbeat status
plugbeat status --json | jq .attention`),
		Action: s.withClient(0, 0, func(ctx context.Context, c *ucli.Context, a *api.Client) error {
			st, err := a.Status(ctx)
			if err != nil {
				return err
			}
			return s.print(c, st, func(p *page) { showStatus(p, st) })
		}),
	}
}

func showStatus(p *page, st api.Status) {
	if len(st.Attention) == 0 && st.Ready {
		p.line("all is well")
	}
	if !st.Ready && len(st.Attention) == 0 {
		p.line("! not ready: %s", clean(orDash(strings.Join(st.NotReady, ", "))))
	}
	for _, a := range st.Attention {
		p.line("! %s", clean(a))
	}
	p.line("")
	v := st.Vehicles
	vehicles := fmt.Sprintf("%d: %d plugged in, %d unplugged, %d unknown", v.Total, v.PluggedIn, v.Unplugged, v.Unknown)
	if v.Restricted > 0 {
		vehicles += fmt.Sprintf("; %d without access", v.Restricted)
	}
	data := fmt.Sprintf("%s, %s", st.Store.Path, size(st.Store.FileBytes))
	if st.Store.MaxBytes > 0 {
		data += fmt.Sprintf(" (%s used of %s)", size(st.Store.LiveBytes), size(st.Store.MaxBytes))
	}
	data += disk(st.Store)
	p.fields(
		[2]string{"plugbeat", st.Version.Version},
		[2]string{"up", api.Span(max(0, p.now.Sub(st.StartedAt)))},
		[2]string{"data file", data},
		[2]string{"vehicles", vehicles},
		[2]string{"subscriptions", fmt.Sprint(st.Subscriptions)},
		[2]string{"next reading", upcoming(p, st.NextReading)},
		[2]string{"waiting", count(st.Store.Waiting, "delivery")},
	)
	p.line("")
	showSources(p, st.Sources)
	p.line("")
	showLanes(p, st.Webhooks)
}

// disk says what the data file's disk has left, loudly where that is too little.
func disk(i api.StoreInfo) string {
	free := ""
	if i.DiskTotalBytes > 0 {
		free = fmt.Sprintf(", %s free", size(i.DiskFreeBytes))
	}
	switch i.State {
	case webhook.DiskFull:
		return free + ", DISK FULL"
	case webhook.DiskReadOnly:
		return free + ", DISK READ-ONLY"
	case webhook.DiskNearlyFull:
		return free + ", NEARLY FULL"
	}
	return free
}

func showSources(p *page, sources []api.Source) {
	if len(sources) == 0 {
		p.line("no sources; add one to the config")
		return
	}
	var rows [][]string
	for _, s := range sources {
		note := ""
		if s.NotBefore.After(p.now) {
			note = "not before " + p.rel(s.NotBefore)
		}
		if s.Trouble() {
			if note != "" {
				note += "; "
			}
			note += s.LastFault
		}
		rows = append(rows, []string{s.Name, fmt.Sprint(s.Vehicles), fmt.Sprint(s.Reads), fmt.Sprint(s.Faults), fmt.Sprint(s.InFlight), p.rel(s.LastOK), p.note(note, 70)})
	}
	p.table([]string{"SOURCE", "VEHICLES", "READS", "FAULTS", "READING", "LAST OK", "NOTE"}, rows)
}

func showLanes(p *page, hooks []api.WebhookStatus) {
	if len(hooks) == 0 {
		p.line("no webhooks yet; add one: plugbeat webhook add")
		return
	}
	var rows [][]string
	for _, h := range hooks {
		w, lane := h.Webhook, h.Lane
		var notes []string
		next := "next attempt "
		if w.Health.Failing() {
			next = "next trial "
		}
		for _, t := range []struct {
			label string
			at    time.Time
		}{{next, lane.NextAttempt}, {"challenge ", lane.NextChallenge}} {
			if !t.at.IsZero() {
				notes = append(notes, t.label+p.next(t.at))
			}
		}
		if text := failureText(w.Health); text != "" {
			notes = append(notes, text)
		}
		rows = append(rows, []string{w.Name, api.WebhookView{Webhook: w, Derived: h.Derived}.Summary(), fmt.Sprint(lane.Waiting), p.rel(lane.Oldest), fmt.Sprint(lane.InFlight),
			fmt.Sprint(w.Ledger.Delivered), p.rel(w.Health.LastSuccess), p.note(strings.Join(notes, "; "), 80)})
	}
	p.table([]string{"WEBHOOK", "STATUS", "WAITING", "OLDEST", "SENDING", "DELIVERED", "LAST", "NOTE"}, rows)
}
