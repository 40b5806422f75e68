package servertest

import (
	"context"
	"errors"
	"time"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
)

// sourcesOf are the world's sources, as what can be looked into.
type sourcesOf struct{ w *World }

func (of sourcesOf) Kind(name string) (adminapi.SourceKind, bool) {
	_, watchable := of.w.Inspected[name]
	_, discovers := of.w.Offered[name]
	for _, s := range of.w.SourceList {
		if s.Name == name && s.Configured {
			return adminapi.SourceKind{Type: "test", Watchable: watchable, Discovers: discovers}, true
		}
	}
	return adminapi.SourceKind{}, false
}

func (of sourcesOf) Inspect(name string) (vehicle.Inspection, bool) {
	i, ok := of.w.Inspected[name]
	return i, ok
}

func (of sourcesOf) Watch(name string, heard func(vehicle.Heard)) (func(), bool) {
	if _, ok := of.w.Inspected[name]; !ok {
		return nil, false
	}
	of.w.Heard(heard)
	return func() {}, true
}

func (of sourcesOf) Discover(_ context.Context, name string, _ time.Duration) (vehicle.Discovery, bool, error) {
	d, ok := of.w.Offered[name]
	if d.Server == "" && ok {
		return d, true, errors.New("the broker refuses us")
	}
	return d, ok, nil
}
