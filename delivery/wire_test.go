package delivery

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/egress"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// raw is a receiver that speaks bytes: what it got, and what it answers.
func raw(t *testing.T, serve func(n int, request string, c net.Conn)) (uri string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	var n atomic.Int32
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				for {
					var head strings.Builder
					length := 0
					for {
						line, err := r.ReadString('\n')
						if err != nil {
							return
						}
						head.WriteString(line)
						if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
							length, _ = strconv.Atoi(strings.TrimSpace(v))
						}
						if line == "\r\n" {
							break
						}
					}
					body := make([]byte, length)
					if _, err := io.ReadFull(r, body); err != nil {
						return
					}
					serve(int(n.Add(1)), head.String()+string(body), c)
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String() + "/hook?x=1"
}

// connected are the interfaces of a machine with both families and a home network,
// whatever the one has that runs the test.
func connected() ([]netip.Prefix, error) {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.168.77.2/24"),
		netip.MustParsePrefix("2a01:db77:1::2/64"), netip.MustParsePrefix("81.2.69.140/24"), netip.MustParsePrefix("fe80::2/64"),
	}, nil
}

func wireSender(t *testing.T, s Settings) *sender {
	t.Helper()
	return wireSenderOver(t, s, egress.Options{Interfaces: connected})
}

// wireSenderOver is a sender over another network.
func wireSenderOver(t *testing.T, s Settings, network egress.Options) *sender {
	t.Helper()
	x := &sender{d: &Dispatcher{Options: Options{Settings: s.complete(), Guard: guardOf(t, network), ManagementToken: testToken}}}
	t.Cleanup(x.close)
	return x
}

