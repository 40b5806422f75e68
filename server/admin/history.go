package admin

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// maxResolution is the longest span that history is thinned to.
const maxResolution = 366 * 24 * time.Hour

// history is a page of a vehicle's readings in short form, oldest first, thinned as asked.
func (h vehicles) history(r *http.Request) (any, error) {
	page, err := web.ReadPaging(r, "after", web.ListHistory)
	if err != nil {
		return nil, err
	}
	v, err := h.pathVehicle(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	from, err := web.Moment("since", q.Get("since"), h.Replies.Now())
	if err != nil {
		return nil, err
	}
	before, err := web.Moment("until", q.Get("until"), h.Replies.Now())
	if err != nil {
		return nil, err
	}
	thin := vehicle.Thin{}
	if text := q.Get("resolution"); text != "" {
		if thin.Span, err = time.ParseDuration(text); err != nil || thin.Span < 0 || thin.Span > maxResolution {
			return nil, &webhook.Invalid{Field: "resolution", Value: web.Clip(text), Allowed: "a duration from 0s to 8784h, like 1h"}
		}
	}
	var last time.Time // of the page before, with the plug state that was known then
	if page.Place != "" {
		at, plug, _ := strings.Cut(page.Place, ".")
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil || ms < 1 || thin.Plug.UnmarshalText([]byte(plug)) != nil {
			return nil, page.BadPlace()
		}
		last = time.UnixMilli(ms)
		from = last
	}
	known := thin.Plug
	points := []vehicle.Point{}
	const pieces = 500
	for more := true; more && len(points) <= page.Limit; {
		some, err := h.store.History(r.Context(), v.ID, from, before, pieces)
		if err != nil {
			return nil, err
		}
		more = len(some) == pieces
		for _, p := range some {
			from = p.At.Add(time.Millisecond)
			if p.At.Equal(last) {
				continue // it was on the page before
			}
			if kept, ok := thin.Take(p); ok {
				points = append(points, kept)
			}
		}
		if kept, ok := thin.End(); ok && !more {
			points = append(points, kept)
		}
	}
	points = points[:min(len(points), page.Limit+1)]
	return web.PageOf(page, points, func(last vehicle.Point) string {
		for _, p := range points[:page.Limit] {
			known = cmp.Or(p.Plug, known)
		}
		return strconv.FormatInt(last.At.UnixMilli(), 10) + "." + known.String()
	}), nil
}
