package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
	"plugbeat/words"
)

// longWait is how old an active webhook's oldest waiting delivery is when a person
// should look at it: the receiver refuses some vehicle's payloads.
const longWait = 10 * time.Minute

// lateRead is how far behind the due queue of a source is when a person should know.
const lateRead = 10 * time.Minute

// maxCars bounds the lines about single vehicles.
const maxCars = 5

// ClockAnswers is how often in a row a host must have said the same of the clock for
// it to count.
const ClockAnswers = 2

// attention lists what a person should look at first, most urgent first: what
// stops everything, what stops a webhook, what stops a source, what stops a car.
// Each line says what is wrong and what to do. cars are the first of those that need
// their owner. It is pure.
func attention(st api.Status, cars []api.VehicleView, now time.Time) []string {
	lines := []string{}
	add := func(format string, args ...any) { lines = append(lines, oneLine(fmt.Sprintf(format, args...))) }
	if st.Stopping {
		flying := 0
		for _, h := range st.Webhooks {
			flying += h.Queue.InFlight
		}
		reading := 0
		for _, src := range st.Sources {
			reading += src.InFlight
		}
		add("plugbeat is stopping: it waits for what is in flight (%s, %s), at most for the time of grace, and begins nothing new", words.Count(flying, "delivery"), words.Count(reading, "read"))
	}
	switch st.Store.State {
	case webhook.DiskFull:
		add("the disk is full: nothing is read or delivered until there is space for %s", st.Store.Path)
	case webhook.DiskReadOnly:
		add("the disk is read-only: nothing is read or delivered until %s can be written; see the kernel's log for why, then mount it for writing", st.Store.Path)
	}
	for _, part := range st.NotReady {
		if part == diskFull || part == diskReadOnly || part == stopping {
			continue // told above
		}
		add("not ready: %s; look at the daemon's log", part)
	}
	if free, low := st.Store.DiskFreeBytes, st.Store.MinFreeBytes; st.Store.State == webhook.DiskNearlyFull && free < low {
		add("the disk is nearly full: %d MiB are free where %s is and %d should be (retention.min_free); when none is left nothing is read or delivered: make room", free>>20, st.Store.Path, low>>20)
	}
	if m := st.Store.MaxBytes; m > 0 && st.Store.LiveBytes > m/10*9 {
		add("the data file holds %d of at most %d MiB: above that, waiting deliveries expire, oldest first; bring the receivers back or raise retention.max_size", st.Store.LiveBytes>>20, m>>20)
	}
	if what, mend := st.Clock.Trouble(ClockAnswers); what != "" {
		add("%s; %s", what, mend)
	}
	for _, h := range st.Webhooks {
		if h.Queue.Paused != "" {
			add("webhook %s waits because of this machine's own trouble: %s; no retry is spent; see: plugbeat doctor", h.Webhook.Name, h.Queue.Paused)
		}
	}
	if b := st.Backup; b != nil && b.Failed != "" {
		last := "there is no good one in " + b.Folder
		if !b.Last.IsZero() {
			last = "the last good one is " + words.Span(now.Sub(b.Last)) + " old"
		}
		add("the scheduled backup failed %s ago: %s; %s", words.Span(now.Sub(b.FailedAt)), b.Failed, last)
	}
	for _, line := range alertLines(&st) {
		add("%s", line)
	}
	hooks := slices.Clone(st.Webhooks)
	slices.SortStableFunc(hooks, func(a, b api.WebhookStatus) int { return cmp.Compare(urgency(&a.Webhook), urgency(&b.Webhook)) })
	for _, h := range hooks {
		if line := webhookLine(h, now); line != "" {
			add("%s", line)
		}
	}
	if m := st.ManagementToken; m != nil {
		add("%s", rotationLine(m))
	}
	if n := st.DeadToday; n > 0 {
		add("%d deliveries died in the last 24 hours: their receivers refused them; see: plugbeat delivery list --state dead", n)
	}
	for _, src := range st.Sources {
		if line := sourceLine(src, now); line != "" && !st.Stopping {
			add("%s", line)
		}
	}
	for _, c := range cars {
		add("%s", carLine(c))
	}
	if more := st.Vehicles.Restricted - len(cars); more > 0 {
		add("%d more vehicles need their owner; see: plugbeat vehicle list", more)
	}
	if len(st.Webhooks) > 0 && st.Vehicles.Total > 0 && st.Subscriptions == 0 {
		add("no vehicle is subscribed to a webhook, so nothing is read; run: plugbeat subscribe %s --all", shellWord(st.Webhooks[0].Webhook.Name))
	}
	return lines
}