func guardOf(t testing.TB, o egress.Options) *egress.Guard {
	t.Helper()
	g, err := egress.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var wireKey = webhook.Secret("0123456789abcdef0123456789abcdef")

func hookAt(uri string) *webhook.Webhook {
	return &webhook.Webhook{ID: uuid.UUID{1}, CallbackURI: uri, AllowPrivate: true, Signing: webhook.SignBoth, Key: wireKey}
}

func TestHeadersOnTheWire(t *testing.T) {
	got := make(chan string, 1)
	uri := raw(t, func(_ int, request string, c net.Conn) {
		got <- request
		_, _ = fmt.Fprint(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	body := []byte(`{"a":1}`)
	id := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	for _, how := range []webhook.Signing{webhook.SignBoth, webhook.SignSmartcar, webhook.SignStandard} {
		w := hookAt(uri)
		w.Signing = how
		a := wireSender(t, Settings{}).send(t.Context(), w, id, body)
		if a.Outcome != webhook.OutcomeDelivered || a.Status != 204 || !strings.HasPrefix(a.Address, "127.0.0.1:") {
			t.Fatalf("%+v", a)
		}
		request := <-got
		smartcar := "\r\nSC-Signature: " + signing.Smartcar(testToken, body) + "\r\n"
		standard := fmt.Sprintf("\r\nwebhook-timestamp: %d\r\n", a.StartedAt.Unix())
		signature := "\r\nwebhook-signature: " + signing.Standard(wireKey, id, a.StartedAt, body) + "\r\n"
		for text, want := range map[string]bool{
			"POST /hook?x=1 HTTP/1.1\r\n":            true,
			"\r\nContent-Type: application/json\r\n": true,
			"\r\nUser-Agent: Smartcar/2.0\r\n":       true,
			"\r\nContent-Length: 7\r\n":              true,
			"\r\n\r\n{\"a\":1}":                      true,
			smartcar:                                 how != webhook.SignStandard,
			standard:                                 how != webhook.SignSmartcar,
			signature:                                how != webhook.SignSmartcar,
			"\r\nwebhook-id: " + id.String():         how != webhook.SignSmartcar,
			"Accept-Encoding":                        false,
			"Idempotency":                            false,
		} {
			if strings.Contains(request, text) != want {
				t.Errorf("%s: %q in the request is %v\n%s", how, text, !want, request)
			}
		}
	}
}

func TestAnswersOnTheWire(t *testing.T) {
	s := Settings{Timeout: 500 * time.Millisecond}
	endless := func(c net.Conn, line string) {
		_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
		for {
			if _, err := io.WriteString(c, line); err != nil {
				return
			}
		}
	}
	hang := func(net.Conn) { time.Sleep(3 * time.Second) }
	for name, tc := range map[string]struct {
		answer  func(c net.Conn)
		outcome webhook.Outcome
		most    time.Duration
		body    int
	}{
		"redirect": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
		}, webhook.OutcomeFailed, time.Second, 0},
		"slow body": {func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"); hang(c) }, webhook.OutcomeDelivered, 2500 * time.Millisecond, 2},
		"endless body": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			endless(c, strings.Repeat("x", 1000))
		}, webhook.OutcomeDelivered, time.Second, 512},
		"broken body": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
			_ = c.Close()
		}, webhook.OutcomeDelivered, time.Second, 2},
		"gzip is not kept": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
		}, webhook.OutcomeDelivered, time.Second, len("[a body in gzip, which is not inflated]")},
		"endless headers": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			endless(c, "A: "+strings.Repeat("x", 1000)+"\r\n")
		}, webhook.OutcomeUnavailable, time.Second, 0},
		"slow headers": {func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"); hang(c) }, webhook.OutcomeUnavailable, time.Second, 0},
		"silence":      {hang, webhook.OutcomeUnavailable, time.Second, 0},
		"reset":        {func(c net.Conn) { _ = c.Close() }, webhook.OutcomeUnavailable, time.Second, 0},
		"nonsense":     {func(c net.Conn) { _, _ = io.WriteString(c, "hello\r\n\r\n"); _ = c.Close() }, webhook.OutcomeUnavailable, time.Second, 0},
		"1xx first": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}, webhook.OutcomeDelivered, time.Second, 0},
		"1xx for ever": {func(c net.Conn) { endless(c, "HTTP/1.1 103 Early Hints\r\n\r\n") }, webhook.OutcomeUnavailable, time.Second, 0},
		"switch protocols": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		}, webhook.OutcomeFailed, time.Second, 0},
		"too large": {func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n") }, webhook.OutcomeRefused, time.Second, 0},
		"an error that asks for a wait": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 500 Oops\r\nRetry-After: 7200\r\nContent-Length: 0\r\n\r\n")
		}, webhook.OutcomeFailed, time.Second, 0},
		"throttled": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nRetry-After: 7200\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n")
		}, webhook.OutcomeUnavailable, time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uri := raw(t, func(_ int, _ string, c net.Conn) { tc.answer(c) })
			a := wireSender(t, s).send(t.Context(), hookAt(uri), uuid.New(), []byte("{}"))
			if a.Outcome != tc.outcome || a.Duration > tc.most || len(a.Body) != tc.body {
				t.Errorf("%s %d after %s, body %d bytes, %q", a.Outcome, a.Status, a.Duration, len(a.Body), answerText(a))
			}
			if a.Outcome != webhook.OutcomeDelivered && answerText(a) == "" {
				t.Error("nothing says what happened")
			}
			if name == "throttled" && (a.RetryAfter != 2*time.Hour || a.ContentType != "text/plain") {
				t.Errorf("%+v", a)
			}
			if name != "throttled" && a.RetryAfter != 0 {
				t.Errorf("Retry-After is honoured: %+v", a)
			}
			if name == "redirect" && !strings.Contains(answerText(a), "302: it leads to http://127.0.0.1:1/, and redirects are never followed") {
				t.Error(answerText(a))
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNoListenerOfOurs(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
	defer srv.Close()
	x := wireSender(t, Settings{})
	w := hookAt(srv.URL)
	if a := x.send(t.Context(), w, uuid.New(), nil); a.Outcome != webhook.OutcomeDelivered {
		t.Error(answerText(a))
	}
	// Without the consent the same connection is not used again.
	w.AllowPrivate = false
	a := x.send(t.Context(), w, uuid.New(), nil)
	if a.Outcome != webhook.OutcomeUnreachable || !strings.Contains(answerText(a), "loopback") || !strings.Contains(answerText(a), "delivery.allow") {
		t.Error(a.Outcome, answerText(a))
	}
	w.AllowPrivate = true
	x.d.Guard.SetOwn([]netip.AddrPort{netip.MustParseAddrPort(srv.Listener.Addr().String())})
	if a := x.send(t.Context(), w, uuid.New(), nil); a.Outcome != webhook.OutcomeUnreachable || !strings.Contains(answerText(a), "own listener") {
		t.Error(a.Outcome, answerText(a))
	}
}

func TestNothingListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	uri := "http://" + ln.Addr().String()
	_ = ln.Close()
	a := wireSender(t, Settings{}).send(t.Context(), hookAt(uri), uuid.New(), nil)
	if a.Outcome != webhook.OutcomeUnreachable || !strings.Contains(a.Cause, "is the receiver running") || a.Address == "" {
		t.Errorf("%+v", a)
	}
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	a = wireSender(t, Settings{}).send(t.Context(), hookAt(srv.URL), uuid.New(), nil)
	if a.Outcome != webhook.OutcomeUnreachable || !strings.Contains(a.Cause, "certificate") {
		t.Errorf("%+v", a)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	a = wireSender(t, Settings{}).send(t.Context(), hookAt(strings.Replace(plain.URL, "http:", "https:", 1)), uuid.New(), nil)
	if a.Outcome != webhook.OutcomeUnreachable || !strings.Contains(a.Cause, "http instead of https") {
		t.Errorf("%+v", a)
	}
}

func TestInterrupted(t *testing.T) {
	uri := raw(t, func(int, string, net.Conn) { time.Sleep(2 * time.Second) })
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errInterrupted) })
	if a := wireSender(t, Settings{}).send(ctx, hookAt(uri), uuid.New(), nil); a.Outcome != webhook.OutcomeInterrupted || a.Error != "plugbeat stopped" {
		t.Errorf("%+v", a)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if a := wireSender(t, Settings{}).send(gone, hookAt(uri), uuid.New(), nil); a.Outcome != webhook.OutcomeInterrupted || a.Error != "given up before an answer came" {
		t.Errorf("%+v", a)
	}
}

