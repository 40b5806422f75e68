package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"plugbeat/adminapi"
	"plugbeat/scheduler/cadence"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// costs tells what a cadence costs at sources that count calls, and warns of it.
type costs struct {
	upkeep Upkeep
	policy cadence.Policy
	store  Store
}

// check refuses a cadence that cannot be, and warns where it is faster than
// a connected vehicle's make stands. It also says what the cadence costs.
func (c costs) check(ctx context.Context, w *webhook.Webhook) (warnings, costs []string, err error) {
	if err := c.policy.Check(w); err != nil {
		return nil, nil, err
	}
	vs, err := web.AllVehicles(ctx, c.store)
	return c.faster(w, vs), c.of(w, vs), err
}

// faster holds one line per make, in the alphabet's order.
func (c costs) faster(w *webhook.Webhook, vs []vehicle.Vehicle) []string {
	var makes, lines []string
	for _, v := range vs {
		makes = append(makes, v.Make)
	}
	slices.Sort(makes)
	for _, m := range slices.Compact(makes) {
		if text := c.policy.Warn(w, m); text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// warnings are what a person should know who subscribes the vehicles to the webhook.
func (c costs) warnings(w *webhook.Webhook, vs []vehicle.Vehicle) []string {
	lines := c.faster(w, vs)
	if !w.Fires() {
		next := "plugbeat webhook enable "
		if w.Status == webhook.Unverified || w.Reason == webhook.CallbackChanged {
			next = "plugbeat webhook verify "
		}
		lines = append([]string{"webhook " + w.Name + " is " + string(w.Status) + ": nothing is delivered until you run: " + next +
			words.Shell(w.Name)}, lines...)
	}
	return lines
}

// ask answers what a webhook costs, before there is one.
func (c costs) ask(r *http.Request) (any, error) {
	q := r.URL.Query()
	w := webhook.Webhook{Type: webhook.Type(q.Get("type")), Cadence: webhook.Cadence{
		Every: q.Get("every"), Unplugged: q.Get("unplugged"), PluggedIn: q.Get("plugged_in"), Zone: q.Get("zone"),
	}}
	if w.Type == "" {
		w.Type = webhook.TypeDynamic
	}
	if text := q.Get("paths"); text != "" {
		w.Content.Paths = strings.Split(text, ",")
	}
	if text := q.Get("fastest"); text != "" {
		fastest, err := strconv.ParseBool(text)
		if err != nil {
			return nil, &webhook.Invalid{Field: "fastest", Value: web.Clip(text), Allowed: "true or false"}
		}
		w.Cadence.Fastest = fastest
	}
	if err := webhook.CheckType(w.Type); err != nil {
		return nil, err
	}
	if err := webhook.CheckContent(w.Type, w.Content); err != nil {
		return nil, err
	}
	if err := c.policy.Check(&w); err != nil {
		return nil, err
	}
	vs, err := web.AllVehicles(r.Context(), c.store)
	if err != nil {
		return nil, err
	}
	return adminapi.Costs{Lines: c.of(&w, vs)}, nil
}

// of says what the webhook's cadence costs at each source that counts calls. The
// vehicles are those it may get; of their makes the dearest counts.
func (c costs) of(w *webhook.Webhook, vs []vehicle.Vehicle) []string {
	lines := []string{}
	for _, src := range c.upkeep.Sources() {
		if src.Cost == nil {
			continue
		}
		if line := costLine(src, c.dearest(w, vs, src.Name)); line != "" {
			lines = append(lines, "source "+src.Name+": "+line)
		}
	}
	return lines
}

// demand is what a webhook asks for, of a vehicle of one make: its schedules and the paths
// of a read.
type demand struct {
	unplugged, pluggedIn cadence.Schedule
	paths                vehicle.Paths
}

// dearest returns the schedules of the make among a source's vehicles that is read most
// often while plugged in; nil schedules for a cadence that is none.
func (c costs) dearest(w *webhook.Webhook, vs []vehicle.Vehicle, source string) (most demand) {
	makes := []string{""}
	for _, v := range vs {
		if w.Cadence.Fastest && v.Source == source && !slices.Contains(makes, v.Make) {
			makes = append(makes, v.Make)
		}
	}
	for _, mk := range makes {
		unplugged, pluggedIn, err := c.policy.For(w, mk)
		if err != nil {
			return demand{}
		}
		if most.pluggedIn == nil || cadence.CallsPerMonth(pluggedIn, 1) > cadence.CallsPerMonth(most.pluggedIn, 1) {
			most = demand{unplugged, pluggedIn, w.Reads()}
		}
	}
	return most
}

// pathsInWords says how many paths a read asks for.
var pathsInWords = [...]string{"no paths", "one path", "two paths", "three paths"}

// costLine says what a cadence costs each vehicle of a source and what its budget
// reaches for. It is pure.
func costLine(src adminapi.Source, k demand) string {
	if k.unplugged == nil || src.Cost == nil {
		return ""
	}
	cost := src.Cost
	plan := cadence.Plan{Metered: cost.Metered, Calls: cost.Budget, Per: cadence.Period(cost.Per)}
	n := k.paths.Len()
	unplugged, pluggedIn := plan.Cost(k.unplugged, n), plan.Cost(k.pluggedIn, n)
	text := fmt.Sprintf("%s %s are %s calls a %s for each vehicle", pathsInWords[n], often(k.unplugged), grouped(unplugged), cost.Per)
	if pluggedIn != unplugged {
		text += fmt.Sprintf(", %s while plugged in (%s)", grouped(pluggedIn), often(k.pluggedIn))
	}
	if !plan.Limited() {
		return text + fmt.Sprintf("; without a budget all of them are made: to keep within a plan, set sources.%s.budget", src.Name)
	}
	fits := fmt.Sprintf("%s calls a %s, %s every %s", grouped(cost.Budget), cost.Per, pathsInWords[n], words.Span(plan.Every(n)))
	switch {
	case max(unplugged, pluggedIn) <= cost.Budget:
		return text + "; that is within the budget of " + fits
	case unplugged <= cost.Budget:
		text += "; while plugged in points are skipped to keep to the budget of " + fits
	default:
		text += "; points are skipped to keep to the budget of " + fits
	}
	if n == 1 {
		return text
	}
	return text + fmt.Sprintf("; /charge alone %s is %s", often(k.unplugged), grouped(plan.Cost(k.unplugged, 1)))
}

// bucketLine says of vehicles of a source that they need more calls an hour than it gives
// the whole application; empty when they do not.
func bucketLine(src adminapi.Source, k demand, vehicles int) string {
	if k.unplugged == nil || src.Cost == nil || src.Cost.BucketSize == 0 {
		return ""
	}
	need := float64(cadence.CallsPerMonth(k.unplugged, k.paths.Len())) / 730 * float64(vehicles)
	if need <= src.Cost.BucketHour {
		return ""
	}
	return fmt.Sprintf("source %s: %s, %s %s, need %.0f calls an hour and the source gives the application %.0f: "+
		"they are read late, or less often",
		src.Name, words.Count(vehicles, "vehicle"), pathsInWords[k.paths.Len()], often(k.unplugged), need, src.Cost.BucketHour)
}

// ofSubscribing says what it costs to have the vehicles on the webhook.
func (c costs) ofSubscribing(w *webhook.Webhook, vs []vehicle.Vehicle) []string {
	var lines []string
	for _, src := range c.upkeep.Sources() {
		n := 0
		for _, v := range vs {
			if v.Source == src.Name {
				n++
			}
		}
		if n == 0 || src.Cost == nil {
			continue
		}
		k := c.dearest(w, vs, src.Name)
		if line := costLine(src, k); line != "" {
			lines = append(lines, "source "+src.Name+": "+line)
		}
		if line := bucketLine(src, k, n); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// maxCostLines bounds the cadences that a status tells the cost of, per source.
const maxCostLines = 3

// addTo tells at each source what the cadences of the webhooks that fire cost.
func (c costs) addTo(sources []adminapi.Source, hooks []webhook.Webhook) {
	for i := range sources {
		if sources[i].Cost == nil {
			continue
		}
		cost := *sources[i].Cost // it may be somebody else's
		sources[i].Cost = &cost
		cost.Lines = nil
		names := map[string][]string{}
		var order []string
		for n := range hooks {
			if !hooks[n].Fires() {
				continue
			}
			line := costLine(sources[i], c.dearest(&hooks[n], nil, ""))
			if names[line] == nil {
				order = append(order, line)
			}
			names[line] = append(names[line], hooks[n].Name)
		}
		for n, line := range order {
			if n == maxCostLines {
				cost.Lines = append(cost.Lines, fmt.Sprintf("and %d more cadences", len(order)-n))
				break
			}
			who := "webhook " + names[line][0]
			if more := len(names[line]) - 1; more > 0 {
				who += fmt.Sprintf(" and %d more", more)
			}
			cost.Lines = append(cost.Lines, who+": "+line)
		}
	}
}

// often says a schedule in a sentence: "every 1h", "at 0 7 * * *".
func often(k cadence.Schedule) string {
	if s := k.String(); !strings.ContainsAny(s, " @") {
		return "every " + s
	}
	return "at " + k.String()
}

// grouped writes a number with spaces between its thousands.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
