package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/store"
)

// kept is a small, sound data file.
func kept(t *testing.T) []byte {
	t.Helper()
	b, err := soundFile(true)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// soundFile is the oldest data file that is kept, in today's schema. It is as large as
// the step to that schema leaves it, unless it is compacted.
func soundFile(compacted bool) ([]byte, error) {
	dir, err := os.MkdirTemp("", "plugbeat-sound-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "plugbeat.db")
	b, err := os.ReadFile("../store/testdata/v1.db")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return nil, err
	}
	s, err := store.Open(store.Options{Path: path, Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	if compacted {
		if _, err := store.Compact(context.Background(), path); err != nil {
			return nil, err
		}
	}
	return os.ReadFile(path)
}

func TestBackup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "backup.db")
	b := kept(t)
	d := clitest.NewDaemon(t).Sends(b)
	x := clitest.Session{App: App, Socket: d.Socket}
	r := x.Run(t, "backup", file)
	if r.Code != terminal.ExitOK || r.Err != "" {
		t.Fatalf("exit %d\n%s", r.Code, r.Err)
	}
	clitest.Golden(t, "output/backup.txt", strings.ReplaceAll(strings.ReplaceAll(r.Out, file, "FILE"), d.Socket, "SOCKET"))
	d.WasAsked(t, "POST /api/v1/backup ")
	if ps, err := app.CheckFile(file); err != nil || len(ps) > 0 {
		t.Error(ps, err)
	}
	// Again over itself, as JSON.
	r = x.Run(t, "backup", file, "--json")
	clitest.Golden(t, "output/backup.json", strings.ReplaceAll(strings.ReplaceAll(r.Out, file, "FILE"), d.Socket, "SOCKET"))

	r = x.Run(t, "backup", "-")
	if r.Code != terminal.ExitOK || r.Out != string(b) || !strings.Contains(r.Err, "checked") || !strings.Contains(r.Err, "sealing key") {
		t.Errorf("to standard output: exit %d, %d bytes, %s", r.Code, len(r.Out), r.Err)
	}
	if r = (clitest.Session{App: App, Socket: d.Socket, TTY: true}).Run(t, "backup", "-"); r.Code != terminal.ExitUsage || r.Out != "" || !strings.Contains(r.Err, "standard output is a terminal") {
		t.Errorf("to a terminal: exit %d, %d bytes, %s", r.Code, len(r.Out), r.Err)
	}
}

// What came is not sound, is cut off, or would take another file's place: FILE stays
// as it is.
func TestBackupRefuses(t *testing.T) {
	dir := t.TempDir()
	file, photo := filepath.Join(dir, "backup.db"), filepath.Join(dir, "photo.jpg")
	b := kept(t)
	for name, content := range map[string][]byte{file: b, photo: []byte("a photo")} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		d    *clitest.Daemon
		to   string
		want string
	}{
		"damaged":     {clitest.NewDaemon(t).Sends(b[:8192]), file, "damaged"},
		"no backup":   {clitest.NewDaemon(t).Sends([]byte("hello")), file, "damaged"},
		"no space":    {clitest.NewDaemon(t).Fail("POST", "/backup", 507, clitest.Refusal(adminapi.CodeNoSpace, "no space left for the data file", "free space")), file, "no space left"},
		"a photo":     {clitest.NewDaemon(t).Sends(b), photo, "photo.jpg exists and is no sound backup"},
		"a folder":    {clitest.NewDaemon(t).Sends(b), dir, "is a folder: name a file in it"},
		"no folder":   {clitest.NewDaemon(t).Sends(b), filepath.Join(dir, "none", "x.db"), "there is no folder " + filepath.Join(dir, "none") + "\n  make it: mkdir -p "},
		"not allowed": {clitest.NewDaemon(t).Sends(b), "/proc/x.db", "may not write in /proc\n"},
	} {
		r := clitest.Session{App: App, Socket: c.d.Socket}.Run(t, "backup", c.to)
		if r.Code != terminal.ExitFailure || r.Out != "" || !strings.Contains(r.Err, c.want) {
			t.Errorf("%s: exit %d\n%s%s", name, r.Code, r.Out, r.Err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, b) {
		t.Error("the backup that was there has changed", err)
	}
	if es, err := os.ReadDir(dir); err != nil || len(es) != 2 {
		t.Error(es, err)
	}
}
