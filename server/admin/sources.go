package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// sources shows what sources hear.
type sources struct {
	overview
	watchers atomic.Int32
}

// view is a source with what it is.
func (h *sources) view(src adminapi.Source) adminapi.SourceView {
	kind, _ := h.Sources.Kind(src.Name)
	return adminapi.SourceView{Source: src, SourceKind: kind}
}

// list answers GET /api/v1/sources.
func (h *sources) list(*http.Request) (any, error) {
	page := adminapi.Page[adminapi.SourceView]{Items: []adminapi.SourceView{}}
	for _, src := range h.Upkeep.Sources() {
		page.Items = append(page.Items, h.view(src))
	}
	return page, nil
}

// find returns the source of the path.
func (h *sources) find(r *http.Request) (adminapi.Source, error) {
	name := r.PathValue("name")
	for _, src := range h.Upkeep.Sources() {
		if src.Name == name {
			return src, nil
		}
	}
	return adminapi.Source{}, noSuch("source", web.Quote(name))
}

// show answers GET /api/v1/sources/{name}.
func (h *sources) show(r *http.Request) (any, error) {
	src, err := h.find(r)
	if err != nil {
		return nil, err
	}
	v := h.view(src)
	if i, ok := h.Sources.Inspect(src.Name); ok {
		v.Inspection = &i
	}
	for after := uuid.Nil; len(v.FirstVehicles) < adminapi.MaxSourceVehicles; {
		page, err := h.Store.Vehicles(r.Context(), after, adminapi.MaxLimit)
		if err != nil {
			return nil, err
		}
		for _, one := range page {
			if one.Source != src.Name || len(v.FirstVehicles) == adminapi.MaxSourceVehicles {
				continue
			}
			g, err := h.glance(r.Context(), one.ID)
			if errors.Is(err, webhook.ErrNotFound) {
				continue // it was disconnected meanwhile
			}
			if err != nil {
				return nil, err
			}
			v.FirstVehicles = append(v.FirstVehicles, g)
		}
		if len(page) < adminapi.MaxLimit {
			break
		}
		after = page[len(page)-1].ID
	}
	return v, nil
}

// cannot is the answer for a source that is not of a kind that can do it.
func cannot(name, what, hint string) error {
	return &adminapi.Error{Code: adminapi.CodeConflict, Message: fmt.Sprintf("source %s %s", name, what), Hint: hint}
}

// discovering lists the sources that can be asked what they offer.
func (h *sources) discovering() string {
	var names []string
	for _, src := range h.Upkeep.Sources() {
		if kind, _ := h.Sources.Kind(src.Name); kind.Discovers {
			names = append(names, src.Name)
		}
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// follow answers with a stream of what the source hears from now on, as Server-Sent Events.
func (h *sources) follow(r *http.Request) (any, error) {
	src, err := h.find(r)
	if err != nil {
		return nil, err
	}
	if kind, _ := h.Sources.Kind(src.Name); !kind.Watchable {
		return nil, cannot(src.Name, "has no messages to watch: it is polled, or not in the config", "plugbeat source show "+src.Name)
	}
	open := func() (*inbox[vehicle.Heard], func()) {
		if h.watchers.Add(1) > maxFollowers {
			h.watchers.Add(-1)
			return nil, nil
		}
		x := newInbox[vehicle.Heard](maxPending)
		stop, ok := h.Sources.Watch(src.Name, x.put)
		if !ok {
			stop = func() {}
		}
		return x, func() { stop(); h.watchers.Add(-1) }
	}
	return eventStream[vehicle.Heard]{h.Options, open, func(*vehicle.Heard) string { return adminapi.HeardEvent }}, nil
}

// discover answers POST /api/v1/sources/{name}/discover.
func (h *sources) discover(r *http.Request) (any, error) {
	src, err := h.find(r)
	if err != nil {
		return nil, err
	}
	listen := adminapi.DefaultListen
	if v := r.URL.Query().Get("listen"); v != "" {
		if listen, err = time.ParseDuration(v); err != nil || listen <= 0 || listen > adminapi.MaxListen {
			return nil, &webhook.Invalid{Field: "listen", Value: web.Clip(v), Allowed: "a duration, up to " + adminapi.MaxListen.String()}
		}
	}
	d, ok, err := h.Sources.Discover(r.Context(), src.Name, listen)
	switch {
	case !ok:
		return nil, cannot(src.Name, "cannot be asked what it offers", "sources that can: "+h.discovering())
	case err != nil:
		return nil, &adminapi.Error{Code: adminapi.CodeSource, Message: err.Error()}
	}
	return d, nil
}
