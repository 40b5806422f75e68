package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"plugbeat/vehicle"
	"plugbeat/words"
)

const (
	// lateAfter is how long the most overdue vehicle of a source has been due when a person
	// should know: a third of the fastest cadence that is a default.
	lateAfter = 10 * time.Minute
	// spentShare is how many twentieths of a budget count as spent, and soonShare the part of
	// the period that must be left: the pace keeps a budget for its whole period, so what is
	// spent a tenth of it too early was spent by something beside the cadences.
	spentShare, soonShare = 19, 10
	// MaxOwners bounds the conditions about single vehicles; one more counts the rest.
	MaxOwners = 5
)

// sources judges every source.
func (j *judge) sources() {
	for i := range j.Sources {
		f := &j.Sources[i]
		s := Subject{Kind: Source, ID: f.Name, Name: f.Name}
		j.there(s, !f.LastOK.IsZero() || f.LastFault != "")
		if j.Stopping {
			j.there(s, false)
			continue
		}
		j.source(f, s)
		if f.Configured && f.down() == nil {
			j.maps(f, s)
		}
	}
}

func (j *judge) source(f *SourceFacts, s Subject) {
	rest := ""
	if f.NotBefore.After(j.Now) {
		rest = "it is not asked again for " + words.Span(f.NotBefore.Sub(j.Now))
	}
	switch {
	case !f.Configured:
		j.add(Condition{Code: SourceMissing, Subject: s, Text: fmt.Sprintf("source %s has %s and is not in the config: they are not read",
			f.Name, words.Count(f.Vehicles, "vehicle")),
			Remedy: "put it back into the config and restart the daemon, or disconnect its vehicles"})
	case f.down() != nil:
		p := f.down()
		j.add(Condition{Code: SourceDown, Subject: s, Since: p.Since, Stage: p.Code, Text: "source " + f.Name + ": " + p.Text, Remedy: p.Remedy})
	case f.LastFault != "" && f.LastOK.Before(f.LastFaultAt):
		c := Condition{Code: SourceDown, Subject: s, Text: fmt.Sprintf("source %s gave no value: %s (%s ago)", f.Name, f.LastFault,
			j.ago(f.LastFaultAt)),
			Remedy: "see which vehicles it concerns", Command: command("vehicle", "list")}
		if f.Silent {
			c.Remedy, c.Command = "see whether it can be reached from here", command("doctor")
		}
		if rest != "" {
			c.Text += "; " + rest
		}
		j.add(c)
	case rest != "":
		j.add(Condition{Code: SourceHeld, Subject: s, Text: fmt.Sprintf("source %s asked to be left alone: %s", f.Name, rest),
			Remedy: "wait; slower cadences, or a larger plan there, keep it from happening again"})
	case f.spentSoon(j.Now):
		c := f.Cost
		j.add(Condition{Code: SourceSpent, Subject: s, Remedy: "raise its budget, or ask for slower cadences",
			Text: fmt.Sprintf("source %s has spent %d of its %d calls and a new %s begins in %s: until then its vehicles are hardly read", f.Name,
				c.Spent, f.calls(), c.Per, words.Span(c.Until.Sub(j.Now)))})
	case !f.Due.IsZero() && j.Now.Sub(f.Due) > lateAfter:
		j.add(Condition{Code: SourceLate, Subject: s, Since: f.Due,
			Text:   fmt.Sprintf("source %s is %s late: more is due than it can read", f.Name, j.ago(f.Due)),
			Remedy: "raise its max_reads, or ask for slower cadences"})
	}
}

// down is what is wrong with the whole far side; nil for nothing.
func (f *SourceFacts) down() *vehicle.Problem {
	for i, p := range f.Problems {
		if p.Vehicle == "" {
			return &f.Problems[i]
		}
	}
	return nil
}

// unheard are the problems of vehicles that nothing is heard of. The others of a vehicle are about
// what its map does not take.
var unheard = []string{vehicle.ProblemOffline, vehicle.ProblemTopicSilent, vehicle.ProblemSilent, vehicle.ProblemStale}

