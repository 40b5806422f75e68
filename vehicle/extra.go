package vehicle

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Extra is an endpoint of a car's data that no delivery carries, named as Smartcar
// v2.0 names it. Applications read it; plugbeat keeps nothing of it.
type Extra uint8

// The extras.
const (
	ExtraOdometer Extra = iota
	ExtraVIN
	ExtraBatteryCapacity
	ExtraNominalCapacity
	ExtraChargeLimit
	numExtras
)

// String returns the path with its leading slash, "/odometer".
func (e Extra) String() string {
	switch e {
	case ExtraOdometer:
		return "/odometer"
	case ExtraVIN:
		return "/vin"
	case ExtraBatteryCapacity:
		return "/battery/capacity"
	case ExtraNominalCapacity:
		return "/battery/nominal_capacity"
	case ExtraChargeLimit:
		return "/charge/limit"
	}
	return fmt.Sprintf("Extra(%d)", uint8(e))
}

// Permission returns the Smartcar permission that reading it needs.
func (e Extra) Permission() string {
	first, _, _ := strings.Cut(e.String()[1:], "/")
	return "read_" + first
}

// ParseExtra reads a path with or without its leading slash.
func ParseExtra(s string) (Extra, bool) {
	for e := range AllExtras() {
		if strings.TrimPrefix(s, "/") == e.String()[1:] {
			return e, true
		}
	}
	return 0, false
}

// AllExtras yields the extras in a fixed order.
func AllExtras() iter.Seq[Extra] {
	return func(yield func(Extra) bool) {
		for e := range numExtras {
			if !yield(e) {
				return
			}
		}
	}
}

// ExtraReading is what a source returned for an extra.
type ExtraReading struct {
	// RequestID is the id of the upstream request, a UUID in text.
	RequestID string
	// Body is a JSON object whose known fields are of the right type and in range;
	// distances are in kilometres.
	Body json.RawMessage
	// DataAge is when the car recorded the value, zero means unknown, and FetchedAt
	// when it was obtained from the source.
	DataAge, FetchedAt time.Time
}

// ExtraSource is implemented by sources that have extras. ReadExtra makes one call,
// under the terms of [Source]; the error is a [*Fault] or wraps one where the source
// knows the reason.
type ExtraSource interface {
	Source
	ReadExtra(ctx context.Context, ref Ref, e Extra) (ExtraReading, error)
}
