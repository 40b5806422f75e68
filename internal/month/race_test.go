//go:build race

package month

// Under the race detector the month runs only when -days asks for it: Go 1.26's
// race detector sometimes crashes by itself when timers fire in a synctest bubble
// (golang/go issue 78156), about once in ten such runs here. The loops have their
// own tests under it.
const defaultDays = 0
