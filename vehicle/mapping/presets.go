package mapping

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Param is what is put into a preset's map: the "with" of a vehicle.
type Param struct {
	Name string
	// Default is what it is where it is not given; a parameter without one is needed,
	// unless it is Optional.
	Default  string
	Optional bool
	// Example is a value of one that has no default.
	Example string
	Doc     string
	// found are topics, with + for a level, that it may stand for at a broker that is asked
	// what it offers; none for the Default, or for one level.
	found []string
}

// preset is a map that is written here: the form that a person would write, and what a
// person cannot, the inputs and the judge of programs that speak of charge points.
type preset struct {
	Doc    string
	Params []Param
	// make is the brand of all its vehicles; empty where they have several.
	make string
	// named is the topic that says what people call the vehicle; empty for none.
	named string
	// alternatives names two parameters of which exactly one is needed.
	alternatives [2]string
	// vehicle is the map; {name} in its topics stands for a parameter.
	vehicle Vehicle
	// joined are inputs beyond those of a map.
	joined []binding
	// judge is nil for the plain one.
	judge        func(with map[string]string) judge
	maxAge       time.Duration
	maxAgeOnline time.Duration
	// silentAfter is how long the program stays silent while it runs, at most; zero where
	// nobody knows.
	silentAfter time.Duration
	// unkept is true where no broker keeps what is said.
	unkept bool
	// silent is true where a word of the publisher's connection vouches for no value.
	silent bool
}

// presets by name.
var presets = map[string]preset{
	"teslamate":       teslamate,
	"evcc":            evcc,
	"openwb":          openwb,
	"ovms":            ovms,
	"fleet-telemetry": fleetTelemetry,
}

// PresetNames lists the presets of a source that has topics.
func PresetNames() []string { return slices.Sorted(mapKeys(presets)) }

// teslamate asks the plug of two topics, since TeslaMate derives plugged_in: while the state
// is not known it says true. Its message healthy comes with every look at the vehicle.
var teslamate = preset{
	Doc: "TeslaMate, by the topics teslamate/cars/N/...",
	Params: []Param{{Name: "car", Example: "1", Doc: "TeslaMate's number of the vehicle, often 1"},
		{Name: "prefix", Default: "teslamate", Doc: "teslamate, or teslamate/NAMESPACE", found: []string{"teslamate", "teslamate/+"}}},
	make: "TESLA", named: "{prefix}/cars/{car}/display_name",
	vehicle: Vehicle{
		Alive: &Alive{Topic: "{prefix}/cars/{car}/healthy"},
		Plug:  &Field{Topic: "{prefix}/cars/{car}/plugged_in", Plugged: []string{"true"}, Unplugged: []string{"false"}},
		Charging: &Field{Topic: "{prefix}/cars/{car}/charging_state", Charging: []string{"Charging"}, Full: []string{"Complete"},
			Plugged: []string{"Stopped", "NoPower", "Starting", "Calibrating"}, Unplugged: []string{"Disconnected"}},
		Battery:  &Field{Topic: "{prefix}/cars/{car}/battery_level", Unit: Percent},
		Range:    &Field{Topic: "{prefix}/cars/{car}/rated_battery_range_km", Unit: Km},
		Location: &Location{Topic: "{prefix}/cars/{car}/location", Latitude: "/latitude", Longitude: "/longitude"},
	},
	maxAge: 24 * time.Hour, silentAfter: 30 * time.Minute,
}

