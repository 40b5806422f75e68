package delivery

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/webhook"
)

const (
	// turning turns the direction of writing and begins a new line. A header may hold it.
	turning = "\u202Eevil\u2028next\u0085"
	// hostileText also moves a terminal's cursor and is not all UTF-8.
	hostileText = "\x1b[2K" + turning + "\xff"
)

// What a receiver answers is one line of printable text wherever an attempt, a challenge
// or the log shows it: a redirect's target, a content type, an encoding, a wrong answer.
func TestAnswersAreEscaped(t *testing.T) {
	for name, answer := range map[string]string{
		"a redirect":       "HTTP/1.1 302 Found\r\nLocation: http://x/" + turning + "\r\n\r\n",
		"a content type":   "HTTP/1.1 500 Oops\r\nContent-Type: text/" + turning + "\r\n\r\n",
		"an encoding":      "HTTP/1.1 500 Oops\r\nContent-Encoding: " + turning + "\r\n\r\nx",
		"a bad status":     "HTTP/1.1 2" + hostileText + "0 OK\r\n\r\n",
		"no HTTP":          hostileText + "\r\n\r\n",
		"a wrong answer":   "HTTP/1.1 200 OK\r\n\r\n{\"challenge\":\"" + hostileText + "\"}",
		"a wrong key":      "HTTP/1.1 200 OK\r\n\r\n{\"" + hostileText + "\":1}",
		"a text as answer": "HTTP/1.1 200 OK\r\n\r\n" + hostileText,
	} {
		uri := raw(t, func(_ int, _ string, c net.Conn) {
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		})
		x, logged := wireSender(t, Settings{}), &safeLog{}
		x.d.Log, x.d.Meter = zerolog.New(logged), unmetered{}
		x.d.Bodies.Verify = func(uuid.UUID, string) []byte { return []byte("{}") }
		a := x.send(t.Context(), hookAt(uri), uuid.New(), []byte("{}"))
		x.d.reportAttempt(&webhook.Delivery{}, Ended{Attempt: a})
		c := x.d.challenge(t.Context(), hookAt(uri))
		shown := []string{a.Error, a.Cause, a.ContentType, answerText(a), c.Text, fmt.Sprint(c.err), c.ContentType}
		if strings.Contains(answer, "Content-Encoding") {
			shown = append(shown, string(a.Body))
		}
		for _, text := range append(shown, strings.Split(strings.TrimSpace(logged.String()), "\n")...) {
			if strings.ContainsFunc(text, acts) || !utf8.ValidString(text) {
				t.Errorf("%s: shown as %q", name, text)
			}
		}
	}
}

// acts reports whether a terminal does something at a character but show it.
func acts(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}
