package servertest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Answer is a response with its headers as they were spelt on the wire.
type Answer struct {
	Status int
	Header map[string][]string
	Body   string
}

// Exchange sends one request over a real HTTP/1.1 connection.
func Exchange(tb testing.TB, addr, method, target string, header [][2]string, body string) Answer {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: plugbeat\r\nConnection: close\r\nContent-Length: %d\r\n", method, target, len(body))
	for _, h := range header {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if _, err := io.WriteString(conn, b.String()+"\r\n"+body); err != nil {
		tb.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if err != nil && len(raw) == 0 {
		tb.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(raw), "\r\n\r\n")
	a := Answer{Header: map[string][]string{}, Body: rest}
	lines := bufio.NewScanner(strings.NewReader(head))
	lines.Scan()
	if _, err := fmt.Sscanf(lines.Text(), "HTTP/1.1 %d", &a.Status); err != nil {
		tb.Fatalf("status line %q: %v", lines.Text(), err)
	}
	for lines.Scan() {
		k, v, _ := strings.Cut(lines.Text(), ": ")
		a.Header[k] = append(a.Header[k], v)
	}
	return a
}

// Serve serves a handler and returns its address.
func Serve(tb testing.TB, h http.Handler) string {
	tb.Helper()
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// BearerOf is the header with the token.
func BearerOf(token string) [][2]string { return [][2]string{{"Authorization", "Bearer " + token}} }

// WellFormed holds what every Answer of /v2.0 must be for every SDK.
func WellFormed(t *testing.T, a Answer) map[string]any {
	t.Helper()
	if got := a.Header["content-type"]; len(got) != 1 || got[0] != "application/json" {
		t.Errorf("content-type %q, want application/json once, in lower case: %v", got, a.Header)
	}
	ids := a.Header["sc-request-id"]
	if len(ids) != 1 {
		t.Fatalf("sc-request-id %q, want one, in lower case: %v", ids, a.Header)
	}
	if _, err := uuid.Parse(ids[0]); err != nil {
		t.Errorf("sc-request-id %q is not a UUID", ids[0])
	}
	for k := range a.Header {
		if low := strings.ToLower(k); k != low && (strings.HasPrefix(low, "sc-") || low == "retry-after" || low == "content-type") {
			t.Errorf("header %s is not in lower case", k)
		}
	}
	if a.Header["Location"] != nil || a.Status/100 == 3 {
		t.Errorf("%d redirects", a.Status)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatalf("body %q: %v", a.Body, err)
	}
	if a.Status >= 400 {
		ErrorObject(t, body, a.Status, ids[0])
	}
	return body
}

// ErrorObject holds what the SDKs need of an error body; Java is the strictest.
func ErrorObject(t *testing.T, e map[string]any, status int, id string) {
	t.Helper()
	for _, k := range []string{"type", "description", "docURL", "requestId"} {
		if v, ok := e[k].(string); !ok || v == "" {
			t.Errorf("error's %s is %v, want a text", k, e[k])
		}
	}
	if c, ok := e["code"]; !ok {
		t.Error("error has no code")
	} else if _, text := c.(string); c != nil && !text {
		t.Errorf("error's code is %v", c)
	}
	if e["statusCode"] != float64(status) {
		t.Errorf("statusCode %v, status %d", e["statusCode"], status)
	}
	if id != "" && e["requestId"] != id {
		t.Errorf("requestId %v, header %s", e["requestId"], id)
	}
	r, ok := e["resolution"].(map[string]any)
	if !ok {
		t.Fatalf("resolution is %v", e["resolution"])
	}
	if _, ok := r["type"]; !ok {
		t.Error("resolution has no type")
	}
	if u, ok := r["url"]; ok && u == nil {
		t.Error("resolution's url is null")
	}
	if d, ok := e["detail"]; ok {
		if list, ok := d.([]any); !ok || len(list) == 0 {
			t.Errorf("detail is %v, want a list", d)
		}
	}
}

// BasicOf is the Basic header of a user and a password.
func BasicOf(user, password string) [][2]string {
	return [][2]string{{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}}
}
