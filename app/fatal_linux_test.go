package app

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A commit that fails for another reason than a full disk ends the process with an
// error that says what to do, and the next start finds what was acknowledged.
func TestRunEndsWhenACommitFails(t *testing.T) {
	cfg := configured(t, shortDir(t), simulatorSource)
	d := start(t, cfg)
	eventually(t, "readiness", func() bool {
		st, err := d.client.Status(t.Context())
		return err == nil && st.Ready
	})
	must(t, d.store.Secrets.PutSecret(t.Context(), "before", []byte("x")))
	// Writes to the daemon's own descriptor fail from now on.
	readOnly, err := os.Open(cfg.DataFile())
	must(t, err)
	defer func() { _ = readOnly.Close() }()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range fds {
		var fd int
		_, _ = fmt.Sscan(e.Name(), &fd)
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to == cfg.DataFile() && fd != int(readOnly.Fd()) {
			must(t, syscall.Dup3(int(readOnly.Fd()), fd, syscall.O_CLOEXEC))
		}
	}
	if err := d.store.Secrets.PutSecret(t.Context(), "after", []byte("x")); err == nil {
		t.Fatal("the commit succeeded")
	}
	d.cancel = nil
	err = <-d.ended
	wantError(t, err, cfg.DataFile(), "start plugbeat again")
	if strings.Count(err.Error(), "commit to data file") != 1 || !errors.Is(err, syscall.EBADF) {
		t.Errorf("one cause is told once: %v", err)
	}
	if !strings.Contains(d.log.String(), "store.failed") {
		t.Error("nothing is logged")
	}
	again := start(t, cfg)
	if _, err := again.store.Secrets.Secret(t.Context(), "before"); err != nil {
		t.Error(err)
	}
}