// urgency orders webhooks: disabled, failing, unverified, the rest; those that an
// operator disabled himself come last.
func urgency(w *webhook.Webhook) int {
	switch {
	case w.Status == webhook.Disabled && w.Reason == webhook.ByOperator:
		return 4
	case w.Status == webhook.Disabled:
		return 0
	case w.Failing():
		return 1
	case w.Status == webhook.Unverified:
		return 2
	}
	return 5
}

// rotationLine says how far the rotation of the management token is.
func rotationLine(m *api.ManagementToken) string {
	var without []string
	for _, h := range m.Webhooks {
		if h.Has != api.HasNext {
			without = append(without, shellWord(h.Name))
		}
	}
	line := "the management token is being replaced"
	switch n := len(without); {
	case n > maxCars:
		return fmt.Sprintf("%s: %d receivers have not answered with the next one; see: plugbeat token rotate-management", line, n)
	case n > 0:
		return fmt.Sprintf("%s: not yet with the next one: %s; see: plugbeat token rotate-management", line, strings.Join(without, ", "))
	}
	return line + " and every receiver has the next one; when the callers have it too, run: plugbeat token rotate-management --finish"
}

// webhookLine is empty for a webhook that is well.
func webhookLine(h api.WebhookStatus, now time.Time) string {
	w, name := &h.Webhook, shellWord(h.Webhook.Name)
	about := cmp.Or(w.ReasonText, w.Breaker.LastAnswer)
	if about != "" {
		about = ": " + about
	}
	waiting := ""
	if h.Queue.Waiting > 0 {
		waiting = fmt.Sprintf("; %d waiting", h.Queue.Waiting)
	}
	switch {
	case w.Status == webhook.Disabled:
		since := ""
		if !w.StatusSince.IsZero() {
			since = " for " + words.Span(now.Sub(w.StatusSince))
		}
		head := fmt.Sprintf("webhook %s is disabled (%s)%s%s%s; ", w.Name, w.Reason, since, about, waiting)
		switch w.Reason {
		case webhook.CallbackChanged:
			return head + "run: plugbeat webhook verify " + name
		case webhook.Exhausted:
			next := "when its receiver answers a challenge"
			if w.Breaker.NextChallenge.After(now) {
				next += " (next in " + words.Span(w.Breaker.NextChallenge.Sub(now)) + ")"
			}
			return head + "it comes back by itself " + next + ", or run: plugbeat webhook enable " + name
		}
		return head + "run: plugbeat webhook enable " + name
	case w.Failing():
		next := ""
		if w.Breaker.NextProbe.After(now) {
			next = "; next probe in " + words.Span(w.Breaker.NextProbe.Sub(now))
		}
		if h.Queue.DisabledAt.After(now) {
			next += ", disabled in " + words.Span(h.Queue.DisabledAt.Sub(now)) + " if nothing changes"
		}
		return fmt.Sprintf("webhook %s is failing for %s%s%s%s; see: plugbeat delivery list --webhook %[6]s; once mended, try now: plugbeat webhook enable %[6]s",
			w.Name, words.Span(now.Sub(w.Breaker.OpenSince)), about, waiting, next, name)
	case w.Status == webhook.Unverified:
		return fmt.Sprintf("webhook %s is not verified, so nothing is delivered to it; run: plugbeat webhook verify %s", w.Name, name)
	case !h.Queue.Oldest.IsZero() && now.Sub(h.Queue.Oldest) > longWait:
		return fmt.Sprintf("webhook %s takes deliveries, but not all%s, the oldest for %s; see: plugbeat delivery list --webhook %s --state waiting",
			w.Name, waiting, words.Span(now.Sub(h.Queue.Oldest)), name)
	case w.KeyOverlap != nil && now.Before(w.KeyOverlap.Until):
		return fmt.Sprintf("webhook %s signs with its old key and its new one for %s more; once its receiver has the new one, run: plugbeat webhook rotate-key %s --finish",
			w.Name, words.Span(w.KeyOverlap.Until.Sub(now)), name)
	}
	return ""
}

