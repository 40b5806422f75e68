//go:build !race

package year

const defaultDays, defaultVehicles = 365, 10
