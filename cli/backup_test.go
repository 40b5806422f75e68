package cli

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/app"
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

// sends makes the daemon answer a backup with the bytes.
func (d *daemon) sends(b []byte) *daemon {
	d.mux.HandleFunc("POST /api/v1/backup", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		_, _ = w.Write(b)
	})
	return d
}

func TestBackup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "backup.db")
	b := kept(t)
	d := newDaemon(t).sends(b)
	x := session{socket: d.socket}
	r := x.run(t, "backup", file)
	if r.code != ExitOK || r.err != "" {
		t.Fatalf("exit %d\n%s", r.code, r.err)
	}
	golden(t, "output/backup.txt", strings.ReplaceAll(strings.ReplaceAll(r.out, file, "FILE"), d.socket, "SOCKET"))
	d.wasAsked(t, "POST /api/v1/backup ")
	if ps, err := app.CheckFile(file); err != nil || len(ps) > 0 {
		t.Error(ps, err)
	}
	// Again over itself, as JSON.
	r = x.run(t, "backup", file, "--json")
	golden(t, "output/backup.json", strings.ReplaceAll(strings.ReplaceAll(r.out, file, "FILE"), d.socket, "SOCKET"))

	r = x.run(t, "backup", "-")
	if r.code != ExitOK || r.out != string(b) || !strings.Contains(r.err, "checked") || !strings.Contains(r.err, "sealing key") {
		t.Errorf("to standard output: exit %d, %d bytes, %s", r.code, len(r.out), r.err)
	}
	if r = (session{socket: d.socket, tty: true}).run(t, "backup", "-"); r.code != ExitUsage || r.out != "" || !strings.Contains(r.err, "standard output is a terminal") {
		t.Errorf("to a terminal: exit %d, %d bytes, %s", r.code, len(r.out), r.err)
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
		d    *daemon
		to   string
		want string
	}{
		"damaged":     {newDaemon(t).sends(b[:8192]), file, "damaged"},
		"no backup":   {newDaemon(t).sends([]byte("hello")), file, "damaged"},
		"no space":    {newDaemon(t).fail("POST", "/backup", 507, refusal(adminapi.CodeNoSpace, "no space left for the data file", "free space")), file, "no space left"},
		"a photo":     {newDaemon(t).sends(b), photo, "photo.jpg exists and is no sound backup"},
		"a folder":    {newDaemon(t).sends(b), dir, "is a folder: name a file in it"},
		"no folder":   {newDaemon(t).sends(b), filepath.Join(dir, "none", "x.db"), "no such file or directory"},
		"not allowed": {newDaemon(t).sends(b), "/proc/x.db", "/proc/x.db"},
	} {
		r := session{socket: c.d.socket}.run(t, "backup", c.to)
		if r.code != ExitFailure || r.out != "" || !strings.Contains(r.err, c.want) {
			t.Errorf("%s: exit %d\n%s%s", name, r.code, r.out, r.err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, b) {
		t.Error("the backup that was there has changed", err)
	}
	if es, err := os.ReadDir(dir); err != nil || len(es) != 2 {
		t.Error(es, err)
	}
}