// sourceLine is empty for a source that is well.
func sourceLine(src api.Source, now time.Time) string {
	wait := ""
	if src.NotBefore.After(now) {
		wait = "; it is not asked again for " + words.Span(src.NotBefore.Sub(now))
	}
	late := now.Sub(src.Due)
	switch {
	case src.Trouble():
		return fmt.Sprintf("source %s: %s (%s ago)%s", src.Name, src.LastFault, words.Span(now.Sub(src.LastFaultAt)), wait)
	case wait != "":
		return fmt.Sprintf("source %s rests%s", src.Name, wait)
	case spentEarly(src, now):
		return fmt.Sprintf("source %s has spent %s of its %s calls and a new %s begins in %s: until then its vehicles are hardly read; raise its budget, or ask for slower cadences",
			src.Name, grouped(src.Cost.Spent), grouped(src.Cost.Budget*uint64(src.Vehicles)), src.Cost.Per, words.Span(src.Cost.Until.Sub(now))) //nolint:gosec // not negative
	case !src.Due.IsZero() && late > lateRead:
		return fmt.Sprintf("source %s is %s late: more is due than it can read; raise its max_reads, or ask for slower cadences", src.Name, words.Span(late))
	}
	return ""
}

// spentEarly reports whether nearly all of a source's budget is spent while more than a
// tenth of the period is left: applications read more than the pace allows for.
func spentEarly(src api.Source, now time.Time) bool {
	c := src.Cost
	if c == nil || c.Budget == 0 || src.Vehicles <= 0 {
		return false
	}
	tenth := 73 * time.Hour
	if c.Per == "day" {
		tenth = 144 * time.Minute
	}
	return c.Spent*20 >= c.Budget*uint64(src.Vehicles)*19 && c.Until.Sub(now) > tenth
}

// carLine says why a car of account, permission or billing trouble gives nothing.
func carLine(c api.VehicleView) string {
	f := c.Status.Last.Fault(vehicle.PathCharge)
	do := "see: plugbeat vehicle show " + c.Vehicle.ID.String()
	switch {
	case f != nil && f.ResolutionURL != "":
		do = "its owner opens " + f.ResolutionURL
		if f.Resolution == vehicle.ResolveReauthenticate && c.Vehicle.Connection != "" {
			do += ", or gives access again: plugbeat vehicle connect --source " + c.Vehicle.Source
		}
	case f != nil && f.Resolution == vehicle.ResolveReauthenticate:
		do = "its owner gives access again: plugbeat vehicle connect --source " + c.Vehicle.Source
	}
	return fmt.Sprintf("vehicle %s (%s %s): %s; %s", c.Vehicle.ID, c.Vehicle.Make, c.Vehicle.Model, whyUnread(c.Status), do)
}

// whyUnread says why a vehicle in trouble cannot be read.
func whyUnread(st vehicle.Status) string {
	if f := st.Last.Fault(vehicle.PathCharge); f != nil {
		return f.Error()
	}
	return "its account, permission or plan does not let it be read"
}

// oneLine keeps what receivers and vendors said from breaking a line, or a
// terminal.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
