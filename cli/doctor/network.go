package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/terminal"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

const (
	// looksAtATime bounds the far ends looked at together, maxLooks those looked at.
	looksAtATime = 8
	maxLooks     = 100
	// soonExpired is how long before its end a certificate is told of.
	soonExpired = 14 * 24 * time.Hour
)

// target is a far end with what was seen of it.
type target struct {
	check, name string
	look        app.Look
}

// local reports whether the far end is on this machine.
func (t target) local() bool {
	for _, a := range t.look.Addresses {
		if !a.Address.IsLoopback() {
			return false
		}
	}
	return true
}

// remedies are what to do about a far end that is no receiver: where its name is not found,
// and where it does not answer. What to do about a receiver the look itself says.
var remedies = map[string]struct{ unnamed, silent string }{
	checkSource: {"check the host's name in the source's section of the config",
		"see whether the service behind the source runs and can be reached from here"},
	checkAlert: {"check the host's name in the section alerts of the config",
		"see whether the service that takes the alerts runs and can be reached from here"},
}

// checkFarEnds looks at receivers and sources, and at what they tell of the clock and
// the network.
func (d *doctor) checkFarEnds(ctx context.Context) {
	if d.cfg == nil {
		d.checkClock(nil)
		return
	}
	if !d.asked {
		d.warn(checkWebhook, "", sudo, "neither the daemon nor the data file tells which webhooks there are, so no receiver was looked at")
	}
	var targets []target
	if d.offline {
		d.ok(checkNetwork, "", "left alone: --offline")
	} else {
		targets = d.lookAround(ctx)
	}
	d.checkClock(targets)
	d.checkNames(targets)
	for _, name := range d.cfg.SourceNames() {
		s := d.cfg.Sources[name]
		if _, ok := s.Settings.(vehicle.Endpoints); !ok {
			d.ok(checkSource, name, "a %s, in the daemon's own process", s.Type)
		}
	}
	for _, t := range targets {
		d.judge(t)
	}
}

// lookAround looks at every far end, some at a time.
func (d *doctor) lookAround(ctx context.Context) []target {
	k, err := d.at.Looker(*d.cfg)
	if err != nil {
		d.problem(checkConfig, d.file, "", "%v", err)
		return nil
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	places := make(chan struct{}, looksAtATime)
	hooks := d.hooks
	if len(hooks) > maxLooks {
		d.warn(checkWebhook, "", "", "only the first %d of %d webhooks were looked at", maxLooks, len(hooks))
		hooks = hooks[:maxLooks]
	}
	sources := d.cfg.SourceNames()
	alerts := d.cfg.AlertNames()
	found := make([][]target, len(sources)+len(hooks)+len(alerts))
	look := func(i int, see func() []target) {
		work.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			seen := see()
			mu.Lock()
			defer mu.Unlock()
			found[i] = seen
		})
	}
	for i, name := range sources {
		look(i, func() (ts []target) {
			for _, l := range k.Endpoints(ctx, name) {
				ts = append(ts, target{checkSource, name, l})
			}
			return ts
		})
	}
	for i, h := range hooks {
		look(len(sources)+i, func() []target {
			return []target{{checkWebhook, h.name, k.Callback(ctx, h.uri, h.private)}}
		})
	}
	for i, name := range alerts {
		at, err := d.cfg.AlertURL(name)
		u, uerr := url.Parse(string(at))
		if err != nil || uerr != nil {
			continue // told with the secrets
		}
		// Its path may be what lets one write there: who looks needs the host only.
		origin := u.Scheme + "://" + u.Host + "/"
		look(len(sources)+len(hooks)+i, func() []target {
			return []target{{checkAlert, name, k.Callback(ctx, origin, d.cfg.Alerts[name].AllowPrivate)}}
		})
	}
	work.Wait()
	var all []target
	for _, f := range found {
		all = append(all, f...)
	}
	return all
}

