package cadence

import (
	"strings"
	"time"
	"unicode"
)

// Make is how often the vehicles and servers of a make can be read without harm.
type Make struct {
	// Fastest is the shortest sensible interval while plugged in; a webhook with
	// "fastest" uses it.
	Fastest time.Duration
	// Unplugged is the shortest sensible interval while unplugged; 0 is 1 h.
	Unplugged time.Duration
	// Note says why a faster setting is unwise; it ends a warning. It may be empty.
	Note string
}

// NormalMake removes everything but letters and makes them upper case, so that
// "Land Rover", "LAND_ROVER" and "LAND-ROVER" are one make.
func NormalMake(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, s)
}

// BuiltinMakes returns a new copy of the table that comes with plugbeat, keyed by
// normalised name. A make that is not in it has no interval faster than the
// setting.
//
// The table rests on two kinds of evidence; the slower one wins. The first is how soon Smartcar
// says that fresh data of a brand arrives: within 5 minutes gives 5, within 10 gives 10.
// Anything slower or unknown gives 30, which Smartcar advises for every brand. Where a brand
// has two regions, the slower counts. The second is what owners and vendors report of limits:
// daily quotas of requests, locked accounts, drained 12 V batteries. A price alone is no
// evidence: it is left to the operator.
func BuiltinMakes() map[string]Make {
	const (
		fresh5  = 5 * time.Minute
		fresh10 = 10 * time.Minute
		half    = 30 * time.Minute
	)
	m := map[string]Make{}
	add := func(fastest, unplugged time.Duration, note string, names ...string) {
		for _, n := range names {
			m[n] = Make{Fastest: fastest, Unplugged: unplugged, Note: note}
		}
	}
	// Fresh within 5 minutes and no tighter limit known.
	add(fresh5, time.Hour, "", "BYD", "POLESTAR", "RIVIAN")
	add(fresh5, time.Hour, "each read is billed by the maker", "TESLA")
	// Fresh within 3 minutes, and a rate limit per user for which a quarter of an
	// hour is the advice.
	add(15*time.Minute, time.Hour, "the maker limits requests per user", "VOLVO")
	// Some 480 requests a day and cached answers: 10 and 30 minutes fit. The brand's
	// American vehicles would be faster; the region is not known.
	add(fresh10, half, "the maker allows about 480 requests a day", "VOLKSWAGEN", "AUDI", "SKODA", "CUPRA", "SEAT")
	// Fresh within 10 minutes and no tighter limit known.
	add(fresh10, time.Hour, "", "INFINITI", "LEXUS", "MAZDA", "MERCEDESBENZ")
	// Fresh within 10 minutes, but the limits are tighter.
	add(half, time.Hour, "the maker allows about 50 requests a day and account", "BMW", "MINI")
	add(half, time.Hour, "the maker is known to ban accounts that read often",
		"ALFAROMEO", "CHRYSLER", "CITROEN", "DODGE", "DS", "FIAT", "JEEP", "OPEL", "PEUGEOT", "RAM", "VAUXHALL")
	add(half, time.Hour, "frequent reads drain the 12 V battery and lock the account", "FORD", "LINCOLN")
	add(half, time.Hour, "reading the location may notify the driver", "NISSAN")
	add(half, time.Hour, "frequent reads drain the 12 V battery", "SUBARU")
	// About 20 requests a day reach the vehicle; between them the same cached answer
	// comes again.
	add(half, time.Hour, "about 20 requests a day reach the vehicle, the others return the same data", "HYUNDAI", "KIA")
	// Fresh after half an hour or later.
	add(half, time.Hour, "its vehicles send data every 15 to 30 minutes", "JAGUAR", "LANDROVER", "HONDA")
	add(half, time.Hour, "its vehicles send data every 30 to 45 minutes at most", "BUICK", "CADILLAC", "CHEVROLET", "GMC")
	add(half, time.Hour, "its vehicles send data every 30 to 60 minutes",
		"ACURA", "DACIA", "MG", "PORSCHE", "RENAULT", "TOYOTA")
	return m
}
