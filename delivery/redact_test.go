package delivery

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

var (
	echoToken = webhook.Secret("the-application's-management-token/+=")
	echoNext  = webhook.Secret("the-token-that-is-to-replace-it/+=")
	echoKey   = webhook.Secret("\xfb\xff\xfe-thirty-two-bytes-of-key-here-")
	echoOld   = webhook.Secret("\xff\xfb\xfe-the-old-key-of-the-webhook--")
)

// echoing is a sender and a webhook whose tokens and keys are all rotated.
func echoing(t *testing.T, uri string) (*sender, *webhook.Webhook) {
	x := wireSender(t, Settings{})
	x.d.ManagementToken, x.d.ManagementTokenNext = echoToken, echoNext
	w := hookAt(uri)
	now := time.Now()
	w.Key, w.OldKey, w.KeyOverlap = echoKey, echoOld, &webhook.KeyOverlap{Since: now.Add(-time.Hour), Until: now.Add(time.Hour)}
	return x, w
}

// spelt are the secrets of a request and of what signed it, as programs print them.
func spelt(h http.Header) []string {
	all := []string{h.Get("SC-Signature")}
	for _, name := range []string{signing.HeaderSmartcar, signing.HeaderSmartcarNext, signing.HeaderSignature} {
		for part := range strings.FieldsSeq(strings.Join(h[http.CanonicalHeaderKey(name)], " ")) {
			all = append(all, strings.TrimPrefix(part, "v1,"))
		}
	}
	for _, k := range []webhook.Secret{echoToken, echoNext, echoKey, echoOld} {
		text := base64.StdEncoding.EncodeToString(k)
		all = append(all, string(k), hex.EncodeToString(k), fmt.Sprintf("%X", []byte(k)), signing.FormatKey(k), text,
			base64.RawURLEncoding.EncodeToString(k), strings.ReplaceAll(text, "/", `\/`))
	}
	return all
}

// A receiver that echoes what it got shows nothing of what signed it: not in a body, in
// a header that is kept, in a redirect, or in an error of net/http, and not where the
// answer ends in the middle of a secret.
func TestEchoesAreHidden(t *testing.T) {
	got := make(chan http.Header, 1)
	say := make(chan func(h http.Header, c net.Conn), 1)
	uri := raw(t, func(_ int, request string, c net.Conn) {
		h := http.Header{}
		for line := range strings.SplitSeq(request, "\r\n") {
			if k, v, ok := strings.Cut(line, ": "); ok {
				h.Add(k, v)
			}
		}
		got <- h
		(<-say)(h, c)
		_ = c.Close()
	})
	x, w := echoing(t, uri)
	try := func(how string, answer func(secret string) string) {
		t.Helper()
		for i := 0; ; i++ {
			n, secret := 0, ""
			say <- func(h http.Header, c net.Conn) {
				all := spelt(h)
				n, secret = len(all), all[min(i, len(all)-1)]
				_, _ = io.WriteString(c, answer(secret))
			}
			a := x.send(t.Context(), w, uuid.New(), []byte("{}"))
			<-got
			if i >= n {
				if n != 5+7*4 {
					t.Fatalf("%s: %d secrets", how, n)
				}
				return
			}
			kept := fmt.Sprint(a.Error, a.Cause, a.ContentType, string(a.Body))
			if strings.Contains(kept, secret) || strings.Contains(kept, secret[:len(secret)/2]) || !strings.Contains(kept, redacted) {
				t.Errorf("%s: %q is kept in %q", how, secret, kept)
			}
		}
	}
	try("a body", func(s string) string { return "HTTP/1.1 500 Oops\r\n\r\nyou sent " + s + " and " + s + "." })
	try("a body that is cut", func(s string) string { return "HTTP/1.1 500 Oops\r\n\r\nyou sent " + s[:len(s)-len(s)/4] })
	text := func(s string) string { return strings.TrimFunc(s, func(r rune) bool { return r == utf8.RuneError }) } // what a URL may hold
	try("a content type", func(s string) string { return "HTTP/1.1 500 Oops\r\nContent-Type: " + s + "\r\n\r\n" + s })
	try("a redirect", func(s string) string { return "HTTP/1.1 302 Found\r\nLocation: http://x/?" + text(s) + "\r\n\r\n" + s })
}

// A malformed answer is part of an error's text.
func TestEchoInAnError(t *testing.T) {
	uri := raw(t, func(_ int, request string, c net.Conn) {
		_, rest, _ := strings.Cut(request, signing.HeaderSmartcar+": ")
		signature, _, _ := strings.Cut(rest, "\r\n")
		_, _ = io.WriteString(c, "sent:"+signature+"\r\n\r\n")
		_ = c.Close()
	})
	a := wireSender(t, Settings{}).send(t.Context(), hookAt(uri), uuid.New(), []byte("{}"))
	if !strings.Contains(a.Error, "sent:"+redacted) {
		t.Errorf("%+v", a)
	}
}

// A receiver's own text stays, also where it looks like a secret.
func TestOwnTextStays(t *testing.T) {
	x, w := echoing(t, "")
	for _, text := range []string{
		"", "short", `{"error":"invalid token"}`, "password=hunter2", "Bearer abcdefghijkl", "the-application is away", "[redacted]",
		strings.Repeat("0", 64), "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)),
	} {
		if got := spellings(nil, x.d.ManagementToken, x.d.ManagementTokenNext, w.Key, w.OldKey).hide(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if all := spellings(nil, webhook.Secret("1234567"), nil); len(all) != 0 {
		t.Errorf("a key of seven bytes is looked for as %q", all)
	}
}

// Of a body 512 bytes are kept, after its secrets are replaced, and of a compressed one
// its encoding.
func TestKeptOfABody(t *testing.T) {
	all := spellings(nil, echoToken)
	for _, c := range []struct {
		encoding, body, want string
	}{
		{"", "", ""},
		{"", strings.Repeat("a", 600), strings.Repeat("a", 512)},
		{"identity", "as it is", "as it is"},
		{"", strings.Repeat("a", 500) + string(echoToken), strings.Repeat("a", 500) + redacted},
		{"", strings.Repeat("a", 508) + string(echoToken), strings.Repeat("a", 508) + redacted[:4]},
		{"gzip", "\x1f\x8b\x08", "[a body in gzip, which is not inflated]"},
		{"gzip", "", ""},
	} {
		h := http.Header{"Content-Encoding": {c.encoding}}
		if got := string(all.keep(h, []byte(c.body))); got != c.want {
			t.Errorf("%s %q is kept as %q", c.encoding, c.body, got)
		}
	}
}
