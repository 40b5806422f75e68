package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/terminal"
	"plugbeat/egress"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// contentFlags are the flags of what a webhook's type lets be chosen.
func contentFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "events", Usage: "`EVENTS` of type eventBased, as started,stopped,completed (default: all)"},
		&ucli.StringFlag{Name: "every", Usage: "`CADENCE` of type schedule: daily, \"2 weeks\", 6h or a cron expression"},
		&ucli.StringFlag{Name: "paths", Usage: "`ENDPOINTS` of type schedule, as charge,battery (default: all)"},
		&ucli.StringFlag{Name: "unit-system", Usage: "unit of ranges: `metric|imperial` (default: the daemon's)"},
		&ucli.StringFlag{Name: "event-name", Usage: "eventName of type schedule: `schedule|scheduled`"},
	}
}

// changedContent is the content with the flags that were typed; false when none was.
func changedContent(c *ucli.Context, old webhook.Content) (webhook.Content, bool) {
	set := false
	take := func(flag string, to func(string)) {
		if c.IsSet(flag) {
			set = true
			to(c.String(flag))
		}
	}
	take("paths", func(v string) { old.Paths = pathsOf(v) })
	take("events", func(v string) { old.EventTypes = eventsOf(v) })
	take("unit-system", func(v string) { old.UnitSystem = v })
	take("event-name", func(v string) { old.EventName = v })
	return old, set
}

// pathsOf reads a list of endpoints as a person types it, with or without slashes. What
// is none stays as it is, for the check to name it.
func pathsOf(text string) (paths []string) {
	for _, word := range listOf(text) {
		if p, ok := vehicle.ParsePath(word); ok {
			word = p.String()
		}
		paths = append(paths, word)
	}
	return paths
}

// eventsOf reads a list of events as a person types it: started for CHARGING_STARTED.
func eventsOf(text string) (events []webhook.EventType) {
	for _, word := range listOf(text) {
		e := webhook.EventType(word)
		for _, known := range webhook.EventTypes {
			if strings.EqualFold(word, string(known)) || strings.EqualFold("CHARGING_"+word, string(known)) {
				e = known
			}
		}
		events = append(events, e)
	}
	return events
}

// listOf parts words at commas and spaces.
func listOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// checkContent refuses, before the daemon is asked, what the type cannot have.
func checkContent(t webhook.Type, c webhook.Content) error {
	if err := webhook.CheckContent(t, c); err != nil {
		return &terminal.UsageError{Text: err.Error()}
	}
	return nil
}

// needsMore reports whether the type needs a setting that was not given.
func needsMore(n *adminapi.NewWebhook) bool {
	return !n.Type.Kind().FollowsPlug && n.Cadence.Every == ""
}

// askType asks for the type.
func askType(ctx context.Context, p *terminal.Prompter) (webhook.Type, error) {
	var names []string
	for _, t := range webhook.Types {
		names = append(names, string(t))
	}
	v, err := p.Ask(ctx, "type ("+strings.Join(names, ", ")+")", string(webhook.TypeDynamic),
		func(v string) error { return webhook.CheckType(webhook.Type(v)) })
	return webhook.Type(v), err
}

// askContent asks for what the type needs or lets be chosen, but for what flags said.
func askContent(ctx context.Context, c *ucli.Context, a *adminapi.Client, p *terminal.Prompter, n *adminapi.NewWebhook) (err error) {
	kind := n.Type.Kind()
	if !kind.FollowsPlug && n.Cadence.Every == "" {
		if n.Cadence.Every, err = p.Ask(ctx, "how often (hourly, daily, weekly, monthly, \"2 weeks\", or a cron expression)", "daily",
			checkEvery(ctx, a, n.Type)); err != nil {
			return err
		}
	}
	if !kind.FollowsPlug && len(strings.Fields(n.Cadence.Every)) == 5 && n.Cadence.Zone == "" {
		if n.Cadence.Zone, err = p.Ask(ctx, "time zone of the expression, as Europe/Berlin (nothing for the daemon's)", "",
			checkZone); err != nil {
			return err
		}
	}
	if kind.ChoosesPaths && !c.IsSet("paths") {
		all := strings.ReplaceAll(kind.Reads.String(), "/", "")
		text, err := p.Ask(ctx, "endpoints", all, func(v string) error {
			if len(listOf(v)) == 0 {
				return errors.New("at least one of " + all)
			}
			return webhook.CheckContent(n.Type, webhook.Content{Paths: pathsOf(v)})
		})
		if err != nil {
			return err
		}
		if text != all {
			n.Content.Paths = pathsOf(text)
		}
	}
	if kind.Events && !c.IsSet("events") {
		text, err := p.Ask(ctx, "events", "started stopped completed", func(v string) error {
			if len(listOf(v)) == 0 {
				return errors.New("at least one of started, stopped, completed")
			}
			return webhook.CheckContent(n.Type, webhook.Content{EventTypes: eventsOf(v)})
		})
		if err != nil {
			return err
		}
		if events := eventsOf(text); len(events) < len(webhook.EventTypes) {
			n.Content.EventTypes = events
		}
	}
	if kind.ChoosesPaths && !c.IsSet("unit-system") {
		n.Content.UnitSystem, err = p.Ask(ctx, "unit system (metric, imperial; nothing for the daemon's)", "", func(v string) error {
			return webhook.CheckContent(n.Type, webhook.Content{UnitSystem: v})
		})
	}
	return err
}

