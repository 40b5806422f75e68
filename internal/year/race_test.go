//go:build race

package year

// Under the race detector a day takes ten times as long.
const (
	raced                        = true
	defaultDays, defaultVehicles = 14, 20
)
