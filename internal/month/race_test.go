//go:build race

package month

// Under the race detector five days take as long as the month without it.
const defaultDays = 5
