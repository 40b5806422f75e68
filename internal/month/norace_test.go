//go:build !race

package month

const defaultDays = 30
