package demo

import (
	"io"
	"os"
	"testing"
	"time"

	"plugbeat/adminapi"
)

// shortDir is a folder whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	root := "/dev/shm"
	if _, err := os.Stat(root); err != nil {
		root = ""
	}
	dir, err := os.MkdirTemp(root, "pb")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// quiet is a demo without its course: the fleet's server, a receiver, and a daemon whose
// hour takes a second.
func quiet(t *testing.T) *demo {
	t.Helper()
	d := newDemo(Options{Seed: 5, Vehicles: 3, For: hours * time.Second, Keep: shortDir(t), Out: io.Discard})
	t.Cleanup(func() { must(t, d.close()) })
	must(t, d.openUpstream(t.Context()))
	return d
}

func status(t *testing.T, d *demo) adminapi.Status {
	t.Helper()
	st, err := d.client.Status(t.Context())
	must(t, err)
	return st
}

// eventually waits for what the daemon brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come: %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
