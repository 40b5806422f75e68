package smartcar

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"plugbeat/vehicle"
)

// object is a JSON object whose members are taken by their exact names.
// encoding/json would take "IsPluggedIn" for "isPluggedIn" and null for false.
type object map[string]json.RawMessage

// parseObject reads a JSON object and nothing behind it.
func parseObject(b []byte) (object, error) {
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, errors.New(notJSON(b))
	}
	if o == nil {
		return nil, errors.New("null instead of an object")
	}
	return o, nil
}

// notJSON says what an answer is that is not the JSON it should be.
func notJSON(b []byte) string {
	text := strings.TrimSpace(string(b[:min(len(b), 200)]))
	switch {
	case text == "":
		return "an empty answer instead of JSON"
	case strings.HasPrefix(text, "<"):
		return "HTML instead of JSON"
	case json.Valid(b):
		return "JSON of another shape than expected"
	}
	return "text that is not JSON"
}

// null reports whether a member is absent or null.
func (o object) null(name string) bool {
	v, ok := o[name]
	return !ok || string(v) == "null"
}

// number reads a member that must be a number from lo to hi.
func (o object) number(name string, lo, hi float64) (float64, error) {
	if o.null(name) {
		return 0, fmt.Errorf("%s is missing", name)
	}
	var f float64
	if err := json.Unmarshal(o[name], &f); err != nil {
		return 0, fmt.Errorf("%s is not a number", name)
	}
	if math.IsNaN(f) || f < lo || f > hi {
		return 0, fmt.Errorf("%s %v is not within %v to %v", name, f, lo, hi)
	}
	return f, nil
}

