package vehicle

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Detail is an endpoint of a vehicle's data that no delivery carries, named as Smartcar
// v2.0 names it. Applications read it; plugbeat keeps nothing of it.
type Detail uint8

// The details.
const (
	DetailOdometer Detail = iota
	DetailVIN
	DetailBatteryCapacity
	DetailNominalCapacity
	DetailChargeLimit
	numDetails
)

// String returns the path with its leading slash, "/odometer".
func (e Detail) String() string {
	switch e {
	case DetailOdometer:
		return "/odometer"
	case DetailVIN:
		return "/vin"
	case DetailBatteryCapacity:
		return "/battery/capacity"
	case DetailNominalCapacity:
		return "/battery/nominal_capacity"
	case DetailChargeLimit:
		return "/charge/limit"
	}
	return fmt.Sprintf("Detail(%d)", uint8(e))
}

// Permission returns the Smartcar permission that reading it needs.
func (e Detail) Permission() string {
	first, _, _ := strings.Cut(e.String()[1:], "/")
	return "read_" + first
}

// ParseDetail reads a path with or without its leading slash.
func ParseDetail(s string) (Detail, bool) {
	for e := range AllDetails() {
		if strings.TrimPrefix(s, "/") == e.String()[1:] {
			return e, true
		}
	}
	return 0, false
}

// AllDetails yields the details in a fixed order.
func AllDetails() iter.Seq[Detail] {
	return func(yield func(Detail) bool) {
		for e := range numDetails {
			if !yield(e) {
				return
			}
		}
	}
}

// DetailReading is what a source returned for a detail.
type DetailReading struct {
	// RequestID is the id of the upstream request, a UUID in text.
	RequestID string
	// Body is a JSON object whose known fields are of the right type and in range;
	// distances are in kilometres.
	Body json.RawMessage
	// DataAge is when the vehicle recorded the value, zero means unknown, and FetchedAt
	// when it was obtained from the source.
	DataAge, FetchedAt time.Time
}

// DetailSource is implemented by sources that have details. ReadDetail makes one call,
// under the terms of [Source]; the error is a [*Fault] or wraps one where the source
// knows the reason.
type DetailSource interface {
	Source
	ReadDetail(ctx context.Context, ref Ref, e Detail) (DetailReading, error)
}
