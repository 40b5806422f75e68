package daemon

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/test/faults"
)

// What net/http says of a receiver that sends more than it announced is an event,
// without what the receiver sent.
func TestStray(t *testing.T) {
	lines := make(chan string, 10)
	log.SetFlags(0)
	log.SetOutput(strayLog{zerolog.New(writer(func(b []byte) { lines <- string(b) }))})
	defer func() { log.SetFlags(log.LstdFlags); log.SetOutput(io.Discard) }()

	addr := faults.Listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nhunter2")
		_, _ = io.Copy(io.Discard, c)
	})
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	select {
	case line := <-lines:
		if !strings.Contains(line, `"event":"http.stray"`) || !strings.Contains(line, `"level":"debug"`) || strings.Contains(line, "hunter2") {
			t.Error(line)
		}
	case <-time.After(10 * time.Second):
		t.Error("net/http says nothing")
	}

	var b bytes.Buffer
	n, err := strayLog{zerolog.New(&b)}.Write([]byte("something else\n"))
	if err != nil || n != 15 || !strings.Contains(b.String(), `"event":"log.other","text":"something else"`) {
		t.Error(n, err, b.String())
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }
