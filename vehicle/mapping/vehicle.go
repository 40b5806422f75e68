package mapping

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// Vehicle is the map of one vehicle, as the config has it.
type Vehicle struct {
	// ID is the native id: what the owner calls the vehicle at this source.
	ID string `yaml:"id"`
	// Name is what people call it; the ID where it is empty.
	Name  string `yaml:"name"`
	Make  string `yaml:"make"`
	Model string `yaml:"model"`
	Year  int    `yaml:"year"`
	VIN   string `yaml:"vin"`
	// UUID is the vehicle's id in plugbeat. Empty is one that is made of the source's name
	// and the ID; it has to be given where the source is to be renamed.
	UUID string `yaml:"uuid"`

	// Preset names a map that is written already, and With what is put into it.
	Preset string            `yaml:"preset"`
	With   map[string]string `yaml:"with"`

	Alive    *Alive    `yaml:"alive"`
	Plug     *Field    `yaml:"plug"`
	Charging *Field    `yaml:"charging"`
	Battery  *Field    `yaml:"battery"`
	Range    *Field    `yaml:"range"`
	Location *Location `yaml:"location"`
	// Latitude and Longitude take the place of Location where two topics say them.
	Latitude  *Field `yaml:"latitude"`
	Longitude *Field `yaml:"longitude"`

	// MaxAge is how long a value goes out after the far side last confirmed it. Zero is
	// the preset's, or 24 h.
	MaxAge time.Duration `yaml:"max_age"`
}

// Field is where one value is said, and by which words.
type Field struct {
	// Topic is an exact topic. A source that has documents only has none.
	Topic string `yaml:"topic"`
	// At leads to the value in a JSON document; empty where the payload is the value.
	At Pointer `yaml:"at"`
	// Where are members that the document has to have, by pointer, for the value to count.
	Where map[Pointer]string `yaml:"where"`
	// Time leads to when the vehicle recorded the value; empty where nobody says.
	Time Pointer `yaml:"time"`
	// Unit is that of a number: percent or fraction of a level, km or mi of a range.
	Unit string `yaml:"unit"`

	// Plugged and Unplugged are the words for the plug; Charging, Full and NotCharging those
	// for the charging state. Case does not count. A word in no list is unknown.
	Plugged     []string `yaml:"plugged"`
	Unplugged   []string `yaml:"unplugged"`
	Charging    []string `yaml:"charging"`
	Full        []string `yaml:"full"`
	NotCharging []string `yaml:"not_charging"`
}

// Location is where one document says both coordinates.
type Location struct {
	Topic string             `yaml:"topic"`
	Where map[Pointer]string `yaml:"where"`
	Time  Pointer            `yaml:"time"`
	// Latitude and Longitude lead to the coordinates, in decimal degrees.
	Latitude  Pointer `yaml:"latitude"`
	Longitude Pointer `yaml:"longitude"`
}

// Alive is where the publisher says that it is there.
type Alive struct {
	Topic string  `yaml:"topic"`
	At    Pointer `yaml:"at"`
	// Online and Offline are its words. Without words any message of the topic says that
	// it is there.
	Online  []string `yaml:"online"`
	Offline []string `yaml:"offline"`
}

// The units of numbers.
const (
	Percent  = "percent"
	Fraction = "fraction"
	Km       = "km"
	Miles    = "mi"
)

// defaultWords stand where a field has no words of its own.
var (
	yes = []string{"true", "on", "yes", "1"}
	no  = []string{"false", "off", "no", "0"}
)

// maxAge of a map that says nothing of it.
const maxAge = 24 * time.Hour

// Form is what the messages of a source are.
type Form int

// The forms of messages.
const (
	// Topics are messages of a broker; each field has the topic it is said in.
	Topics Form = iota
	// Documents are fetched; the topic of a field is the path of its document, empty for the
	// source's own URL.
	Documents
	// Posted are documents that come; a field has no topic.
	Posted
)

// Check returns what is wrong with the maps of a source; setting is the key of the list.
func Check(setting string, vehicles []Vehicle, form Form) []vehicle.Complaint {
	c := checker{form: form}
	seen := map[string]string{}
	for i, v := range vehicles {
		c.at = fmt.Sprintf("%s[%d]", setting, i)
		if v.ID == "" || strings.ContainsAny(v.ID, " \t\r\n") {
			c.complain("id", v.ID, "", "the vehicle's name at this source, without blanks")
		}
		if why := vehicle.WhyNoName(v.Name); why != "" && v.Name != "" {
			c.complain("name", v.Name, why, vehicle.NameForm+"; or leave it out")
		}
		if other, ok := seen[v.ID]; ok {
			c.complain("id", v.ID, other+" has it too", "an id of its own for each vehicle")
		}
		seen[v.ID] = c.at
		if _, err := uuid.Parse(v.UUID); err != nil && v.UUID != "" {
			c.complain("uuid", v.UUID, "", "a UUID, or leave it out")
		}
		c.vehicle(v)
	}
	return c.complaints
}

type checker struct {
	form       Form
	at         string
	complaints []vehicle.Complaint
}

func (c *checker) complain(key, value, why, allowed string) {
	c.complaints = append(c.complaints, vehicle.Complaint{Setting: c.at + "." + key, Value: value, Why: why, Allowed: allowed})
}

