package admin_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

func TestAdminCheck(t *testing.T) {
	ctx, w := t.Context(), &copies{bytes: []byte("a copy")}
	s := w.server(t)
	c := servertest.OverSocket(t, s)
	got := servertest.Must[adminapi.Checked](t)(c.Check(ctx))
	if got.Problems == nil || len(got.Problems) != 0 || got.Bytes != 6 {
		t.Errorf("%+v", got)
	}
	w.problems = []webhook.FileProblem{{Bucket: "lane", Key: "ab", Text: "no record"}}
	if got = servertest.Must[adminapi.Checked](t)(c.Check(ctx)); len(got.Problems) != 1 {
		t.Errorf("%+v", got)
	}
	if left, _ := filepath.Glob(s.CheckDir + "/*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	// What a killed daemon left goes with the next check, and nothing else.
	for _, dir := range []string{"plugbeat-check-1", "other"} {
		if err := os.MkdirAll(filepath.Join(s.CheckDir, dir, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	servertest.Must[adminapi.Checked](t)(c.Check(ctx))
	if left, _ := filepath.Glob(s.CheckDir + "/*"); len(left) != 1 || filepath.Base(left[0]) != "other" {
		t.Errorf("left behind: %v", left)
	}
	w.copying = func() {
		_, err := c.Backup(ctx, io.Discard)
		servertest.Refused(t, err, adminapi.CodeUnavailable, "copied")
	}
	servertest.Must[adminapi.Checked](t)(c.Check(ctx))
}