// text reads a member that must be a string.
func (o object) text(name string) (string, error) {
	if o.null(name) {
		return "", fmt.Errorf("%s is missing", name)
	}
	var s string
	if err := json.Unmarshal(o[name], &s); err != nil {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// flag reads a member that must be true or false.
func (o object) flag(name string) (bool, error) {
	if o.null(name) {
		return false, fmt.Errorf("%s is missing", name)
	}
	var b bool
	if err := json.Unmarshal(o[name], &b); err != nil {
		return false, fmt.Errorf("%s is neither true nor false", name)
	}
	return b, nil
}

// entry is the answer for one path, from a batch or from its own endpoint.
type entry struct {
	code   int
	body   json.RawMessage
	header func(name string) string // by lower-case name; "" where absent
	at     time.Time                // when the answer had arrived
	id     string                   // of the request
}

// batchBody is the request for several paths.
func batchBody(paths vehicle.Paths) []byte {
	var b strings.Builder
	b.WriteString(`{"requests":[`)
	for p := range paths.All() {
		if b.Len() > len(`{"requests":[`) {
			b.WriteByte(',')
		}
		b.WriteString(`{"path":"` + p.String() + `"}`)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// decodeOne puts the answer of a path's own endpoint into snap.
func decodeOne(snap *vehicle.Snapshot, p vehicle.Path, a *answer) {
	put(snap, p, entry{code: a.status, body: a.body, header: a.header.Get, at: a.at, id: snap.RequestID})
}

// decodeBatch puts a batch's answer into snap: each path asked for gets a value
// or a fault, others are passed over. The error means that nothing in the answer
// can be told apart.
func decodeBatch(snap *vehicle.Snapshot, paths vehicle.Paths, a *answer) error {
	whole := func(why string) error {
		f := vehicle.InvalidData("Smartcar answered " + why)
		f.RequestID, f.Final = snap.RequestID, json.Valid(a.body)
		return f
	}
	o, err := parseObject(a.body)
	if err != nil {
		return whole(err.Error())
	}
	if o.null("responses") {
		if f := disguised(o, entry{body: a.body, header: a.header.Get, at: a.at, id: snap.RequestID}); f != nil {
			return f
		}
		return whole("a batch without responses")
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(o["responses"], &raw); err != nil {
		return whole("a batch whose responses are not a list")
	}
	var seen vehicle.Paths
	for _, r := range raw {
		eo, err := parseObject(r)
		if err != nil {
			continue
		}
		name, err := eo.text("path")
		if err != nil {
			continue
		}
		p, ok := vehicle.ParsePath(name)
		if !ok || !paths.Has(p) {
			continue
		}
		if seen.Has(p) {
			snap.Fail(vehicle.PathsOf(p), invalid(p, errors.New("the path is answered twice"), snap.RequestID), a.at)
			continue
		}
		seen |= vehicle.PathsOf(p)
		code, err := eo.number("code", 100, 599)
		if err != nil || code != math.Trunc(code) {
			snap.Fail(vehicle.PathsOf(p), invalid(p, errors.New("code is not an HTTP status"), snap.RequestID), a.at)
			continue
		}
		put(snap, p, entry{code: int(code), body: eo["body"], header: headersOf(eo), at: a.at, id: snap.RequestID})
	}
	for p := range paths.All() {
		if !seen.Has(p) {
			snap.Fail(vehicle.PathsOf(p), invalid(p, errors.New("the batch has no answer for the path"), snap.RequestID), a.at)
		}
	}
	return nil
}

// headersOf reads an entry's headers, which a failed entry does not have.
func headersOf(o object) func(string) string {
	headers := map[string]string{}
	if raw, err := parseObject(o["headers"]); err == nil {
		for name, v := range raw {
			var text string
			if json.Unmarshal(v, &text) != nil {
				text = string(v) // a number, as some write retry-after
			}
			headers[strings.ToLower(name)] = text
		}
	}
	return func(name string) string { return headers[name] }
}

// put decodes one path's entry into its place in snap.
func put(snap *vehicle.Snapshot, p vehicle.Path, e entry) {
	fail := func(f *vehicle.Fault) { snap.Fail(vehicle.PathsOf(p), f, e.at) }
	if e.code < 200 || e.code > 299 {
		fail(faultOf(e))
		return
	}
	o, err := parseObject(e.body)
	if err != nil {
		f := invalid(p, err, e.id)
		f.Final = json.Valid(e.body)
		fail(f)
		return
	}
	switch p {
	case vehicle.PathCharge:
		snap.Charge, err = reading(o, e, chargeOf)
	case vehicle.PathBattery:
		snap.Battery, err = reading(o, e, batteryOf)
	case vehicle.PathLocation:
		snap.Location, err = reading(o, e, locationOf)
	}
	if err == nil {
		return
	}
	if f := disguised(o, e); f != nil {
		fail(f)
		return
	}
	fail(invalid(p, err, e.id))
}

// reading makes a reading of an entry's body.
func reading[T any](o object, e entry, decode func(object, entry) (T, error)) (vehicle.Reading[T], error) {
	v, err := decode(o, e)
	if err != nil {
		return vehicle.Reading[T]{}, err
	}
	fetched := instant(e.header("sc-fetched-at"), e.at)
	if fetched.IsZero() {
		fetched = e.at
	}
	return vehicle.Reading[T]{Value: v, OK: true, DataAge: instant(e.header("sc-data-age"), fetched), FetchedAt: fetched}, nil
}

// earliest is the oldest time that a header is believed to say.
var earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

// instant reads a header's time. What cannot be read or believed is unknown. A
// time later than latest, when the answer came or when the value was fetched, is
// that time: a clock that is fast must not make every later observation look old.
func instant(s string, latest time.Time) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	switch {
	case err != nil, t.Before(earliest):
		return time.Time{}
	case t.After(latest):
		return latest
	}
	return t.UTC()
}

// chargeOf takes the plug whatever the charging state is. A state that is null or not known
// stays empty. A vehicle that charges is plugged in, also where its plug is null.
func chargeOf(o object, _ entry) (vehicle.Charge, error) {
	c := vehicle.Charge{Plug: vehicle.Unplugged}
	if state, err := o.text("state"); err == nil {
		switch s := vehicle.ChargeState(state); s {
		case vehicle.Charging, vehicle.FullyCharged, vehicle.NotCharging:
			c.State = s
		}
	}
	in, err := o.flag("isPluggedIn")
	if err != nil && c.State != vehicle.Charging {
		return vehicle.Charge{}, err
	}
	if in || err != nil {
		c.Plug = vehicle.PluggedIn
	}
	return c, nil
}

// maxRange is the longest range believed, in kilometres or miles.
const maxRange = 10_000

// batteryOf takes the level whatever the range is: one that is missing, out of range or in
// a unit that is not known is nil.
func batteryOf(o object, e entry) (vehicle.Battery, error) {
	percent, err := o.number("percentRemaining", 0, 1)
	if err != nil {
		return vehicle.Battery{}, err
	}
	b := vehicle.Battery{PercentRemaining: percent}
	km, err := o.number("range", 0, maxRange)
	if err != nil {
		return b, nil //nolint:nilerr // the level stands without it
	}
	switch e.header("sc-unit-system") {
	case "", "metric":
		b.RangeKm = &km
	case "imperial":
		km *= 1.609344
		b.RangeKm = &km
	}
	return b, nil
}

func locationOf(o object, _ entry) (vehicle.Location, error) {
	lat, err := o.number("latitude", -90, 90)
	if err != nil {
		return vehicle.Location{}, err
	}
	lon, err := o.number("longitude", -180, 180)
	if err != nil {
		return vehicle.Location{}, err
	}
	return vehicle.Location{Latitude: lat, Longitude: lon}, nil
}

// invalid is the fault of an entry that is no value.
func invalid(p vehicle.Path, why error, id string) *vehicle.Fault {
	f := vehicle.InvalidData(fmt.Sprintf("Smartcar's answer for %s is not valid: %s", p, why))
	f.RequestID = id
	return f
}

// fault is the fault of an answer for a whole request.
func (a *answer) fault() *vehicle.Fault {
	return faultOf(entry{code: a.status, body: a.body, header: a.header.Get, at: a.at, id: a.requestID()})
}

// ok reports whether the whole request succeeded.
func (a *answer) ok() bool { return a.status == http.StatusOK }
