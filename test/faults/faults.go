// Package faults is the far side of a request gone wrong, for tests: receivers that
// take a request and then misbehave in one named way, listeners that never get so
// far, and a name server whose answers a test writes. All of it speaks over real
// sockets on loopback, and ends with the test.
package faults

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// Fault answers one request, which was read whole, on its bare connection. It
// returns when it has said what it has to say, or when the connection breaks; then
// the connection is closed.
type Fault func(c net.Conn)

// Names of the faults that a [Receiver] knows. Some end in an answer of 2xx, so a
// sender may take them for a success; see [Accepts].
const (
	EndlessHeaders = "endless-headers" // header lines without end
	EndlessLine    = "endless-line"    // one header line without end
	EndlessStatus  = "endless-status"  // a status line without end
	EndlessBody    = "endless-body"    // 200, then a body until the connection closes
	EndlessChunks  = "endless-chunks"  // 200, then chunks without end
	EndlessTrailer = "endless-trailer" // 200, an empty body, then trailers without end
	SlowHeaders    = "slow-headers"    // a byte of the headers now and then
	SlowBody       = "slow-body"       // 200, then a byte of the body now and then
	SlowError      = "slow-error"      // 500, then a byte of the body now and then
	GzipBomb       = "gzip-bomb"       // 200, 64 MiB of nothing in 64 KiB
	Informational  = "informational"   // 103 without end
	Continue       = "continue"        // 100 without end
	Informed       = "informed"        // three times 1xx, then 200
	BrokenBody     = "broken-body"     // 200, less than was announced, closed
	ResetBody      = "reset-body"      // 200, less than was announced, reset
	BrokenChunk    = "broken-chunk"    // 200, a chunk whose size is no number
	LongBody       = "long-body"       // 200, more than was announced
	TwoAnswers     = "two-answers"     // 200, and another 200 that nobody asked for
	SwitchProtocol = "switch"          // 101, then noise
	NoStatus       = "no-status"       // a body and nothing before it, as HTTP/0.9
	Noise          = "noise"           // random bytes
	BadStatus      = "bad-status"      // a status that is no number
	HTTP2          = "http2"           // the preface of HTTP/2
	BadLength      = "bad-length"      // a negative Content-Length
	TwoLengths     = "two-lengths"     // two that contradict each other
	Hang           = "hang"            // nothing
	Close          = "close"           // closed without an answer
	Reset          = "reset"           // reset without an answer
)

// Accepts reports whether the fault is in what follows the headers of a 2xx.
func Accepts(name string) bool {
	switch name {
	case EndlessBody, EndlessChunks, EndlessTrailer, SlowBody, GzipBomb, Informed, BrokenBody, ResetBody, BrokenChunk, LongBody, TwoAnswers:
		return true
	}
	return false
}

// drip is the time between two bytes of what comes slowly: far below any time that
// is given for one read, so only a deadline over the whole ends it.
const drip = 10 * time.Millisecond

const ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

// All returns every fault by its name.
func All() map[string]Fault {
	return map[string]Fault{
		EndlessHeaders: endless("HTTP/1.1 200 OK\r\n", "X-More: "+strings.Repeat("x", 100)+"\r\n"),
		EndlessLine:    endless("HTTP/1.1 200 OK\r\nX-More: ", strings.Repeat("x", 1000)),
		EndlessStatus:  endless("HTTP/1.1 200 ", strings.Repeat("x", 1000)),
		EndlessBody:    endless(ok+"\r\n", strings.Repeat("x", 1000)),
		EndlessChunks:  endless(ok+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n"),
		EndlessTrailer: endless(ok+"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n", "X: x\r\n"),
		SlowHeaders:    slowly("", "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 10000)),
		SlowBody:       slowly(ok+"Content-Length: 10000\r\n\r\n", strings.Repeat("x", 10000)),
		SlowError:      slowly("HTTP/1.1 500 Oops\r\nContent-Length: 10000\r\n\r\n", strings.Repeat("x", 10000)),
		GzipBomb:       gzipBomb,
		Informational:  endless("", "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"),
		Continue:       endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
		Informed: say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + ok +
			"Content-Length: 2\r\n\r\nok"),
		BrokenBody:     say(ok + "Content-Length: 1000\r\n\r\nhalf a sen"),
		ResetBody:      reset(ok + "Content-Length: 1000\r\n\r\nhalf a sen"),
		BrokenChunk:    say(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"),
		LongBody:       wait(ok + "Content-Length: 2\r\n\r\nok and much more than was announced"),
		TwoAnswers:     wait(ok + "Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
		SwitchProtocol: wait("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello"),
		NoStatus:       say("<html>hello</html>\r\n\r\n"),
		Noise:          noise,
		BadStatus:      say("HTTP/1.1 OK 200\r\nContent-Length: 0\r\n\r\n"),
		HTTP2:          say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
		BadLength:      say("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
		TwoLengths:     say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
		Hang:           wait(""),
		Close:          say(""),
		Reset:          reset(""),
	}
}

// Say is a fault that writes a text and closes.
func Say(text string) Fault { return say(text) }

func say(text string) Fault {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

// wait writes a text and leaves the connection open until the other side has enough.
func wait(text string) Fault {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
	}
}

func endless(first, then string) Fault {
	return func(c net.Conn) {
		_, err := io.WriteString(c, first)
		for err == nil {
			_, err = io.WriteString(c, then)
		}
	}
}

func slowly(first, then string) Fault {
	return func(c net.Conn) {
		_, err := io.WriteString(c, first)
		tick := time.NewTicker(drip)
		defer tick.Stop()
		for i := 0; i < len(then) && err == nil; i++ {
			<-tick.C
			_, err = io.WriteString(c, then[i:i+1])
		}
	}
}

// reset breaks the connection off instead of closing it.
func reset(text string) Fault {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		if t, ok := c.(interface{ SetLinger(int) error }); ok {
			_ = t.SetLinger(0)
		}
	}
}

func gzipBomb(c net.Conn) {
	_, _ = io.WriteString(c, ok+"Content-Encoding: gzip\r\n\r\n")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	_, _ = c.Write(bytes.Repeat(b.Bytes(), 64)) // gzip goes on with what follows
}

func noise(c net.Conn) {
	b := make([]byte, 4096)
	for i := range b {
		b[i] = byte(rand.IntN(256)) //nolint:gosec // noise
	}
	b[0] = 0xff // never the H of an answer
	_, _ = c.Write(b)
}
