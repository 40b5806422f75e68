package terminal

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
)

// Collect walks every page of a list.
func Collect[T any](page func(after string) (adminapi.Page[T], error)) ([]T, error) {
	list := []T{}
	for item, err := range adminapi.All(page) {
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

// Items is the JSON of a whole list: one page without a next.
func Items[T any](list []T) adminapi.Page[T] { return adminapi.Page[T]{Items: list} }

// VehicleID reads a vehicle's id from the command line.
func VehicleID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return uuid.Nil, &UsageError{Text: fmt.Sprintf("%q is not a vehicle id", s), Hint: "ids are listed by: plugbeat vehicle list"}
	}
	return id, nil
}

// VehicleIDs reads ids of vehicles from the command line.
func VehicleIDs(list []string) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for _, s := range list {
		id, err := VehicleID(s)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Moment reads a flag that is a time, or a length of time before now.
func Moment(c *ucli.Context, flag string, now time.Time) (time.Time, error) {
	v := c.String(flag)
	if v == "" {
		return time.Time{}, nil
	}
	if t, ok := parseMoment(v, now); ok {
		return t, nil
	}
	return time.Time{}, &UsageError{Text: fmt.Sprintf("--%s %q: want how long ago (2h, 30m) or a time (2026-01-31, 2026-01-31T08:00:00Z)",
		flag, v)}
}

func parseMoment(v string, now time.Time) (time.Time, bool) {
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return now.Add(-d), true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, v, now.Location()); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
