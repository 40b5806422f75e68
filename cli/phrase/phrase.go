// Package phrase says in one line what several topics show alike: how a webhook stands, a
// vehicle, a subscription, an attempt, a cost. Change a wording here and every command has it.
package phrase

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// NextProbe says what an active webhook with an open breaker waits for.
func NextProbe(p *terminal.Page, w *webhook.Webhook) string {
	switch b := &w.Breaker; {
	case !w.Failing():
		return "enabled, its probe is to arrive first"
	case b.Owed != "" || !b.NextProbe.After(p.Now):
		return "failing, a probe is due"
	default:
		return "failing, next probe " + p.Next(b.NextProbe)
	}
}

// Recovering says how far a recovery has come; empty when none goes on.
func Recovering(r *webhook.Recovery) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s; %d superseded and %d cancelled so far, nothing leaves until it is through", r.Policy, r.Superseded, r.Cancelled)
}

// CadenceOf is the cadence of a subscription and the state that chose it.
func CadenceOf(v adminapi.SubscriptionView) string {
	if v.Cadence == "" {
		return State(v.State)
	}
	if !v.WebhookType.Kind().FollowsPlug {
		return v.Cadence
	}
	return v.Cadence + " (" + State(v.State) + ")"
}

// ComeBack is the command that brings a webhook back that is not active.
func ComeBack(w *webhook.Webhook) string {
	if w.Status == webhook.Disabled && w.Reason != webhook.CallbackChanged {
		return "plugbeat webhook enable " + words.Shell(w.Name)
	}
	return "plugbeat webhook verify " + words.Shell(w.Name)
}

// Due says when a subscription fires next.
func Due(p *terminal.Page, v adminapi.SubscriptionView) string {
	if v.Parked {
		return "when the webhook is " + map[bool]string{true: "verified", false: "enabled"}[v.WebhookStatus == webhook.Unverified]
	}
	return p.Next(v.Due)
}

// Warn prints warnings, the first with a count where there are more than three.
func Warn(p *terminal.Page, warnings []string) {
	if n := len(warnings); n > 3 {
		p.Line("warning: %s (and %d more like it; all of them: --json)", words.Clean(warnings[0]), n-1)
		return
	}
	for _, w := range warnings {
		p.Line("warning: %s", words.Clean(w))
	}
}

// Costs prints what a cadence costs.
func Costs(p *terminal.Page, lines []string) {
	for _, l := range lines {
		p.Line("cost: %s", words.Clean(l))
	}
}

// Charge is what a reading says of charging and the plug.
func Charge(snap vehicle.Snapshot) string {
	r := snap.Charge
	if r.Fault != nil {
		return faultCode(r.Fault)
	}
	if !r.OK {
		return "-"
	}
	plug := map[vehicle.Plug]string{vehicle.PluggedIn: "plugged in", vehicle.Unplugged: "unplugged"}[r.Value.Plug]
	text := ChargeState(r.Value.State)
	if text == "" {
		return plug // the charging state is not known
	}
	if plug == "" || r.Value.State == vehicle.Charging || r.Value.State == vehicle.FullyCharged {
		return text
	}
	return text + ", " + plug
}

// Battery is what a reading says of the battery and the range.
func Battery(snap vehicle.Snapshot) string {
	r := snap.Battery
	if r.Fault != nil {
		return faultCode(r.Fault)
	}
	if !r.OK {
		return "-"
	}
	text := fmt.Sprintf("%.0f %%", r.Value.PercentRemaining*100)
	if r.Value.RangeKm != nil {
		text += fmt.Sprintf(" (%.0f km)", *r.Value.RangeKm)
	}
	return text
}

// Plug is the last known plug state, with the charging state that goes with it.
func Plug(st vehicle.Status) string {
	text := State(st.State)
	if st.State == vehicle.StatePluggedIn && (st.Charge == vehicle.Charging || st.Charge == vehicle.FullyCharged) {
		text += ", " + ChargeState(st.Charge)
	}
	return text
}

// Level is a level with its range; empty where there is none.
func Level(r vehicle.Reading[vehicle.Battery]) string {
	if !r.OK {
		return ""
	}
	return Battery(vehicle.Snapshot{Battery: r})
}

// Percent is a level without its range; empty where there is none.
func Percent(r vehicle.Reading[vehicle.Battery]) string {
	r.Value.RangeKm = nil
	return Level(r)
}

// Age is how long ago the time was; empty for none.
func Age(p *terminal.Page, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return words.Span(max(0, p.Now.Sub(t)))
}

// roomForID is the width from which a page shows whole ids of vehicles.
const roomForID = 120

// VehicleID is a vehicle's id or, where the terminal has no room for it, its beginning, which
// commands take as well.
func VehicleID(p *terminal.Page, id uuid.UUID) string {
	if p.Width == 0 || p.Width >= roomForID {
		return id.String()
	}
	return id.String()[:8]
}

// faultCode is a fault in one word for a table.
func faultCode(f *vehicle.Fault) string {
	if f.Code != "" {
		return f.Code
	}
	return f.Type
}

// Model is a vehicle by make, model and year; empty where none is known.
func Model(v vehicle.Vehicle) string {
	name := strings.TrimSpace(v.Make + " " + v.Model)
	if v.Year != 0 {
		name = strings.TrimSpace(fmt.Sprintf("%s %d", name, v.Year))
	}
	return name
}

// ChargeState is a charging state in words; empty for none.
func ChargeState(c vehicle.ChargeState) string {
	return strings.ToLower(strings.ReplaceAll(string(c), "_", " "))
}

// State is a vehicle's state in words.
func State(st vehicle.State) string { return strings.ReplaceAll(st.String(), "_", " ") }

// Attempts prints attempts, oldest first.
func Attempts(p *terminal.Page, attempts []webhook.Attempt) {
	var rows []terminal.Row
	for _, t := range attempts {
		rows = append(rows, terminal.Texts(fmt.Sprint(t.N), p.Rel(t.StartedAt), words.Took(t.Duration), string(t.Outcome), Answer(t),
			terminal.OrDash(t.Address)))
	}
	p.Table(terminal.Columns("N", "STARTED", "TOOK", "OUTCOME", "ANSWER", "ADDRESS"), rows)
}

// Answer is what came of an attempt, in words, with its likely cause.
func Answer(t webhook.Attempt) string {
	var s string
	switch {
	case t.Status != 0 && http.StatusText(t.Status) != "":
		s = fmt.Sprintf("%d %s", t.Status, http.StatusText(t.Status))
	case t.Status != 0:
		s = fmt.Sprint(t.Status)
	default:
		s = t.Error
	}
	if t.Cause != "" && t.Cause != s {
		s += ": " + t.Cause
	}
	return terminal.OrDash(s)
}

// Spending says what a source has cost, what its bucket holds, and what its webhooks'
// cadences cost.
func Spending(p *terminal.Page, s adminapi.Source) []string {
	c := s.Cost
	if c == nil {
		return nil
	}
	line := fmt.Sprintf("%s spent this %s", words.Count(int(c.Spent), "call"), c.Per) //nolint:gosec // a count
	if c.Budget > 0 {
		line = fmt.Sprintf("budget %d calls a %s for each vehicle; %d of %d spent; a new %s begins %s", c.Budget, c.Per, c.Spent,
			c.Budget*uint64(s.Vehicles), c.Per, p.Rel(c.Until)) //nolint:gosec // a count
	}
	if c.BucketSize > 0 {
		line += fmt.Sprintf("; %d of %d calls to be had at once", c.BucketLeft, c.BucketSize)
	}
	return append([]string{line}, c.Lines...)
}
