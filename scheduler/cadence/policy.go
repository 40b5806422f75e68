package cadence

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"plugbeat/webhook"
)

// The cadence of every make where nothing else is set.
const (
	DefaultUnplugged = "1h"
	DefaultPluggedIn = "30m"
)

// Policy picks the schedules of a webhook and a make.
type Policy struct {
	// Default stands in for what a webhook's cadence leaves empty. What Default leaves empty is
	// 1h unplugged, 30m plugged in, UTC. Its Fastest applies to no webhook.
	Default webhook.Cadence
	// Floor is the fastest cadence allowed, 0 is [DefaultFloor].
	Floor time.Duration
	// Makes is the table of makes, nil is [BuiltinMakes]. Keys are normalised by
	// Ready.
	Makes map[string]Make

	parsed *sync.Map // specKey to Schedule
}

type specKey struct{ spec, zone string }

// Ready returns the policy with its table of makes normalised and a cache of parsed
// specifications, which copies of it share. A policy that is used for more than one check should
// be ready. The default cadence must be valid.
func (p Policy) Ready() (Policy, error) {
	makes := p.Makes
	if makes == nil {
		makes = BuiltinMakes()
	}
	p.Makes = make(map[string]Make, len(makes))
	for name, m := range makes {
		p.Makes[NormalMake(name)] = m
	}
	p.parsed = &sync.Map{}
	if err := p.Check(&webhook.Webhook{}); err != nil {
		return Policy{}, fmt.Errorf("default cadence: %w", err)
	}
	return p, nil
}

// Check reports whether a webhook may have its cadence. An error is a
// *webhook.Invalid whose field is cadence.every, cadence.unplugged,
// cadence.plugged_in, cadence.fastest or cadence.zone.
func (p Policy) Check(w *webhook.Webhook) error {
	_, _, err := p.For(w, "")
	return err
}

// For returns the schedules of a webhook's subscription for a vehicle of the make, one for each
// plug state. Both are the same where the webhook's type does not follow the plug. The error is
// that of Check.
func (p Policy) For(w *webhook.Webhook, mk string) (unplugged, pluggedIn Schedule, err error) {
	zone := or(w.Cadence.Zone, p.Default.Zone)
	if !w.Type.Kind().FollowsPlug {
		unplugged, err = p.fixed(w, zone)
		return unplugged, unplugged, err
	}
	if w.Cadence.Every != "" {
		return nil, nil, noSetting("cadence.every", w.Cadence.Every, w, "cadence.unplugged and cadence.plugged_in")
	}
	if unplugged, err = p.parse("cadence.unplugged", or(w.Cadence.Unplugged, p.Default.Unplugged, DefaultUnplugged), zone); err != nil {
		return nil, nil, err
	}
	if pluggedIn, err = p.parse("cadence.plugged_in", or(w.Cadence.PluggedIn, p.Default.PluggedIn, DefaultPluggedIn), zone); err != nil {
		return nil, nil, err
	}
	if w.Cadence.Fastest {
		if m, ok := p.lookup(mk); ok && m.Fastest > 0 {
			every := max(m.Fastest, p.floor())
			pluggedIn = interval{every: every, spec: short(every)}
		}
	}
	return unplugged, pluggedIn, nil
}

// fixed returns the schedule of a webhook that does not follow the plug.
func (p Policy) fixed(w *webhook.Webhook, zone string) (Schedule, error) {
	switch c := w.Cadence; {
	case c.Unplugged != "":
		return nil, noSetting("cadence.unplugged", c.Unplugged, w, "cadence.every")
	case c.PluggedIn != "":
		return nil, noSetting("cadence.plugged_in", c.PluggedIn, w, "cadence.every")
	case c.Fastest:
		return nil, noSetting("cadence.fastest", "true", w, "cadence.every")
	}
	return p.parse("cadence.every", w.Cadence.Every, zone)
}

func noSetting(field, value string, w *webhook.Webhook, instead string) error {
	return &webhook.Invalid{Field: field, Value: clip(value),
		Allowed: fmt.Sprintf("nothing, since a webhook of type %s goes by %s", or(string(w.Type), string(webhook.TypeDynamic)), instead)}
}

// Warn says in words where a webhook's cadence is faster than vehicles of the make can take; empty
// means it is not. The default cadence of 1h and 30m gets no warning, and an invalid cadence has
// none: Check has its error.
func (p Policy) Warn(w *webhook.Webhook, mk string) string {
	m, ok := p.lookup(mk)
	unplugged, pluggedIn, err := p.For(w, mk)
	if !ok || err != nil {
		return ""
	}
	text := ""
	tell := func(state string, s Schedule, stands, usual time.Duration) {
		if stands <= 0 || stands > usual {
			stands = usual
		}
		if shortest(s, stands) >= stands {
			return
		}
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("%s %s is faster than the %s recommended for %s", state, s, short(stands), mk)
	}
	if w.Type.Kind().FollowsPlug {
		tell("unplugged", unplugged, m.Unplugged, time.Hour)
		tell("plugged_in", pluggedIn, m.Fastest, 30*time.Minute)
	} else {
		tell("every", unplugged, m.Unplugged, time.Hour)
	}
	if text != "" && m.Note != "" {
		text += ": " + m.Note
	}
	return text
}

// CallsPerMonth returns how many calls a month of 730 hours costs one vehicle at
// a source that counts each path of a read: three paths hourly are 2 190.
func CallsPerMonth(s Schedule, paths int) uint64 {
	year := s.Count(sampleFrom, sampleFrom, sampleFrom.Add(12*730*time.Hour)) * uint64(max(0, paths))
	return (year + 6) / 12
}

// lookup finds a make whatever its spelling.
func (p Policy) lookup(mk string) (Make, bool) {
	name := NormalMake(mk)
	if p.parsed != nil {
		m, ok := p.Makes[name]
		return m, ok
	}
	makes := p.Makes
	if makes == nil {
		makes = BuiltinMakes()
	}
	for n, m := range makes {
		if NormalMake(n) == name {
			return m, true
		}
	}
	return Make{}, false
}

func (p Policy) floor() time.Duration {
	if p.Floor <= 0 {
		return DefaultFloor
	}
	return p.Floor
}

func (p Policy) parse(field, spec, zone string) (Schedule, error) {
	key := specKey{spec, zone}
	if p.parsed != nil {
		if s, ok := p.parsed.Load(key); ok {
			return s.(Schedule), nil
		}
	}
	s, err := Parse(spec, zone, p.Floor)
	if err != nil {
		if bad, ok := errors.AsType[*webhook.Invalid](err); ok {
			if bad.Field == "zone" {
				field = "cadence.zone"
			}
			bad.Field = field
		}
		return nil, err
	}
	// The cache holds only what parses, and specifications come only from stored webhooks
	// and the configuration. So the cache is no larger than those.
	if p.parsed != nil {
		p.parsed.Store(key, s)
	}
	return s, nil
}

func or(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
