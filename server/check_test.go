package server

import (
	"os"
	"path/filepath"
	"testing"

	"plugbeat/adminapi"
)

func TestAdminCheck(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	s := newServer(t, w)
	c := overSocket(t, s)
	got := must[adminapi.Checked](t)(c.Check(ctx))
	if got.Problems == nil || len(got.Problems) != 0 || got.Bytes != 6 {
		t.Errorf("%+v", got)
	}
	w.problems = []adminapi.Problem{{Bucket: "lane", Key: "ab", Text: "no record"}}
	if got = must[adminapi.Checked](t)(c.Check(ctx)); len(got.Problems) != 1 {
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
	must[adminapi.Checked](t)(c.Check(ctx))
	if left, _ := filepath.Glob(s.CheckDir + "/*"); len(left) != 1 || filepath.Base(left[0]) != "other" {
		t.Errorf("left behind: %v", left)
	}
	s.checking.Lock()
	_, err := c.Check(ctx)
	s.checking.Unlock()
	refused(t, err, adminapi.CodeUnavailable)
}
