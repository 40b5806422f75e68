//go:build !race

package year

const (
	raced                        = false
	defaultDays, defaultVehicles = 60, 10
)
