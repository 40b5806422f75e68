package servertest

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server"
)

// OverSocket serves the admin API on a unix socket and returns a client of it.
func OverSocket(t *testing.T, s *server.Server) *adminapi.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := s.HTTP(Described(t, s.Admin()))
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	c := adminapi.Dial(socket)
	t.Cleanup(func() { c.Close(); _ = srv.Close(); <-done })
	return c
}

// Refused fails where the error is not one of the API with the code that says all parts.
func Refused(t *testing.T, err error, code adminapi.Code, parts ...string) {
	t.Helper()
	_ = Refusal(t, err, code, parts...)
}

// Refusal is Refused, for looking closer.
func Refusal(t *testing.T, err error, code adminapi.Code, parts ...string) *adminapi.Error {
	t.Helper()
	e, ok := errors.AsType[*adminapi.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("error %v, want %s", err, code)
	}
	if e.Message == "" || e.RequestID == "" || e.Status < 400 {
		t.Errorf("error %+v lacks a message, a request id or a status", e)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
	return e
}

// Must fails the test where a call did.
func Must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Ask sends a request with a token to a handler.
func Ask(t *testing.T, h http.Handler, token, method, target, body string, header ...[2]string) (*httptest.ResponseRecorder,
	*adminapi.Error) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range header {
		r.Header.Add(h[0], h[1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	var e adminapi.Envelope
	if rec.Code >= 400 {
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || e.Error == nil {
			t.Fatalf("%s %s: %d %s", method, target, rec.Code, rec.Body)
		}
		return rec, e.Error
	}
	return rec, &adminapi.Error{}
}

// Example is a path with what stands in its places in the world.
func Example(path string) string {
	return strings.NewReplacer("{webhook}", "home", "{vehicle}", VehicleA.String(), "{delivery}", NoID.String(), "{name}", "one").Replace(path)
}
