package admin

import "plugbeat/server/web"

// Line is a line of the table of routes.
type Line struct {
	Pattern string
	Need    web.Need
	Query   []string
}

// Table is the table of routes.
func Table() (lines []Line) {
	for _, r := range routes(&Options{Replies: &web.Replies{}}) {
		lines = append(lines, Line{r.pattern, r.need, r.query})
	}
	return lines
}

// The bounds of streams.
const (
	PingEvery    = pingEvery
	MaxFollowers = maxFollowers
)

// Bound sets how many changes wait for one follower.
func (f *Feed) Bound(n int) { f.most = n }

// Followers counts those who follow, and the most changes that one of them missed.
func (f *Feed) Followers() (n, missed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for x := range f.followers {
		x.mu.Lock()
		missed = max(missed, x.missed)
		x.mu.Unlock()
	}
	return len(f.followers), missed
}
