package systemd

import (
	"fmt"
	"os"
	"syscall"
)

// InJournal reports whether what is written to f ends up in the journal, which the
// manager tells in $JOURNAL_STREAM.
func InJournal(f *os.File, env func(string) string) bool {
	st, err := f.Stat()
	if err != nil {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && env("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", sys.Dev, sys.Ino)
}