// checkClock holds this machine's clock against those that answered, and against what
// the daemon heard.
func (d *doctor) checkClock(targets []target) {
	var seen []health.ClockHost
	for _, t := range targets {
		ahead, ok := adminapi.Skew(t.look.Header, t.look.Sent, t.look.Received)
		// A host on this machine has its clock: only when it says something else, as
		// one behind a tunnel may, does it tell.
		if ok && (ahead.Abs() > health.ClockWarning || !t.local()) {
			seen = append(seen, health.ClockHost{Host: t.look.Host, Ahead: ahead, At: t.look.Received, Answers: health.ClockAnswers})
		}
	}
	wrong := d.told(health.ClockOff)
	if !wrong {
		found := health.Judge(health.Facts{Now: d.now, Clocks: seen}).Conditions
		d.conditions(found)
		wrong = len(found) > 0
	}
	synchronised, known := d.at.ClockSynchronised()
	switch {
	case wrong:
	case len(seen) > 0:
		d.ok(checkClock, "", "it agrees with %s", words.Count(len(seen), "other host"))
	}
	switch {
	case known && !synchronised:
		d.warn(checkClock, "", "timedatectl set-ntp true", "the kernel says that no time service keeps it")
	case wrong || len(seen) > 0:
	case known:
		d.ok(checkClock, "", "a time service keeps it; no other host told the time")
	default:
		d.warn(checkClock, "", "compare it by hand: date -u", "no other host told the time")
	}
}

// checkNames tells of a resolver that does not answer.
func (d *doctor) checkNames(targets []target) {
	resolved, silent := 0, 0
	for _, t := range targets {
		switch {
		case t.look.Resolver:
			silent++
		case t.look.Named && t.look.Resolve == nil:
			resolved++
		}
	}
	switch {
	case silent > 0 && resolved == 0:
		d.problem(checkNetwork, "names", "look at /etc/resolv.conf and at the network: resolvectl status, ip route",
			"no resolver answers, so no name can be reached; the daemon runs and waits, and spends no retries meanwhile")
	case silent > 0:
		d.warn(checkNetwork, "names", "look at /etc/resolv.conf", "the resolver did not answer for %d of %d names", silent, silent+resolved)
	case resolved > 0:
		d.ok(checkNetwork, "names", "%s resolved", words.Count(resolved, "name"))
	}
}

// judge says what was seen of one far end.
func (d *doctor) judge(t target) {
	l := t.look
	say := func(result, mend, text string, args ...any) {
		d.add(t.check, t.name, result, mend, "%s", l.Host+" "+fmt.Sprintf(text, args...))
	}
	var denied []string
	for _, a := range l.Addresses {
		if a.Denied != "" {
			denied = append(denied, a.Denied)
		}
	}
	switch {
	case l.Resolver:
		say(resultProblem, "see the line on names", "cannot be looked up: %v", l.Resolve)
	case l.Resolve != nil:
		say(resultProblem, cmp.Or(remedies[t.check].unnamed, l.Cause), "cannot be looked up: %v", l.Resolve)
	case len(denied) > 0 && len(denied) == len(l.Addresses):
		say(resultProblem, "see the address check: plugbeat config describe delivery.allow", "is not sent to: %s", strings.Join(denied, "; "))
	case l.Reached():
		say(resultOK, "", "takes a connection")
	case !l.Answered():
		say(resultProblem, cmp.Or(remedies[t.check].silent, l.Cause), "does not answer: %v", l.Err)
	default:
		d.judgeAnswer(t, say)
	}
	if !l.Expires.IsZero() && l.Answered() && l.Expires.Sub(d.now) < soonExpired {
		say(resultWarning, "have it renewed", "has a certificate that ends in %s", words.Span(l.Expires.Sub(d.now)))
	}
}

// judgeAnswer says what the answer to a HEAD request tells: little, since a receiver
// takes POST.
func (d *doctor) judgeAnswer(t target, say func(result, mend, text string, args ...any)) {
	l := t.look
	switch status := l.Status; {
	case t.check != checkWebhook && status < 500:
		say(resultOK, "", "answers")
	case status == http.StatusNotImplemented: // of HEAD, as 405 is
		say(resultOK, "", "answers (%d to HEAD)", status)
	case status >= 500:
		say(resultWarning, "look at its log", "answers with %d", status)
	case status >= 300 && status < 400:
		say(resultWarning, "plugbeat webhook change "+words.Shell(t.name)+" --callback URI, with the final address",
			"redirects to %s, and redirects are never followed", terminal.OrDash(webhook.Redact(l.Header.Get("Location"))))
	default:
		say(resultOK, "", "answers (%d to HEAD)", status)
	}
}
