package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"plugbeat/words"
)

// Receivers of Standard Webhooks refuse a signature whose time is further from their
// own clock's than ClockTolerance; a clock that is ClockWarning off is told of before.
const (
	ClockTolerance = 5 * time.Minute
	ClockWarning   = time.Minute
)

// Skew returns how far this machine's clock is ahead of the one that wrote an
// answer's Date header, negative when it is behind. A Date has whole seconds and was
// written some time between sending and receiving; what that leaves open counts as
// none. It reports false for an answer that tells nothing: without a Date, or one
// from a cache.
func Skew(h http.Header, sent, received time.Time) (ahead time.Duration, ok bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" && h.Get("Age") != "0" {
		return 0, false
	}
	least, most := sent.Sub(date.Add(time.Second)), received.Sub(date)
	switch {
	case least > 0:
		return least, true
	case most < 0:
		return most, true
	}
	return 0, true
}

// Clock is what the clocks of others say of this machine's.
type Clock struct {
	// Hosts are those that answered within the last day, by name.
	Hosts []ClockHost `json:"hosts"`
}

// ClockHost is one host's clock.
type ClockHost struct {
	Host string `json:"host"`
	// Ahead is how far this machine's clock was ahead of the host's at the last
	// answer, in nanoseconds; negative when it was behind.
	Ahead time.Duration `json:"ahead"`
	// At is when that answer came; Answers counts those in a row that said about
	// the same.
	At      time.Time `json:"at"`
	Answers int       `json:"answers"`
}

// Trouble says in words what is wrong with the clock, and what to do about it; both
// are empty when nothing is. A host counts once it said the same in the given number
// of answers.
func (c Clock) Trouble(answers int) (what, mend string) {
	var off, right []ClockHost
	for _, h := range c.Hosts {
		switch {
		case h.Answers < answers:
		case h.Ahead.Abs() > ClockWarning:
			off = append(off, h)
		default:
			right = append(right, h)
		}
	}
	if len(off) == 0 {
		return "", ""
	}
	slices.SortStableFunc(off, func(a, b ClockHost) int { return cmp.Compare(a.Ahead, b.Ahead) })
	by := off[len(off)/2].Ahead
	var names []string
	for _, h := range off {
		names = append(names, h.Host)
	}
	slices.Sort(names)
	said := strings.Join(names[:min(3, len(names))], ", ")
	if len(names) > 3 {
		said += fmt.Sprintf(" and %d more", len(names)-3)
	}
	side := func(d time.Duration) string {
		d = d.Round(time.Minute) // a Date has whole seconds
		if d > 0 {
			return words.Span(d) + " ahead of"
		}
		return words.Span(-d) + " behind"
	}
	effect := "receivers refuse signatures that are more than 5m off"
	if by.Abs() > ClockTolerance {
		effect = "receivers refuse what it signs, since signatures may be 5m off"
	}
	const ours = "set this machine's clock: timedatectl set-ntp true"
	switch {
	case len(right) == 0 && len(off) == 1:
		return fmt.Sprintf("this machine's clock is %s that of %s, and no other host tells which of the two is wrong: %s", side(by), said, effect), ours + ", or tell who runs that host"
	case len(off) > len(right):
		return fmt.Sprintf("this machine's clock is %s that of %s: %s", side(by), said, effect), ours
	}
	return fmt.Sprintf("the clock of %s is wrong: this machine's is %s it, and %s with this machine's; such a receiver may refuse what is signed", said, side(by), agree(len(right))),
		"tell who runs it to set its clock"
}

func agree(n int) string {
	if n == 1 {
		return "1 other host agrees"
	}
	return fmt.Sprintf("%d other hosts agree", n)
}
