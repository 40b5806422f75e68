//go:build race

package month

// Under the race detector ten days take as long as the whole month without it.
const defaultDays = 10
