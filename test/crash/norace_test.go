//go:build !race

package crash

const defaultPoints = 200
