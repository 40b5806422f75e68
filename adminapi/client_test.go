package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// listen serves h on a unix socket and returns a client of it.
func listen(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	c := Dial(socket)
	t.Cleanup(func() { c.Close(); _ = srv.Close(); <-done })
	return c
}

func TestNoDaemon(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"missing": filepath.Join(dir, "missing"), "stale": stale, "a file": file} {
		_, err := Dial(path).Status(t.Context())
		if !errors.Is(err, ErrNoDaemon) {
			t.Errorf("%s: %v is not ErrNoDaemon", name, err)
			continue
		}
		want := "no plugbeat daemon answers at " + path + ": start it with `plugbeat serve --config FILE`, or name its socket with --socket"
		if err.Error() != want {
			t.Errorf("%s: %q\nwant %q", name, err, want)
		}
	}
	if _, err := Dial(filepath.Join(dir, "missing")).Status(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is not in the chain: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	denied := &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}
	err := Dial("/run/x.sock").unreachable(t.Context(), denied)
	if errors.Is(err, ErrNoDaemon) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "join its group") {
		t.Errorf("permission: %v", err)
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if _, err := Dial(long).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "at most 107 bytes") {
		t.Errorf("long path: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial("/nowhere").Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	c := listen(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("cut off: %v", err)
	}
}

// TestNoAnswer: a daemon that takes a call and is silent ends it in time, and is not
// mistaken for one that is not there, nor for a caller who gave up.
func TestNoAnswer(t *testing.T) {
	release := make(chan struct{})
	c := listen(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	err := c.within(20*time.Millisecond).do(t.Context(), http.MethodGet, "/api/v1/status", nil, nil, nil)
	want := "the daemon at " + c.Socket() + " accepts connections but does not answer; look at its log, or restart it"
	if !errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrNoDaemon) || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Status(ctx); errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's own deadline: %v", err)
	}
}

// waits records how long a call would wait for its answer.
type waits struct{ last time.Duration }

func (w *waits) RoundTrip(r *http.Request) (*http.Response, error) {
	if end, ok := r.Context().Deadline(); ok {
		w.last = time.Until(end).Round(time.Second)
	}
	return nil, errors.New("no daemon in this test")
}

// TestPatience: every call has an end, and those that wait for others have a later one.
func TestPatience(t *testing.T) {
	var w waits
	c := Dial("s")
	c.http.Transport = &w
	ctx, id := t.Context(), uuid.New()
	for want, calls := range map[time.Duration][]func(){
		15 * time.Second: {func() { _, _ = c.Status(ctx) }, func() { _, _ = c.Webhooks(ctx, "", 0) },
			func() { _, _ = c.DisableWebhook(ctx, "x") }, func() { _, _ = c.Delivery(ctx, id) }},
		time.Minute: {func() { _, _ = c.RemoveWebhook(ctx, "x") }, func() { _, _ = c.DisconnectVehicle(ctx, "x") },
			func() { _, _ = c.Subscribe(ctx, Subscribe{}) }},
		40 * time.Second: {func() { _, _ = c.VerifyWebhook(ctx, "x") }, func() { _, _ = c.TestWebhook(ctx, "x") },
			func() { _, _ = c.EnableWebhook(ctx, "x", false, "") }},
		330 * time.Second: {func() { _, _ = c.ReadVehicle(ctx, "x", 1) }, func() { _, _ = c.ConnectVehicles(ctx, "x", "") }},
		10 * time.Minute:  {func() { _, _ = c.Check(ctx) }},
	} {
		for i, call := range calls {
			w.last = 0
			call()
			if w.last != want {
				t.Errorf("call %d waits %v, want %v", i, w.last, want)
			}
		}
	}
}

func TestStranger(t *testing.T) {
	for _, answer := range []string{"404 page not found", `{"error":"x"}`, `{"error":{}}`, `null`} {
		c := listen(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprint(w, answer)
		})
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "is it a plugbeat daemon") {
			t.Errorf("%s: %v", answer, err)
		}
	}
	c := listen(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>") })
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "is it a plugbeat daemon") {
		t.Errorf("HTML: %v", err)
	}
}

func TestErrorIs(t *testing.T) {
	for code, target := range map[Code]error{
		CodeNotFound: webhook.ErrNotFound, CodeConflict: webhook.ErrConflict, CodeExists: webhook.ErrExists,
		CodeNoSpace: webhook.ErrNoSpace, CodeReadOnly: webhook.ErrReadOnly, CodeChallengeFailed: webhook.ErrChallenge,
	} {
		c := listen(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(Envelope{Error: &Error{Code: code, Message: "m", Allowed: "a", Hint: "h"}})
		})
		_, err := c.Status(t.Context())
		if !errors.Is(err, target) || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s is not %v: %v", code, target, err)
		}
		if err.Error() != "m; allowed: a (h)" {
			t.Errorf("text %q", err)
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusConflict {
			t.Errorf("status of %v", err)
		}
	}
}

// A name never reaches another route than its own.
func TestNamesInPaths(t *testing.T) {
	var got string
	c := listen(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.EscapedPath() + "?" + r.URL.RawQuery
		_, _ = fmt.Fprint(w, "{}")
	})
	for name, want := range map[string]string{"home": "home", "a/b": "a%2Fb", "a?b#c": "a%3Fb%23c", "é ": "%C3%A9%20"} {
		if _, err := c.EnableWebhook(t.Context(), name, true, ""); err != nil || got != "POST /api/v1/webhooks/"+want+"/enable?force=true" {
			t.Errorf("%q went to %s, %v", name, got, err)
		}
	}
	got = ""
	for _, name := range []string{"", ".", ".."} {
		if _, err := c.RemoveWebhook(t.Context(), name); !errors.As(err, new(*webhook.Invalid)) || got != "" {
			t.Errorf("%q went to %s, %v", name, got, err)
		}
	}
	if _, err := c.Deliveries(t.Context(), DeliveryQuery{Webhook: "a&b", Vehicle: uuid.Max.String(), State: webhook.Dead, Since: time.Unix(1, 0), Before: "x", Limit: 7}); err != nil {
		t.Fatal(err)
	}
	if want := "GET /api/v1/deliveries?before=x&limit=7&since=1970-01-01T00%3A00%3A01Z&state=dead&vehicle=ffffffff-ffff-ffff-ffff-ffffffffffff&webhook=a%26b"; got != want {
		t.Errorf("went to %s\nwant %s", got, want)
	}
}

func TestAll(t *testing.T) {
	pages := map[string]Page[int]{"": {Items: []int{1, 2}, Next: "a"}, "a": {Items: []int{3}, Next: "b"}, "b": {Items: []int{4}, Next: "b"}}
	var got []int
	for v, err := range All(func(after string) (Page[int], error) { return pages[after], nil }) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if fmt.Sprint(got) != "[1 2 3 4]" {
		t.Errorf("%v", got)
	}
	bad := errors.New("x")
	n := 0
	for _, err := range All(func(string) (Page[int], error) { n++; return Page[int]{}, bad }) {
		if !errors.Is(err, bad) {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("asked %d times", n)
	}
}
