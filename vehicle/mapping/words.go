package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"plugbeat/vehicle"
)

// The words that inputs hold.
const (
	pluggedIn   = "plugged_in"
	unplugged   = "unplugged"
	charging    = "CHARGING"
	full        = "FULLY_CHARGED"
	notCharging = "NOT_CHARGING"
	online      = "online"
	offline     = "offline"
	silent      = "" // of a word that is known and tells nothing of the input
)

// The keys of the lists of words in a map.
const (
	keyPlugged     = "plugged"
	keyUnplugged   = "unplugged"
	keyCharging    = "charging"
	keyFull        = "full"
	keyNotCharging = "not_charging"
)

// kmPerMile is the international mile.
const kmPerMile = 1.609344

// list is one of an input's words with the publisher's words for it.
type list struct {
	// key is the list's in the map.
	key   string
	means string
	words []string
}

// refusedError says why a text is not taken.
type refusedError struct {
	// code is that of the [vehicle.Problem] where it persists.
	code, why string
	// lists are those in which the word is not.
	word  string
	lists []list
}

// Error implements error.
func (e *refusedError) Error() string { return e.why }

// oneOf takes a word of the lists, whatever its case.
func oneOf(lists ...list) taker {
	lists = slices.DeleteFunc(lists, func(l list) bool { return len(l.words) == 0 })
	return func(text string) (item, error) {
		for _, l := range lists {
			if slices.ContainsFunc(l.words, func(w string) bool { return strings.EqualFold(strings.TrimSpace(w), text) }) {
				return item{word: l.means}, nil
			}
		}
		var known []string
		for _, l := range lists {
			known = append(known, l.key+" "+flow(l.words))
		}
		return item{}, &refusedError{vehicle.ProblemWord, fmt.Sprintf("the word %s is in no list: there are %s", quoted(text),
			strings.Join(known, ", ")), text, lists}
	}
}

// quoted is a text of the far side in quotes, escaped and cut.
func quoted(text string) string {
	const most = 64
	cut := fmt.Sprintf("%.*q", most, text)
	if utf8.RuneCountInString(text) > most {
		cut += "..."
	}
	return cut
}

func outOfRange(format string, args ...any) error {
	return &refusedError{code: vehicle.ProblemRange, why: "out of range: " + fmt.Sprintf(format, args...)}
}

func plugWords(f Field) taker {
	if len(f.Plugged)+len(f.Unplugged) == 0 {
		f.Plugged, f.Unplugged = yes, no
	}
	return oneOf(list{keyPlugged, pluggedIn, f.Plugged}, list{keyUnplugged, unplugged, f.Unplugged})
}

// stateWords take the words for the charging state. Words for the plug in the same field say
// that the vehicle does not charge.
func stateWords(f Field) taker {
	if len(f.Charging)+len(f.Full)+len(f.NotCharging)+len(f.Plugged)+len(f.Unplugged) == 0 {
		f.Charging, f.NotCharging = yes, no
	}
	return oneOf(list{keyCharging, charging, f.Charging}, list{keyFull, full, f.Full}, list{keyNotCharging, notCharging, f.NotCharging},
		list{keyPlugged, notCharging, f.Plugged}, list{keyUnplugged, notCharging, f.Unplugged})
}

// cableWords take the plug from the words for the charging state: one that charges or is
// full is plugged in. A word that says only that it does not charge tells nothing.
func cableWords(f Field) taker {
	return oneOf(list{keyCharging, pluggedIn, f.Charging}, list{keyFull, pluggedIn, f.Full}, list{keyNotCharging, silent, f.NotCharging},
		list{keyPlugged, pluggedIn, f.Plugged}, list{keyUnplugged, unplugged, f.Unplugged})
}

func aliveWords(on, off []string) taker {
	if len(on)+len(off) == 0 {
		return func(string) (item, error) { return item{word: online}, nil }
	}
	return oneOf(list{online, online, on}, list{offline, offline, off})
}

// level takes a level as a fraction, 0 to 1.
func level(unit string) taker {
	return func(text string) (item, error) {
		f, err := number(text)
		if err != nil {
			return item{}, err
		}
		if unit != Fraction {
			f /= 100
		}
		if f < 0 || f > 1 {
			return item{}, outOfRange("a level in %s is 0 to %g", unit, map[bool]float64{true: 1, false: 100}[unit == Fraction])
		}
		return item{number: f}, nil
	}
}

// maxRange in km: farther than any vehicle goes, so that 999 miles of "unknown" and meters
// for kilometres are refused.
const maxRange = 1500

// distance takes a range as kilometres.
func distance(unit string) taker {
	return func(text string) (item, error) {
		f, err := number(text)
		if err != nil {
			return item{}, err
		}
		if unit == Miles {
			f *= kmPerMile
		}
		if f < 0 || f > maxRange {
			return item{}, outOfRange("%g km, and no vehicle goes farther than %d", f, maxRange)
		}
		return item{number: f}, nil
	}
}

func degrees(limit float64) taker {
	return func(text string) (item, error) {
		f, err := number(text)
		if err != nil {
			return item{}, err
		}
		if f < -limit || f > limit {
			return item{}, outOfRange("degrees are -%g to %g here", limit, limit)
		}
		return item{number: f}, nil
	}
}

// anyWord takes a text as it is; an empty one too, where that has a meaning.
func anyWord(text string) (item, error) { return item{word: text}, nil }

// instant takes seconds since 1970, of a topic that says when another value was recorded.
func instant(text string) (item, error) {
	f, err := number(text)
	if err == nil && f < float64(earliest.Unix()) {
		err = errors.New("a time before 2015")
	}
	return item{number: f}, err
}
