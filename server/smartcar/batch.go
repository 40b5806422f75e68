package smartcar

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook/payload"
)

// maxBatch bounds the entries of one batch.
const maxBatch = 50

// batch answers POST /v2.0/vehicles/{id}/batch with one read for all paths that
// deliveries carry, and one for each other. It is a success even when every entry failed.
func (r reads) batch(ctx context.Context, c *call) (reply, error) {
	body, err := web.ReadBody(c.Request)
	if err != nil {
		return reply{}, err
	}
	names, err := parseBatch(body)
	if err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.readTime) // all of its reads together
	defer cancel()
	var paths vehicle.Paths
	for _, n := range names {
		if p, ok := vehicle.ParsePath(n); ok && c.permits(p.Permission()) == nil {
			paths |= vehicle.PathsOf(p)
		}
	}
	var snap vehicle.Snapshot
	if paths != 0 {
		if snap, err = r.readNow(ctx, c.vehicle.ID, paths); err != nil {
			fault, ok := readFault(err)
			if !ok {
				return reply{}, err
			}
			snap.Fail(paths, fault, r.now())
		}
	}
	for p := range paths.All() {
		if f, ok := errors.AsType[*vehicle.Fault](accountFault(faultAt(snap, p))); ok {
			snap.Fail(vehicle.PathsOf(p), f, r.now())
		}
	}
	others, err := r.batchOthers(ctx, c, names)
	if err != nil {
		return reply{}, err
	}
	entries := make([]payload.Value, len(names))
	for i, n := range names {
		if e, ok := others[n]; ok {
			entries[i] = e
			continue
		}
		entries[i] = batchEntry(ctx, c, n, snap)
	}
	return reply{body: payload.Object(payload.Member{Key: "responses", Value: payload.Array(entries...)})}, nil
}

// faultAt is the path's fault as an error, nil for none.
func faultAt(snap vehicle.Snapshot, p vehicle.Path) error {
	if f := snap.Fault(p); f != nil {
		return f
	}
	return nil
}

// readFault is the fault of each path when the whole read failed; false when the
// request itself failed.
func readFault(err error) (*vehicle.Fault, bool) {
	if _, ok := errors.AsType[*vehicle.Fault](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return web.FaultOf(err), true
	}
	return nil, false
}

func batchEntry(ctx context.Context, c *call, name string, snap vehicle.Snapshot) payload.Value {
	p, isPath := vehicle.ParsePath(name)
	if isPath && c.permits(p.Permission()) == nil {
		return payload.Entry(p, snap, c.units, c.id)
	}
	f := errIncapable()
	switch {
	case isPath:
		f = web.FaultOf(c.permits(p.Permission()))
	case name == "":
		err := c.permits(web.ReadInfo)
		if err == nil {
			return plainEntry(name, http.StatusOK, infoBody(c.vehicle))
		}
		f = web.FaultOf(err)
	case name == "permissions":
		if list, err := permissions(ctx, c); err == nil {
			return plainEntry(name, http.StatusOK, list.body)
		}
	}
	return failedEntry(c, name, f)
}

func failedEntry(c *call, name string, f *vehicle.Fault) payload.Value {
	return plainEntry(name, f.Status, payload.ErrorObject(f, c.id))
}

// plainEntry is an entry without headers.
func plainEntry(name string, code int, body payload.Value) payload.Value {
	return payload.Object(
		payload.Member{Key: "path", Value: payload.String("/" + name)},
		payload.Member{Key: "code", Value: payload.Int(int64(code))},
		payload.Member{Key: "body", Value: body},
		payload.Member{Key: "headers", Value: payload.Object()},
	)
}

// parseBatch returns the paths of a batch without slashes around them. What it
// refuses, it says which entry and why, as Smartcar's validation error.
func parseBatch(body []byte) ([]string, error) {
	var b struct {
		Requests []struct {
			Path *string `json:"path"`
		} `json:"requests"`
	}
	if trimmed := strings.TrimSpace(string(body)); !strings.HasPrefix(trimmed, "{") {
		return nil, web.Validation(`The body is a JSON object, {"requests":[{"path":"/charge"}]}.`, "body")
	}
	if err := json.Unmarshal(body, &b); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			field := cmp.Or(wrong.Field, "body")
			return nil, web.Validation(fmt.Sprintf("%s cannot be a JSON %s.", field, wrong.Value), strings.Split(field, ".")...)
		}
		return nil, web.Validation("The body is not JSON: "+err.Error()+".", "body")
	}
	if n := len(b.Requests); n == 0 || n > maxBatch {
		return nil, web.Validation(fmt.Sprintf("A batch has 1 to %d requests.", maxBatch), "requests")
	}
	names := make([]string, len(b.Requests))
	for i, entry := range b.Requests {
		at := strconv.Itoa(i)
		if entry.Path == nil {
			return nil, web.Validation("The request has no path.", "requests", at, "path")
		}
		n := strings.TrimSuffix(strings.TrimPrefix(*entry.Path, "/"), "/")
		if !known(n) || *entry.Path == "" {
			return nil, web.Validation("There is no such path to read.", "requests", at, "path")
		}
		names[i] = n
	}
	return names, nil
}

// known reports whether Smartcar v2.0 has such an endpoint to read.
func known(name string) bool {
	_, served := vehicle.ParsePath(name)
	_, other := vehicle.ParseDetail(name)
	return (served || other) && !strings.HasPrefix(name, "/") || name == "" || name == "permissions" || slices.Contains(notServed[:], name)
}