// ovms says nothing of the time of a value. It sends all of them every twenty minutes while
// the module is connected.
var ovms = preset{
	Doc: "an OVMS v3 module, by the topics of its server v3",
	Params: []Param{{Name: "prefix", Example: "ovms/alice/LEAF", found: []string{"+/+/+"},
		Doc: "the topic's prefix without a slash at its end, such as ovms/alice/LEAF"}},
	vehicle: Vehicle{
		Alive: &Alive{Topic: "{prefix}/metric/s/v3/connected", Online: []string{"yes"}, Offline: []string{"no"}},
		Plug:  &Field{Topic: "{prefix}/metric/v/c/pilot", Plugged: []string{"yes"}, Unplugged: []string{"no"}},
		Charging: &Field{Topic: "{prefix}/metric/v/c/state", Charging: []string{"charging", "topoff"}, Full: []string{"done"},
			NotCharging: []string{"prepare", "timerwait", "heating", "stopped"}},
		Battery:  &Field{Topic: "{prefix}/metric/v/b/soc", Unit: Percent},
		Range:    &Field{Topic: "{prefix}/metric/v/b/range/est", Unit: Km},
		Latitude: &Field{Topic: "{prefix}/metric/v/p/latitude"}, Longitude: &Field{Topic: "{prefix}/metric/v/p/longitude"},
	},
	joined: []binding{
		{input: inPort, topic: "{prefix}/metric/v/d/cp", take: plugWords(Field{})},
		{input: inCharges, topic: "{prefix}/metric/v/c/charging", take: oneOf(list{keyCharging, charging, yes},
			list{keyNotCharging, notCharging, no})},
		{input: inFix, topic: "{prefix}/metric/v/p/gpslock", take: oneOf(list{"fix", "fix", yes}, list{"no fix", "no fix", no})},
	},
	judge:  func(map[string]string) judge { return judgeOVMS },
	maxAge: 24 * time.Hour, maxAgeOnline: time.Hour, silent: true,
}

// fleetTelemetry is not kept by the broker unless its server is set to; nothing is sent
// while the vehicle sleeps.
var fleetTelemetry = preset{
	Doc:    "Tesla's fleet-telemetry server, by its MQTT dispatcher",
	Params: []Param{{Name: "vin", Example: "5YJ3E1EA0TEST0001", Doc: "the vehicle's VIN"}, {Name: "base", Default: "telemetry", Doc: "the server's topic_base"}},
	make:   "TESLA",
	vehicle: Vehicle{
		Charging: &Field{Topic: "{base}/{vin}/v/DetailedChargeState", Charging: []string{"DetailedChargeStateCharging"},
			Full:      []string{"DetailedChargeStateComplete"},
			Plugged:   []string{"DetailedChargeStateNoPower", "DetailedChargeStateStarting", "DetailedChargeStateStopped"},
			Unplugged: []string{"DetailedChargeStateDisconnected"}},
		Battery:  &Field{Topic: "{base}/{vin}/v/BatteryLevel", Unit: Percent},
		Range:    &Field{Topic: "{base}/{vin}/v/RatedRange", Unit: Miles},
		Location: &Location{Topic: "{base}/{vin}/v/Location", Latitude: "/latitude", Longitude: "/longitude"},
	},
	maxAge: 24 * time.Hour, unkept: true,
}

// evcc speaks of charge points; which vehicle is there is its guess.
var evcc = preset{
	Doc: "evcc, by its topics of charge points",
	Params: []Param{{Name: "vehicle", Optional: true, Example: "zoe", Doc: "evcc's name of the vehicle"},
		{Name: "loadpoint", Optional: true, Doc: "a charge point, from 1, where no other vehicle charges"},
		{Name: "topic", Default: "evcc", Doc: "evcc's mqtt.topic"}},
	named:        "{topic}/vehicles/{vehicle}/title",
	alternatives: [2]string{"vehicle", "loadpoint"},
	vehicle:      Vehicle{Alive: &Alive{Topic: "{topic}/updated"}},
	joined: []binding{
		{input: inPlug, topic: "{topic}/loadpoints/+/connected", take: plugWords(Field{})},
		{input: inCharging, topic: "{topic}/loadpoints/+/charging", take: stateWords(Field{})},
		{input: inBattery, topic: "{topic}/loadpoints/+/vehicleSoc", take: level(Percent)},
		{input: inRange, topic: "{topic}/loadpoints/+/vehicleRange", take: distance(Km)},
		{input: inName, topic: "{topic}/loadpoints/+/vehicleName", take: anyWord},
		{input: inDetecting, topic: "{topic}/loadpoints/+/vehicleDetectionActive", take: oneOf(list{"detecting", "detecting", yes},
			list{"detected", "detected", no})},
		{input: inLimit, topic: "{topic}/loadpoints/+/effectiveLimitSoc", take: level(Percent)},
		{input: inOwnLimit, topic: "{topic}/loadpoints/+/vehicleLimitSoc", take: level(Percent)},
		{input: inStatus, topic: "{topic}/status", take: aliveWords([]string{"online"}, []string{"offline"})},
	},
	judge:  func(with map[string]string) judge { return judgeEVCC(with["vehicle"], with["loadpoint"]) },
	maxAge: 5 * time.Minute, silentAfter: 5 * time.Minute,
}

