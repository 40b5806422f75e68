package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"plugbeat/adminapi"
	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// cost answers what a webhook costs, before there is one.
func (s *Server) cost(r *http.Request) (any, error) {
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
			return nil, &webhook.Invalid{Field: "fastest", Value: clip(text), Allowed: "true or false"}
		}
		w.Cadence.Fastest = fastest
	}
	if err := webhook.CheckType(w.Type); err != nil {
		return nil, err
	}
	if err := webhook.CheckContent(w.Type, w.Content); err != nil {
		return nil, err
	}
	if err := s.Policy.Check(&w); err != nil {
		return nil, err
	}
	cars, err := s.allVehicles(r.Context())
	if err != nil {
		return nil, err
	}
	return adminapi.Costs{Lines: s.costs(&w, cars)}, nil
}

// allVehicles returns every vehicle.
func (s *Server) allVehicles(ctx context.Context) (cars []vehicle.Vehicle, err error) {
	err = s.eachVehicle(ctx, func(v vehicle.Vehicle) error {
		cars = append(cars, v)
		return nil
	})
	return cars, err
}

// costs says what the webhook's cadence costs at each source that counts calls. The
// cars are those it may get; of their makes the dearest counts.
func (s *Server) costs(w *webhook.Webhook, cars []vehicle.Vehicle) []string {
	lines := []string{}
	for _, src := range s.Upkeep.Sources() {
		if src.Cost == nil {
			continue
		}
		if line := costLine(src, s.dearest(w, cars, src.Name)); line != "" {
			lines = append(lines, "source "+src.Name+": "+line)
		}
	}
	return lines
}

// demand is what a webhook asks for, of a car of one make: its schedules and the paths
// of a read.
type demand struct {
	unplugged, pluggedIn cadence.Schedule
	paths                vehicle.Paths
}

// dearest returns the schedules of the make among a source's cars that is read most
// often while plugged in; nil schedules for a cadence that is none.
func (s *Server) dearest(w *webhook.Webhook, cars []vehicle.Vehicle, source string) (most demand) {
	makes := []string{""}
	for _, v := range cars {
		if w.Cadence.Fastest && v.Source == source && !slices.Contains(makes, v.Make) {
			makes = append(makes, v.Make)
		}
	}
	for _, mk := range makes {
		unplugged, pluggedIn, err := s.Policy.For(w, mk)
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
	c := src.Cost
	plan := cadence.Plan{Metered: c.Metered, Calls: c.Budget, Per: cadence.Period(c.Per)}
	n := k.paths.Len()
	unplugged, pluggedIn := plan.Cost(k.unplugged, n), plan.Cost(k.pluggedIn, n)
	text := fmt.Sprintf("%s %s are %s calls a %s for each vehicle", pathsInWords[n], often(k.unplugged), grouped(unplugged), c.Per)
	if pluggedIn != unplugged {
		text += fmt.Sprintf(", %s while plugged in (%s)", grouped(pluggedIn), often(k.pluggedIn))
	}
	if !plan.Limited() {
		return text + fmt.Sprintf("; without a budget all of them are made: to keep within a plan, set sources.%s.budget", src.Name)
	}
	fits := fmt.Sprintf("%s calls a %s, %s every %s", grouped(c.Budget), c.Per, pathsInWords[n], span(plan.Every(n)))
	switch {
	case max(unplugged, pluggedIn) <= c.Budget:
		return text + "; that is within the budget of " + fits
	case unplugged <= c.Budget:
		text += "; while plugged in points are skipped to keep to the budget of " + fits
	default:
		text += "; points are skipped to keep to the budget of " + fits
	}
	if n == 1 {
		return text
	}
	return text + fmt.Sprintf("; /charge alone %s is %s", often(k.unplugged), grouped(plan.Cost(k.unplugged, 1)))
}

// bucketLine says of cars of a source that they need more calls an hour than it gives
// the whole application; empty when they do not.
func bucketLine(src adminapi.Source, k demand, cars int) string {
	if k.unplugged == nil || src.Cost == nil || src.Cost.BucketSize == 0 {
		return ""
	}
	need := float64(cadence.CallsPerMonth(k.unplugged, k.paths.Len())) / 730 * float64(cars)
	if need <= src.Cost.BucketHour {
		return ""
	}
	return fmt.Sprintf("source %s: %s, %s %s, need %.0f calls an hour and the source gives the application %.0f: they are read late, or less often",
		src.Name, words.Count(cars, "vehicle"), pathsInWords[k.paths.Len()], often(k.unplugged), need, src.Cost.BucketHour)
}

// subscribeCosts says what it costs to have the cars on the webhook.
func (s *Server) subscribeCosts(w *webhook.Webhook, cars []vehicle.Vehicle) []string {
	var lines []string
	for _, src := range s.Upkeep.Sources() {
		n := 0
		for _, v := range cars {
			if v.Source == src.Name {
				n++
			}
		}
		if n == 0 || src.Cost == nil {
			continue
		}
		k := s.dearest(w, cars, src.Name)
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

// addCosts tells at each source what the cadences of the webhooks that fire cost.
func (s *Server) addCosts(sources []adminapi.Source, hooks []webhook.Webhook) {
	for i := range sources {
		if sources[i].Cost == nil {
			continue
		}
		c := *sources[i].Cost // it may be somebody else's
		sources[i].Cost = &c
		c.Lines = nil
		names := map[string][]string{}
		var order []string
		for n := range hooks {
			if !hooks[n].Fires() {
				continue
			}
			line := costLine(sources[i], s.dearest(&hooks[n], nil, ""))
			if names[line] == nil {
				order = append(order, line)
			}
			names[line] = append(names[line], hooks[n].Name)
		}
		for n, line := range order {
			if n == maxCostLines {
				c.Lines = append(c.Lines, fmt.Sprintf("and %d more cadences", len(order)-n))
				break
			}
			who := "webhook " + names[line][0]
			if more := len(names[line]) - 1; more > 0 {
				who += fmt.Sprintf(" and %d more", more)
			}
			c.Lines = append(c.Lines, who+": "+line)
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

// span rounds a time for a person: 4.4 h, 26 min.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return strconv.FormatFloat(d.Hours()/24, 'f', 1, 64) + " days"
	case d >= 100*time.Minute:
		return strconv.FormatFloat(d.Hours(), 'f', 1, 64) + " h"
	case d >= 2*time.Minute:
		return strconv.FormatFloat(d.Minutes(), 'f', 0, 64) + " min"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 0, 64) + " s"
}

// grouped writes a number with spaces between its thousands.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
