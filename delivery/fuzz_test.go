package delivery

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"

	"plugbeat/egress"
	"plugbeat/webhook"
)

// FuzzAnswer: whatever bytes a receiver answers with, what is recorded is bounded,
// printable where it is shown in a line, without an echo of what signed the
// request, and one of the outcomes there are.
func FuzzAnswer(f *testing.F) {
	log.SetOutput(io.Discard)
	f.Cleanup(func() { log.SetOutput(os.Stderr) })
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 503 Busy\r\nRetry-After: -5\r\n\r\nSIG", "HTTP/1.1 302 Found\r\nLocation: http://SIG@x/\r\nSet-Cookie: a=b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: SIG\r\n\r\n", "HTTP/1.1 103 Early\r\nLink: SIG\r\n\r\nHTTP/1.1 500 SIG\r\nX-\x1b: \x1b[31mSIG\r\n\r\n\xff\x00", "HTTP/1.1 101 Switching Protocols\r\n\r\nx",
		"HTTP/1.0 413\r\n\r\n", "SIG", "HTTP/1.1 SIG", "HTTP/1.1 200 OK\r\nSIG\r\n\r\n", "HTTP/1.1 401 No\r\nWww-Authenticate: Negotiate SIG\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b", "HTTP/1.1 410 Gone\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("token=1a&", 460), "HTTP/1.1 000 Nothing\r\n\r\n", "HTTP/1.1 099 Less\r\n\r\n", "HTTP/1.1 999 More\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	s := Settings{Timeout: 10 * time.Second}.complete()
	g := guardOf(f, egress.Options{Interfaces: connected})
	answered := []webhook.Outcome{webhook.OutcomeDelivered, webhook.OutcomeGone, webhook.OutcomeRefused, webhook.OutcomeFailed, webhook.OutcomeUnavailable}
	f.Fuzz(func(t *testing.T, answer []byte) {
		tr := newTransport(&s, g, true)
		var secrets []string
		var mu sync.Mutex
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
			us, them := net.Pipe()
			go func() {
				defer func() { _ = them.Close() }()
				var head []byte
				for buf := make([]byte, 4096); !bytes.Contains(head, []byte("\r\n\r\n{}")); {
					n, err := them.Read(buf)
					if head = append(head, buf[:n]...); err != nil {
						return
					}
				}
				mu.Lock()
				for line := range strings.SplitSeq(string(head), "\r\n") {
					if _, v, ok := strings.Cut(line, "ignature: "); ok {
						secrets = append(secrets, strings.TrimPrefix(v, "v1,"))
					}
				}
				text := bytes.ReplaceAll(answer, []byte("SIG"), []byte(secrets[len(answer)%2]))
				mu.Unlock()
				_, _ = them.Write(text)
			}()
			return us, nil
		}
		x := &sender{d: &Dispatcher{Options: Options{Settings: s, Guard: g, ManagementToken: testToken, Transport: tr}}}
		a := x.send(t.Context(), hookAt("http://receiver.test/"), uuid.UUID{1}, []byte("{}"))
		tr.CloseIdleConnections()
		mu.Lock()
		defer mu.Unlock()
		text := answerText(a) + a.ContentType + string(a.Body)
		if line := answerText(a) + a.ContentType; strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q is kept", line)
		}
		if !slices.Contains(answered, a.Outcome) || a.Status == 0 && a.Outcome != webhook.OutcomeUnavailable || a.Outcome != webhook.OutcomeDelivered && answerText(a) == "" {
			t.Fatalf("%+v", a)
		}
		if len(a.Body) > bodyKept || a.RetryAfter < 0 || a.Duration > 15*time.Second || len(answerText(a)) > 4000 {
			t.Fatalf("%d bytes of body, %s, %s", len(a.Body), a.RetryAfter, a.Duration)
		}
		for _, s := range secrets {
			if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
				t.Fatalf("%s is kept in %q", s, text)
			}
		}
	})
}