// openwb assigns vehicles to charge points, whether or not they are plugged in there.
var openwb = preset{
	Doc:    "openWB 2, by its topics of charge points and vehicles",
	Params: []Param{{Name: "vehicle", Example: "1", Doc: "openWB's number of the vehicle"}},
	named:  "openWB/vehicle/{vehicle}/name",
	vehicle: Vehicle{Battery: &Field{Topic: "openWB/vehicle/{vehicle}/get/soc", Unit: Percent},
		Range: &Field{Topic: "openWB/vehicle/{vehicle}/get/range", Unit: Km}},
	joined: []binding{
		{input: inAlive, topic: "openWB/chargepoint/+/get/plug_state", take: aliveWords(nil, nil)},
		{input: inPlug, topic: "openWB/chargepoint/+/get/plug_state", take: plugWords(Field{})},
		{input: inCharging, topic: "openWB/chargepoint/+/get/charge_state", take: stateWords(Field{})},
		{input: inName, topic: "openWB/chargepoint/+/get/connected_vehicle/info", at: "/id", take: anyWord},
		{input: inInstant, topic: "openWB/vehicle/{vehicle}/get/soc_timestamp", take: instant},
	},
	judge:  func(with map[string]string) judge { return judgeOpenWB(with["vehicle"]) },
	maxAge: 15 * time.Minute, silentAfter: 5 * time.Minute,
}

// values are the parameters, those that are not given with their defaults.
func (p preset) values(with map[string]string) map[string]string {
	values := map[string]string{}
	for _, q := range p.Params {
		values[q.Name] = cmp.Or(with[q.Name], q.Default)
	}
	return values
}

// topics puts the parameters into a topic.
func (p preset) topics(with map[string]string) *strings.Replacer {
	var pairs []string
	for name, v := range p.values(with) {
		pairs = append(pairs, "{"+name+"}", v)
	}
	return strings.NewReplacer(pairs...)
}

// plan is the preset of the name with its parameters put in.
func (p preset) plan(name string, with map[string]string) plan {
	fill := p.topics(with)
	made := plan{judge: plain, maxAge: p.maxAge, maxAgeOnline: p.maxAgeOnline, silentAfter: p.silentAfter, unkept: p.unkept, vouches: !p.silent}
	if p.judge != nil {
		made.judge = p.judge(p.values(with))
	}
	for _, b := range p.bindings() {
		b.topic, b.preset = fill.Replace(b.topic), name
		made.bindings = append(made.bindings, b)
	}
	return made
}

// bindings are the preset's, with the parameters still in their topics.
func (p preset) bindings() []binding {
	bs := bindingsOf(p.vehicle)
	for _, b := range p.joined {
		b.joined = true
		bs = append(bs, b)
	}
	return bs
}

func (p preset) paramNames() (names []string) {
	for _, q := range p.Params {
		names = append(names, q.Name)
	}
	return names
}

// missing says in words which parameter is needed, empty for none.
func (p preset) missing(with map[string]string) string {
	if a := p.alternatives; a[0] != "" && (with[a[0]] == "") == (with[a[1]] == "") {
		return "exactly one of " + a[0] + " and " + a[1]
	}
	for _, q := range p.Params {
		if q.Default == "" && !q.Optional && with[q.Name] == "" {
			return q.Name + ": " + q.Doc
		}
	}
	return ""
}
