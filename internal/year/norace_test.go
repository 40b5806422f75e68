//go:build !race

package year

const defaultDays, defaultVehicles = 60, 10
