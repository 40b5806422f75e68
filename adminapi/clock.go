package adminapi

import (
	"net/http"
	"time"

	"plugbeat/health"
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
	Hosts []health.ClockHost `json:"hosts"`
}
