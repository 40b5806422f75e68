// Package long marks tests that take more than two seconds and cannot be made smaller.
// Without -full they are skipped. docs/dev/proofs.md lists the packages that have some.
package long

import (
	"flag"
	"testing"
)

var full = flag.Bool("full", false, "run the long tests too")

// Test skips a long test unless -full is given.
func Test(t testing.TB) {
	t.Helper()
	if !*full {
		t.Skip("skipped: it takes long; -full runs it")
	}
}
