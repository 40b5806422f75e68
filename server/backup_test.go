package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func TestBackup(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	s := newServer(t, w)
	c := overSocket(t, s)
	big := bytes.Repeat([]byte("plugbeat"), 5<<20/8+3) // some pieces and a rest
	w.copied = big
	var got bytes.Buffer
	n, err := c.Backup(ctx, &got)
	if err != nil || n != int64(len(big)) || !bytes.Equal(got.Bytes(), big) {
		t.Fatalf("%d bytes of %d, %v", n, len(big), err)
	}
	left := func() string {
		all, _ := filepath.Glob(filepath.Join(s.CheckDir, "*"))
		return strings.Join(all, " ")
	}
	if left() != "" {
		t.Errorf("it leaves %s", left())
	}
	// What is not sound is not sent.
	w.problems = []adminapi.Problem{{Bucket: "lane", Key: "k", Text: "no delivery"}}
	got.Reset()
	_, err = c.Backup(ctx, &got)
	refused(t, err, adminapi.CodeInternal, "not sound", "lane k: no delivery", "plugbeat check")
	w.problems = nil
	w.fail = fmt.Errorf("copy: %w", webhook.ErrNoSpace)
	_, err = c.Backup(ctx, &got)
	refused(t, err, adminapi.CodeNoSpace, "no space")
	w.fail = nil
	if got.Len() > 0 || left() != "" {
		t.Errorf("%d bytes came, %s is left", got.Len(), left())
	}
	// One at a time, and none beside a check.
	for name, busy := range map[string]interface {
		Lock()
		Unlock()
	}{"sent": &s.sending, "copied": &s.checking} {
		busy.Lock()
		_, err = c.Backup(ctx, &got)
		refused(t, err, adminapi.CodeUnavailable, name, "wait for it")
		busy.Unlock()
	}
	if _, err = c.Backup(ctx, &got); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// A caller that does not read holds no reader of the data file and no name on the
// disk, and one that left lets the next in.
func TestBackupForSlowCallers(t *testing.T) {
	w := newWorld()
	s := newServer(t, w)
	c := overSocket(t, s)
	w.copied = make([]byte, 64<<20) // more than the socket takes
	ctx, leave := context.WithCancel(t.Context())
	slow := &stalled{first: make(chan struct{}), until: ctx.Done()}
	ended := make(chan error, 1)
	go func() { _, err := c.Backup(ctx, slow); ended <- err }()
	select {
	case <-slow.first:
	case err := <-ended:
		t.Fatal(err)
	}
	if all, _ := filepath.Glob(filepath.Join(s.CheckDir, "*")); len(all) > 0 {
		t.Errorf("while it is sent there is %v", all)
	}
	if _, err := c.Check(t.Context()); err != nil {
		t.Errorf("a check while a backup is sent: %v", err)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left: %v", err)
	}
	w.copied = []byte("small")
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err := c.Backup(t.Context(), io.Discard); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatalf("the next: %v", err)
		}
	}
}

type stalled struct {
	first chan struct{}
	until <-chan struct{}
	once  bool
}

func (s *stalled) Write(b []byte) (int, error) {
	if !s.once {
		s.once = true
		close(s.first)
	}
	<-s.until
	return len(b), nil
}

func TestBackupHeaders(t *testing.T) {
	w := newWorld()
	w.copied = []byte("a copy")
	h := described(t, newServer(t, w).Admin())
	res := httptest.NewRecorder()
	h.ServeHTTP(res, httptest.NewRequest("POST", "/api/v1/backup", nil))
	if res.Code != http.StatusOK || res.Body.String() != "a copy" || res.Header().Get("Content-Length") != "6" ||
		res.Header().Get("Content-Disposition") != `attachment; filename="plugbeat-20260501T120000Z.db"` {
		t.Errorf("%d %v %q", res.Code, res.Header(), res.Body)
	}
	if _, err := os.Stat("plugbeat-20260501T120000Z.db"); err == nil {
		t.Error("it made a file here")
	}
}
