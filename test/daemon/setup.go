package daemon

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/adminapi"
)

// Ports gives a config's listeners places of their own: http.api any free port, http.admin
// none. Each text of more is replaced by the one that follows it.
func Ports(config string, more ...string) string {
	return strings.NewReplacer(append([]string{"127.0.0.1:8765", "127.0.0.1:0", "127.0.0.1:8766", `""`}, more...)...).Replace(config)
}

// Keys is a receiver that learns a webhook's key.
type Keys interface {
	Know(webhook, key string) error
}

// Webhook adds a webhook whose receiver may be on this machine, tells the receiver its key,
// and verifies it.
func (d *Daemon) Webhook(r Keys, w adminapi.NewWebhook) adminapi.WebhookAdded {
	d.t.Helper()
	c, ctx := d.Client(), context.Background()
	w.AllowPrivate = true
	added, err := c.AddWebhook(ctx, w)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := r.Know(added.Webhook.ID.String(), added.SigningKey); err != nil {
		d.t.Fatal(err)
	}
	if _, err := c.VerifyWebhook(ctx, w.Name); err != nil {
		d.t.Fatalf("%s: %v", w.Name, err)
	}
	return added
}

// Eventually waits until something is so, at most a minute and a half.
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 90 s it is not so that %s", what)
		}
	}
}

// FreeAddress returns a loopback address that nobody listens on now.
func FreeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// Buffer keeps what processes print. Its methods are safe for concurrent use.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Tail returns the last n bytes.
func (l *Buffer) Tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.b.Bytes()
	return string(b[max(0, len(b)-n):])
}
