package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"plugbeat/vehicle"
)

// maxBody is the largest request body taken, in bytes.
const maxBody = 64 << 10

// maxPage is the largest page of a list.
const maxPage = 50

type paging struct {
	Count  int `json:"count"`
	Offset int `json:"offset"`
}

func (s *Server) userInfo(a *answer, _ *http.Request) {
	a.ok(struct {
		ID string `json:"id"`
	}{s.user.String()})
}

func (s *Server) list(a *answer, r *http.Request) {
	var ids []string
	for _, v := range s.fleet.vehicles {
		if s.reaches(v.ID) {
			ids = append(ids, v.ID.String())
		}
	}
	page, count, offset, ok := a.page(r, ids)
	if !ok {
		return
	}
	a.ok(struct {
		Vehicles []string `json:"vehicles"`
		Paging   paging   `json:"paging"`
	}{page, paging{count, offset}})
}

func (s *Server) permissions(a *answer, r *http.Request, _ int) {
	page, count, offset, ok := a.page(r, a.grant)
	if !ok {
		return
	}
	a.ok(struct {
		Permissions []string `json:"permissions"`
		Paging      paging   `json:"paging"`
	}{page, paging{count, offset}})
}

// page cuts one page out of all by the request's limit and offset.
func (a *answer) page(r *http.Request, all []string) (page []string, count, offset int, ok bool) {
	limit := 10
	for name, p := range map[string]*int{"limit": &limit, "offset": &offset} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			a.invalid(name, "must be a number, 0 or more")
			return nil, 0, 0, false
		}
		*p = n
	}
	from := min(offset, len(all))
	to := min(from+min(limit, maxPage), len(all))
	return append([]string{}, all[from:to]...), len(all), offset, true
}

func (s *Server) attributes(a *answer, _ *http.Request, i int) {
	if !a.grant.may("read_vehicle_info") {
		a.fault(Row(vehicle.TypePermission, ""))
		return
	}
	v := s.fleet.vehicles[i]
	a.ok(struct {
		ID    string `json:"id"`
		Make  string `json:"make"`
		Model string `json:"model"`
		Year  int    `json:"year"`
	}{v.ID.String(), v.Make, v.Model, v.Year})
}

func (s *Server) disconnect(a *answer, _ *http.Request, i int) {
	s.Connect.disconnect(s.fleet.vehicles[i].ID)
	a.ok(struct {
		Status string `json:"status"`
	}{"success"})
}

// entry is one path's answer, alone or in a batch.
type entry struct {
	Path    string            `json:"path"`
	Code    int               `json:"code"`
	Body    any               `json:"body"`
	Headers map[string]string `json:"headers,omitempty"`
}

// read answers one path of vehicle i as it is at the answer's instant.
func (s *Server) read(a *answer, i int, p vehicle.Path) entry {
	e := entry{Path: p.String(), Code: http.StatusOK}
	if f := s.faultOf(a, i, p); f != nil {
		return a.failed(e, f)
	}
	con := s.fleet.At(i, a.now)
	e.Headers = map[string]string{"sc-fetched-at": stamp(a.now), "sc-data-age": stamp(con.At)}
	switch p {
	case vehicle.PathCharge:
		e.Body = chargeBody{con.charge().State, con.PluggedIn}
	case vehicle.PathBattery:
		e.Body = batteryBody{con.Percent, con.RangeKm}
		e.Headers["sc-unit-system"] = metric
	case vehicle.PathLocation:
		e.Body = locationBody{con.Latitude, con.Longitude}
	}
	return e
}

// faultOf returns the fault of a path, nil for none: a permission that was not given, or the
// script's fault.
func (s *Server) faultOf(a *answer, i int, p vehicle.Path) *vehicle.Fault {
	if !a.grant.may(p.Permission()) {
		f := Row(vehicle.TypePermission, "")
		f.Description = "Not permitted to read " + p.String() + "."
		return f
	}
	return s.fleet.FaultAt(i, p, a.now)
}

type chargeBody struct {
	State       vehicle.ChargeState `json:"state"`
	IsPluggedIn bool                `json:"isPluggedIn"`
}

type batteryBody struct {
	PercentRemaining float64 `json:"percentRemaining"`
	Range            float64 `json:"range"`
}

type locationBody struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// single serves one path's own endpoint.
func (s *Server) single(p vehicle.Path) func(*answer, *http.Request, int) {
	return func(a *answer, r *http.Request, i int) {
		paths := []vehicle.Path{p}
		s.counts.read(s.fleet.vehicles[i].ID, 1)
		inject := s.injected.of(i, paths)
		if s.interrupted(a, r, inject, i, 1) {
			return
		}
		e := s.read(a, i, p)
		if f := inject.entryFault(p); f != nil {
			e = a.failed(e, f)
		}
		for name, value := range e.Headers {
			a.w.Header()[name] = []string{value}
		}
		a.write(e.Code, e.Body)
	}
}

// batch serves several paths in one request.
func (s *Server) batch(a *answer, r *http.Request, i int) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(raw) > maxBody {
		a.invalid("body", fmt.Sprintf("must be at most %d bytes", maxBody))
		return
	}
	var body struct {
		Requests []struct {
			Path *string `json:"path"`
		} `json:"requests"`
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&body); err != nil || len(body.Requests) == 0 {
		a.invalid("requests", "must be a list of objects with a path")
		return
	}
	for _, q := range body.Requests {
		if q.Path == nil || *q.Path == "" {
			a.invalid("requests.path", "is required")
			return
		}
	}
	var known []vehicle.Path
	for _, q := range body.Requests {
		if p, ok := vehicle.ParsePath(*q.Path); ok {
			known = append(known, p)
		}
	}
	s.counts.read(s.fleet.vehicles[i].ID, len(body.Requests))
	inject := s.injected.of(i, known)
	if s.interrupted(a, r, inject, i, len(body.Requests)) {
		return
	}
	var reply struct {
		Responses []entry `json:"responses"`
	}
	for _, q := range body.Requests {
		p, ok := vehicle.ParsePath(*q.Path)
		var e entry
		if ok {
			e = s.read(a, i, p)
		} else {
			e = a.failed(entry{Path: "/" + strings.TrimPrefix(*q.Path, "/")}, Row(vehicle.TypeNotFound, "PATH"))
		}
		if f := inject.entryFault(p); ok && f != nil {
			e = a.failed(e, f)
		}
		reply.Responses = append(reply.Responses, e)
	}
	a.ok(reply)
}

// interrupted answers a whole request for vehicle i where a limit is reached, its account is
// locked, or an injection is for whole requests. It returns false when the paths are to be read.
func (s *Server) interrupted(a *answer, r *http.Request, inject *Injection, i, n int) bool {
	if inject != nil && inject.Delay > 0 {
		t := time.NewTimer(inject.Delay)
		defer t.Stop()
		select {
		case <-t.C:
			a.now = time.Now().UTC()
		case <-r.Context().Done():
			return true
		}
	}
	f := s.counts.limited(s.fleet.vehicles[i].ID, n, a.now)
	if f == nil {
		f = s.lockedOut()
	}
	if f != nil {
		a.fault(f)
		return true
	}
	return inject.answer(a)
}