// checkEvery refuses what is no cadence for the daemon, which is asked.
func checkEvery(ctx context.Context, a *adminapi.Client, t webhook.Type) func(string) error {
	return func(every string) error {
		_, err := a.Cost(ctx, adminapi.NewWebhook{Type: t, Cadence: webhook.Cadence{Every: every}})
		return refusalOf(err, adminapi.CodeInvalid)
	}
}

// checkName refuses what is no name, and the name of a webhook that there is.
func checkName(ctx context.Context, a *adminapi.Client) func(string) error {
	return func(name string) error {
		if name == "" {
			return errors.New("a name is needed; commands will know the webhook by it")
		}
		if err := webhook.CheckName(name); err != nil {
			return err
		}
		if _, err := a.Webhook(ctx, name); err == nil {
			return fmt.Errorf("there is a webhook %s already; choose another name", name)
		}
		return nil
	}
}

// refusalOf is the daemon's refusal of that code. Any other error is no reason to ask again:
// the command meets it at its end.
func refusalOf(err error, code adminapi.Code) error {
	if e, ok := errors.AsType[*adminapi.Error](err); ok && e.Code == code {
		return e
	}
	return nil
}

// checkZone refuses what is no zone of this machine's table; the daemon has its own.
func checkZone(v string) error {
	if _, err := time.LoadLocation(v); err != nil || v == "Local" {
		return &webhook.Invalid{Field: "zone", Value: v, Allowed: "a name of the IANA time zone database, such as Europe/Berlin"}
	}
	return nil
}

// carries says what the deliveries of a webhook carry that its type lets be chosen;
// empty where nothing was.
func carries(w *webhook.Webhook) [][2]string {
	paths := ""
	if w.Type.Kind().ChoosesPaths {
		paths = w.Reads().String()
	}
	var events []string
	for _, e := range webhook.EventTypes {
		if w.Tells(&webhook.Event{Type: e}) {
			events = append(events, string(e))
		}
	}
	return [][2]string{{"paths", paths}, {"events", strings.Join(events, " ")}, {"event name", w.Content.EventName},
		{"unit system", w.Content.UnitSystem}}
}

// lookupTime bounds the resolving of a callback's name.
const lookupTime = 2 * time.Second

// consent decides whether a webhook may reach private and loopback addresses, also
// those of this machine and its networks: the flag where it is given, a question
// on a terminal where the callback is such an address, else no. Elsewhere such a
// callback without the flag is an error, since it would never receive anything.
func (s commands) consent(ctx context.Context, c *ucli.Context, p *terminal.Prompter, callback string) (bool, error) {
	if c.IsSet("allow-private") {
		return c.Bool("allow-private"), nil
	}
	addr, class := privateAddress(ctx, callback)
	if class == "" {
		return false, nil
	}
	if p == nil {
		return false, &terminal.UsageError{
			Text: fmt.Sprintf("the callback's address %s is %s, which plugbeat sends to only on request", addr, class),
			Hint: "add --allow-private; or --allow-private=false when the config's delivery.allow lists it",
		}
	}
	return p.Confirm(ctx, fmt.Sprintf("the callback's address %s is %s; may plugbeat send to such addresses for this webhook", addr, class),
		false)
}

// privateAddress returns the first address of the callback's host that needs
// consent and its class, or empty texts. A name that does not resolve here is left
// to the daemon, which checks every address as it dials.
func privateAddress(ctx context.Context, callback string) (addr, class string) {
	u, err := url.Parse(callback)
	if err != nil {
		return "", ""
	}
	host := u.Hostname()
	var addrs []netip.Addr
	if ip, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{ip}
	} else if h := strings.TrimSuffix(strings.ToLower(host), "."); h == "localhost" || strings.HasSuffix(h, ".localhost") {
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	} else {
		ctx, cancel := context.WithTimeout(ctx, lookupTime)
		defer cancel()
		addrs, _ = app.LookupHost(ctx, host)
	}
	for _, ip := range addrs {
		if class := egress.NeedsConsent(ip); class != "" {
			return ip.Unmap().String(), class
		}
	}
	return "", ""
}