func (c *checker) vehicle(v Vehicle) {
	own := v.Plug != nil || v.Charging != nil || v.Battery != nil || v.Range != nil || v.Location != nil || v.Latitude != nil ||
		v.Longitude != nil
	switch {
	case v.Preset != "":
		c.preset(v)
	case !own:
		c.complain("preset", "", "the map is empty", "a preset ("+strings.Join(PresetNames(),
			", ")+"), or at least one of plug, charging, battery, range, location")
	case len(v.With) > 0:
		c.complain("with", "", "there is no preset to put it into", "leave it out, or name a preset")
	}
	if v.MaxAge < 0 || v.MaxAge > 0 && v.MaxAge < time.Minute {
		c.complain("max_age", v.MaxAge.String(), "", "a time of a minute or more, such as 24h")
	}
	c.field("plug", v.Plug, "", "")
	c.field("charging", v.Charging, "", "")
	c.field("battery", v.Battery, Percent, Fraction)
	c.field("range", v.Range, Km, Miles)
	c.field("latitude", v.Latitude, "", "")
	c.field("longitude", v.Longitude, "", "")
	if (v.Latitude == nil) != (v.Longitude == nil) {
		c.complain("latitude", "", "a place is both", "latitude and longitude, or location for a document that has both")
	}
	if l := v.Location; l != nil {
		c.topic("location", l.Topic)
		c.pointers("location", l.Time, l.Latitude, l.Longitude)
		c.where("location", l.Where)
		if l.Latitude == "" || l.Longitude == "" {
			c.complain("location", "", "", "latitude and longitude as JSON pointers, such as /lat and /lon")
		}
	}
	if a := v.Alive; a != nil {
		c.topic("alive", a.Topic)
		c.pointers("alive", a.At)
		c.once("alive", a.Online, a.Offline)
	}
}

func (c *checker) field(key string, f *Field, units ...string) {
	if f == nil {
		return
	}
	c.topic(key, f.Topic)
	c.pointers(key, f.At, f.Time)
	c.where(key, f.Where)
	if units[0] != "" && !slices.Contains(units, f.Unit) && f.Unit != "" {
		c.complain(key+".unit", f.Unit, "", strings.Join(units, " or "))
	}
	if units[0] != "" && f.Unit == "" {
		c.complain(key+".unit", "", "a number means nothing without it", strings.Join(units, " or "))
	}
	if units[0] == "" && f.Unit != "" {
		c.complain(key+".unit", f.Unit, "", "leave it out: only battery and range have one")
	}
	if key != "plug" && key != "charging" && len(f.Plugged)+len(f.Unplugged)+len(f.Charging)+len(f.Full)+len(f.NotCharging) > 0 {
		c.complain(key, "", "words are for plug and charging", "leave them out")
	}
	if (len(f.Plugged) == 0) != (len(f.Unplugged) == 0) {
		c.complain(key+".unplugged", "", "a plug has words for both", "plugged and unplugged, or neither for true/false, on/off, yes/no, 1/0")
	}
	c.once(key, f.Plugged, f.Unplugged)
	c.once(key, f.Charging, f.Full, f.NotCharging)
}

// once complains of a word in two lists.
func (c *checker) once(key string, lists ...[]string) {
	seen := map[string]int{}
	for i, list := range lists {
		for _, w := range list {
			w = strings.ToLower(strings.TrimSpace(w))
			if before, ok := seen[w]; ok && before != i {
				c.complain(key, w, "the word is in two lists, so that it means both", "each word in one list")
			}
			seen[w] = i
			if isNothing(w) {
				c.complain(key, w, "it says that there is no value", "leave it out: it is unknown by itself")
			}
		}
	}
}

func (c *checker) topic(key, topic string) {
	switch {
	case c.form == Posted && topic != "":
		c.complain(key+".topic", topic, "this source is sent documents, which have no topics", "leave it out")
	case c.form == Posted || c.form == Documents && topic == "":
	case c.form == Documents && !strings.HasPrefix(topic, "/"):
		c.complain(key+".topic", topic, "it is the path of a document at the source's url", "a path that begins with /")
	case topic == "":
		c.complain(key+".topic", "", "", "the exact topic, as plugbeat source discover or the publisher's pages show it")
	case strings.ContainsAny(topic, "+#"):
		c.complain(key+".topic", topic, "+ and # stand for many topics", "one exact topic")
	case strings.ContainsAny(topic, "\x00 \t\r\n") || len(topic) > 1024:
		c.complain(key+".topic", topic, "it has blanks, or is longer than 1024 bytes", "one exact topic")
	}
}

func (c *checker) pointers(key string, ps ...Pointer) {
	for _, p := range ps {
		if why := p.check(); why != "" {
			c.complain(key, string(p), why, "a JSON pointer, such as /battery/level")
		}
	}
}

func (c *checker) where(key string, where map[Pointer]string) {
	for p := range where {
		c.pointers(key+".where", p)
	}
}

func (c *checker) preset(v Vehicle) {
	p, ok := presets[v.Preset]
	if !ok {
		c.complain("preset", v.Preset, "there is none of the name", strings.Join(PresetNames(), ", "))
		return
	}
	for _, name := range slices.Sorted(mapKeys(v.With)) {
		if !slices.ContainsFunc(p.Params, func(q Param) bool { return q.Name == name }) {
			c.complain("with."+name, v.With[name], "the preset "+v.Preset+" does not know it", strings.Join(p.paramNames(), ", "))
		}
		if strings.ContainsAny(v.With[name], "+# \t\r\n\x00") {
			c.complain("with."+name, v.With[name], "", "a part of a topic, without blanks, + and #")
		}
	}
	if missing := p.missing(v.With); missing != "" {
		c.complain("with", "", "the preset "+v.Preset+" needs it", missing)
	}
}
