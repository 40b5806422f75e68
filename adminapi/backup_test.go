package adminapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A backup that is cut off is an error, and so is a place that takes no more; the
// daemon's refusal comes through.
func TestBackup(t *testing.T) {
	whole := bytes.Repeat([]byte("x"), 3<<20)
	answer := func(length string, body []byte) *Client {
		return listen(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.URL.Path != "/api/v1/backup" {
				t.Errorf("it asks %s %s", r.Method, r.URL)
			}
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			_, _ = w.Write(body)
		})
	}
	var got bytes.Buffer
	if n, err := answer("3145728", whole).Backup(t.Context(), &got); err != nil || n != 3<<20 || !bytes.Equal(got.Bytes(), whole) {
		t.Errorf("%d bytes, %v", n, err)
	}
	c := answer("3145728", whole[:2<<20])
	if _, err := c.Backup(t.Context(), io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), c.Socket()) {
		t.Errorf("cut off: %v", err)
	}
	if _, err := answer("", whole).Backup(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "without its length") {
		t.Errorf("without a length: %v", err)
	}
	no := errors.New("no space left on device")
	c = answer("3145728", whole)
	if _, err := c.Backup(t.Context(), refusing{no}); !errors.Is(err, no) || strings.Contains(err.Error(), c.Socket()) {
		t.Errorf("a full disk here, which is not the daemon's: %v", err)
	}
	busy := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error":{"code":"unavailable","message":"a backup is being sent already"}}`)
	})
	if _, err := busy.Backup(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "being sent already") {
		t.Errorf("a busy daemon: %v", err)
	}
	if _, err := Dial(t.TempDir()+"/none").Backup(t.Context(), io.Discard); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("no daemon: %v", err)
	}
}

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }
