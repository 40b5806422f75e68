package delivery

import (
	"bytes"
	"context"
	"io"
	"log"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"

	"plugbeat/internal/faults"
	"plugbeat/webhook"
)

// FuzzGuard: whatever a callback's host is and whatever its name resolves to, what
// is dialled is no address that is refused, by arithmetic that shares no table with
// the guard; and nothing panics.
func FuzzGuard(f *testing.F) {
	for _, class := range classed {
		for text := range strings.FieldsSeq(class.addrs) {
			addr := netip.MustParseAddr(text)
			for i, s := range map[bool]func(netip.Addr) []spelling{true: spellings4, false: spellings6}[addr.Is4()](addr) {
				if i%7 == len(class.says)%7 { // the corpus tries them all
					f.Add(s.host, addr.AsSlice(), uint8(i))
				}
			}
		}
	}
	nets, _ := connected()
	own := netip.MustParseAddrPort("[::]:8080")
	var guards []*Guard
	for _, allow := range [][]string{nil, {"private"}, {"loopback"}, {"0.0.0.0/0", "::/0"}} {
		g, err := NewGuard(allow)
		if err != nil {
			f.Fatal(err)
		}
		g.interfaces = connected
		g.SetOwn([]netip.AddrPort{own})
		guards = append(guards, g)
	}
	var mu sync.Mutex
	var answers []netip.Addr
	var dialled []string
	resolver := faults.Names(func(faults.Question) faults.Reply {
		mu.Lock()
		defer mu.Unlock()
		return faults.Reply{Addrs: answers}
	})
	s, err := Settings{Timeout: 10 * time.Second}.complete()
	if err != nil {
		f.Fatal(err)
	}
	for _, g := range guards {
		g.resolver = resolver
		g.dialling = func(address string) error {
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, address)
			return errCut
		}
	}
	f.Fuzz(func(t *testing.T, host string, answer []byte, how uint8) {
		g, consent, port := guards[how%4], how&4 != 0, "80"
		if how&8 != 0 {
			port = "8080" // our own
		}
		if strings.Contains(host, "localhost") && strings.Contains(strings.ToLower(host), "localhost") {
			return // that is /etc/hosts's
		}
		mu.Lock()
		answers, dialled = nil, nil
		for len(answer) > 0 {
			n := 4
			if how&16 != 0 {
				n = 16
			}
			if a, ok := netip.AddrFromSlice(answer[:min(n, len(answer))]); ok {
				answers = append(answers, a)
			}
			answer = answer[min(n, len(answer)):]
		}
		mu.Unlock()
		uri := "http://" + host + ":" + port + "/"
		d := &Dispatcher{guard: g}
		_ = d.checkCallback(uri, consent) // refused or not, it may have been stored before
		_ = g.Check(host, host, consent)
		x := &sender{s: &s, guard: g, token: testToken}
		w := hookAt(uri)
		w.AllowPrivate = consent
		x.send(t.Context(), w, uuid.UUID{1}, []byte("{}"))
		x.close()
		mu.Lock()
		defer mu.Unlock()
		for _, a := range dialled {
			ap, err := netip.ParseAddrPort(a)
			if err != nil {
				t.Fatalf("%q is dialled, which is no address", a)
			}
			never, ask := refusedAt(ap.Addr(), nets)
			ip := ap.Addr().Unmap()
			near := slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(ip) })
			loopback := ip.IsLoopback() || slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Addr() == ip && !ip.IsPrivate() })
			granted := consent || how%4 == 3 || how%4 == 2 && loopback || how%4 == 1 && !loopback
			if never || ask && !granted {
				t.Fatalf("%q leads to %s (consent %v, allowed %v, near %v)", uri, a, consent, how%4, near)
			}
			if ap.Port() == own.Port() && (ip.IsLoopback() || slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Addr() == ip })) {
				t.Fatalf("%q leads to our own listener at %s", uri, a)
			}
		}
	})
}

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
	s, err := Settings{Timeout: 10 * time.Second, BodyTime: 10 * time.Second}.complete()
	if err != nil {
		f.Fatal(err)
	}
	g, err := NewGuard(nil)
	if err != nil {
		f.Fatal(err)
	}
	g.interfaces = connected
	outcomes := []webhook.Outcome{webhook.OutcomeDelivered, webhook.OutcomeGone, webhook.OutcomeBlamed, webhook.OutcomeThrottled, webhook.OutcomeRedirect, webhook.OutcomeRefused, webhook.OutcomeNoAnswer}
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
		x := &sender{s: &s, guard: g, token: testToken, transport: tr}
		a := x.send(t.Context(), hookAt("http://receiver.test/"), uuid.UUID{1}, []byte("{}"))
		tr.CloseIdleConnections()
		mu.Lock()
		defer mu.Unlock()
		size := 0
		text := answerText(a) + string(a.Body)
		for _, name := range slices.Sorted(maps.Keys(a.Header)) {
			text += " " + name + " " + strings.Join(a.Header[name], " ")
			for _, v := range a.Header[name] {
				size += len(name) + len(v)
				if strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Fatalf("%s is kept as %q", name, v)
				}
			}
		}
		if !slices.Contains(outcomes, a.Outcome) || a.Outcome != webhook.OutcomeDelivered && answerText(a) == "" || a.Outcome.Answered() != (a.Status != 0) {
			t.Fatalf("%+v", a)
		}
		if len(a.Body) > s.BodyBytes || size > keptHeaderBytes || len(a.Header) > keptHeaders || a.RetryAfter < 0 || a.Duration > 15*time.Second || len(answerText(a)) > 4000 {
			t.Fatalf("%d bytes of body, %d of headers, %s, %s", len(a.Body), size, a.RetryAfter, a.Duration)
		}
		for _, s := range secrets {
			if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
				t.Fatalf("%s is kept in %q", s, text)
			}
		}
	})
}