// maps judges what a source tells of single vehicles: one condition for those that nothing is
// heard of, and one for what their maps do not take.
func (j *judge) maps(f *SourceFacts, s Subject) {
	found := map[Code][]vehicle.Problem{}
	for _, p := range f.Problems {
		switch {
		case p.Vehicle == "":
		case slices.Contains(unheard, p.Code):
			found[SourceSilent] = append(found[SourceSilent], p)
		default:
			found[SourceRefused] = append(found[SourceRefused], p)
		}
	}
	for _, code := range []Code{SourceSilent, SourceRefused} {
		ps := found[code]
		if len(ps) == 0 {
			continue
		}
		slices.SortStableFunc(ps, func(a, b vehicle.Problem) int { return a.Since.Compare(b.Since) })
		first := ps[0]
		text := "source " + f.Name + ": " + first.Text
		if more := len(ps) - 1; more > 0 {
			text += "; and " + words.Count(more, "more vehicle")
		}
		j.add(Condition{Code: code, Subject: s, Since: first.Since, Stage: first.Code, Of: len(ps), Text: text,
			Remedy: first.Remedy + "; see all of it", Command: command("source", "show", f.Name)})
	}
}

// spentSoon reports whether nearly all of a budget is spent while much of the period is left.
func (f *SourceFacts) spentSoon(now time.Time) bool {
	c := f.Cost
	if c == nil || f.calls() == 0 || c.Spent*20 < f.calls()*spentShare {
		return false
	}
	from := c.Until.AddDate(0, -1, 0)
	if c.Per == "day" {
		from = c.Until.AddDate(0, 0, -1)
	}
	return c.Until.Sub(now) > c.Until.Sub(from)/soonShare
}

// calls is what all vehicles of the source may cost together.
func (f *SourceFacts) calls() uint64 {
	return f.Cost.Budget * uint64(f.Vehicles) //nolint:gosec // not negative
}

// vehicles judges those that need their owner.
func (j *judge) vehicles() {
	first := j.Owners[:min(len(j.Owners), MaxOwners)]
	for _, v := range first {
		id, name := v.ID.String(), v.name()
		c := Condition{Code: VehicleOwner, Subject: Subject{Kind: Vehicle, ID: id, Name: name},
			Text:   fmt.Sprintf("vehicle %s cannot be read: %s", name, WhyUnread(v.Status)),
			Remedy: "see what its owner has to do", Command: command("vehicle", "show", id)}
		if f := v.TroubleFault(); f != nil {
			again := f.Resolution == vehicle.ResolveReauthenticate
			if again {
				c.Remedy, c.Command = "its owner gives access again", command("vehicle", "connect", "--source", v.Source)
			}
			if f.ResolutionURL != "" {
				c.Remedy = "its owner opens " + f.ResolutionURL
				if again {
					c.Remedy += ", or gives access again"
				} else {
					c.Command = ""
				}
			}
		}
		j.add(c)
	}
	more := j.NeedsOwner - len(first)
	// The key of the group is the fleet's: it is known to be well where every vehicle in
	// trouble is listed.
	j.known[rules[VehicleOwner].group] = more <= 0
	if more > 0 {
		j.add(Condition{Code: VehicleOwner, Subject: Subject{Kind: Fleet}, Of: more, Stage: strconv.Itoa(more),
			Text: words.Count(more, "more vehicle") + " cannot be read until the owner does something", Remedy: "see which",
			Command: command("vehicle", "list")})
	}
}

// name is what people call a vehicle.
func (v VehicleFacts) name() string {
	return strings.TrimSpace(v.OwnName() + " " + v.ID.String()[:8])
}

// held judges vehicles that their source refuses for long.
func (j *judge) held() {
	for _, v := range j.Held[:min(len(j.Held), MaxOwners)] {
		wait := v.NotBefore.Sub(j.Now)
		if wait < heldFor || v.NotBeforeFault == nil {
			continue
		}
		name := v.name()
		j.add(Condition{Code: VehicleHeld, Subject: Subject{Kind: Vehicle, ID: v.ID.String(), Name: name},
			Text: fmt.Sprintf("vehicle %s is not read for %s, because its source asked for it: %s", name, words.Span(wait),
				words.Line(v.NotBeforeFault.Error())),
			Remedy: "wait, or have it read all the same", Command: command("vehicle", "read", "--ignore-retry-after", v.ID.String())})
	}
}

// WhyUnread says why a vehicle in trouble cannot be read.
func WhyUnread(st vehicle.Status) string {
	if f := st.TroubleFault(); f != nil {
		return words.Line(f.Error())
	}
	return "its account, permission or plan does not let it be read"
}