func TestChallengeOnTheWire(t *testing.T) {
	answer := func(c string) string { return c }
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if got := r.Header.Get("SC-Signature"); got != signing.Smartcar(testToken, b) {
			w.WriteHeader(401)
			return
		}
		c, _ := bytes.CutPrefix(b, []byte("challenge "))
		_, _ = fmt.Fprint(w, answer(string(c)))
	}))
	defer srv.Close()
	d, err := New(Options{
		Settings: defaultSettings(), Store: partsOf(openStore(t, filepath.Join(t.TempDir(), "plugbeat.db"), zerolog.Nop())), ManagementToken: testToken,
		Guard: guardOf(t, egress.Options{}), Meter: unmetered{}, Bodies: Bodies{
			Verify: func(_ uuid.UUID, c string) []byte { return []byte("challenge " + c) }, Test: func(*webhook.Webhook) []byte { return []byte("{}") }}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Add(t.Context(), webhook.Webhook{Name: "x", CallbackURI: srv.URL}); err == nil {
		t.Error("loopback was taken without consent")
	}
	w, err := d.Add(t.Context(), webhook.Webhook{Name: "x", CallbackURI: srv.URL, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	right := func(c string) string { return `{"challenge":"` + signing.AnswerOf(testToken, c) + `"}` }
	for name, wrong := range map[string]struct {
		answer func(string) string
		says   string
	}{
		"echo":    {func(c string) string { return `{"challenge":"` + c + `"}` }, `the answer begins with "{\"challenge\":`},
		"empty":   {func(string) string { return "" }, "plugbeat bridge"},
		"html":    {func(string) string { return "<html>" }, `the answer begins with "<html>"`},
		"secrets": {func(string) string { return string(testToken) + " is right" }, `the answer begins with "[redacted] is right"`},
		"wrong":   {func(c string) string { return `{"challenge":"` + signing.AnswerOf(webhook.Secret("x"), c) + `"}` }, "the hash is wrong"},
		"long":    {func(c string) string { return right(c)[:1] + strings.Repeat(" ", 8<<10) + right(c)[1:] }, "only its first 4096 bytes were read"},
	} {
		answer = wrong.answer
		_, c, err := d.Verify(t.Context(), w.ID)
		if !errors.Is(err, webhook.ErrChallenge) || c.Status != 200 || !strings.Contains(c.Text, wrong.says) || !strings.Contains(err.Error(), c.Text) {
			t.Errorf("%s: %+v %v", name, c, err)
		}
		if kept, err := d.Store.Webhook(t.Context(), w.ID); err != nil || kept.Status != webhook.Unverified {
			t.Errorf("%s: %s %v", name, kept.Status, err)
		}
	}
	answer = func(c string) string { return "\xef\xbb\xbf" + right(c) }
	if got, _, err := d.Verify(t.Context(), w.ID); err != nil || got.Status != webhook.Active {
		t.Errorf("%v", err)
	}
}
