//go:build race

package crash

// Under the race detector the harness itself takes ten times as long to look at a
// data file, and the daemon it stops is built without it anyhow.
const defaultPoints = 20
