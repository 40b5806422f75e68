package admin_test

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
	"plugbeat/server"
	"plugbeat/server/admin"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

// copies stands in for copies of the data file: they have these bytes and these problems.
type copies struct {
	server.Store
	admin.Upkeep
	bytes    []byte
	problems []webhook.FileProblem
	copying  func() // called while a copy is made, nil for nothing
	fail     error
}

// server is a server whose copies of the data file are these.
func (c *copies) server(t *testing.T) *server.Server {
	t.Helper()
	return servertest.NewServer(t, servertest.NewWorld(t), func(o *server.Options) {
		c.Store, c.Upkeep = o.Store, o.Upkeep
		o.Store, o.Upkeep = c, c
	})
}

func (c *copies) Copy(_ context.Context, path string) error {
	if c.copying != nil {
		c.copying()
	}
	return errors.Join(c.fail, os.WriteFile(path, c.bytes, 0o600))
}

func (c *copies) CheckFile(path string) ([]webhook.FileProblem, error) {
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, c.bytes) {
		return nil, errors.New("it is not the copy")
	}
	return c.problems, nil
}

func TestBackup(t *testing.T) {
	ctx, w := t.Context(), &copies{}
	s := w.server(t)
	c := servertest.OverSocket(t, s)
	big := bytes.Repeat([]byte("plugbeat"), 5<<20/8+3) // some pieces and a rest
	w.bytes = big
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
	w.problems = []webhook.FileProblem{{Bucket: "lane", Key: "k", Text: "no delivery"}}
	got.Reset()
	_, err = c.Backup(ctx, &got)
	servertest.Refused(t, err, adminapi.CodeInternal, "not sound", "lane k: no delivery", "plugbeat check")
	w.problems = nil
	w.fail = fmt.Errorf("copy: %w", webhook.ErrNoSpace)
	_, err = c.Backup(ctx, &got)
	servertest.Refused(t, err, adminapi.CodeNoSpace, "no space")
	w.fail = nil
	if got.Len() > 0 || left() != "" {
		t.Errorf("%d bytes came, %s is left", got.Len(), left())
	}
	// One at a time, and none beside a check.
	asked := false
	w.copying = func() {
		if asked {
			return
		}
		asked = true
		_, err := c.Check(ctx)
		servertest.Refused(t, err, adminapi.CodeUnavailable, "copied", "wait for it")
		_, err = c.Backup(ctx, io.Discard)
		servertest.Refused(t, err, adminapi.CodeUnavailable, "sent", "wait for it")
	}
	if _, err = c.Backup(ctx, &got); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// A caller that does not read holds no reader of the data file and no name on the
// disk, and one that left lets the next in.
func TestBackupForSlowCallers(t *testing.T) {
	w := &copies{}
	s := w.server(t)
	c := servertest.OverSocket(t, s)
	w.bytes = make([]byte, 64<<20) // more than the socket takes
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
	w.bytes = []byte("small")
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
	h := servertest.Described(t, (&copies{bytes: []byte("a copy")}).server(t).Admin())
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
