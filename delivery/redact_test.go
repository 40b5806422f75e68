package delivery

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

var (
	echoToken = webhook.Secret("the-application's-management-token/+=")
	echoKey   = webhook.Secret("\xfb\xff\xfe-thirty-two-bytes-of-key-here-")
)

// sent is what a request with both signatures carries.
func sent(t testing.TB) http.Header {
	settings := DefaultSettings()
	x := &sender{s: &settings, token: echoToken}
	w := hookAt("http://receiver.test/")
	w.Key = echoKey
	r, err := x.request(t.Context(), w, uuid.UUID{7}, time.Unix(1700000000, 0), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return r.Header
}

// signatureOf is a header of the request, whose name is not spelt as http.Header
// would.
func signatureOf(h map[string][]string, name string) string {
	return strings.TrimPrefix(h[name][0], "v1,")
}

// spelt are the secrets of a request and of its keys as they are handed out.
func spelt(h http.Header) []string {
	return []string{
		signatureOf(h, signing.HeaderSmartcar), signatureOf(h, signing.HeaderSignature), string(echoToken), string(echoKey),
		hex.EncodeToString(echoToken), hex.EncodeToString(echoKey), base64.StdEncoding.EncodeToString(echoKey), base64.RawURLEncoding.EncodeToString(echoKey),
		base64.StdEncoding.EncodeToString(echoToken),
	}
}

// escapes are the ways that answers write a text.
var escapes = map[string]func(string) string{
	"as it is":   func(s string) string { return s },
	"upper case": strings.ToUpper,
	"JSON":       func(s string) string { b, _ := json.Marshal(s); return strings.Trim(string(b), `"`) },
	"JSON, slashes escaped": func(s string) string {
		b, _ := json.Marshal(s)
		return strings.ReplaceAll(strings.Trim(string(b), `"`), "/", `\/`)
	},
	"JSON, escaped": func(s string) string {
		var b strings.Builder
		for _, r := range []byte(s) {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		return b.String()
	},
	"JSON in JSON": func(s string) string { b, _ := json.Marshal(s); c, _ := json.Marshal(string(b)); return string(c) },
	"URL":          url.QueryEscape,
	"URL, lower":   func(s string) string { return strings.ToLower(url.QueryEscape(s)) },
	"HTML":         html.EscapeString,
	"HTML, all": func(s string) string {
		var b strings.Builder
		for i, r := range []byte(s) {
			fmt.Fprintf(&b, []string{"&#%d;", "&#x%x;", "&#X%02X;"}[i%3], r)
		}
		return b.String()
	},
	"UTF-16": func(s string) string { return strings.Join(strings.Split(s, ""), "\x00") },
	"quoted": func(s string) string { return fmt.Sprintf("%q", s) },
}

// An echo of what a request was secret with is found however it is written, in the
// middle, at the end, twice, and where the answer was cut.
func TestEchoesAreRedacted(t *testing.T) {
	h := sent(t)
	r := redactorOf(h, spellings(echoToken, echoKey))
	for how, escape := range escapes {
		for _, s := range spelt(h) {
			if s == string(echoKey) && how != "as it is" {
				continue // bytes that are no text are written in too many ways
			}
			text := escape(s)
			for _, whole := range []string{text, "you sent " + text, text + ".", "you sent " + text + " and " + text + "."} {
				got := string(r.text([]byte(whole)))
				if strings.Contains(got, text) || !strings.Contains(got, redacted) {
					t.Errorf("%s: %q is still in %q", how, text, got)
				}
				if strings.HasPrefix(whole, "you sent") != strings.HasPrefix(got, "you sent") || strings.HasSuffix(whole, ".") != strings.HasSuffix(got, ".") {
					t.Errorf("%s: %q became %q", how, whole, got)
				}
			}
			if how == "UTF-16" || how == "quoted" || how == "JSON in JSON" {
				continue
			}
			for cut := len(text) - 1; cut >= 6*shortest+6; cut-- { // an escape has at most six bytes
				if got := string(r.text([]byte("you sent " + text[:cut]))); !strings.HasPrefix(got, "you sent "+redacted) || len(got) > len("you sent ")+len(redacted)+12 { // what padded it
					t.Errorf("%s: cut after %d: %q", how, cut, got)
					break
				}
			}
		}
	}
	for _, harmless := range []string{"", "ok", `{"ok":true}`, "<html>it works</html>", "100% \\ &#; &#x; &#999; %zz \\u12", strings.Repeat("%", 20), "&#x" + strings.Repeat("1", 20) + ";"} {
		if got := r.text([]byte(harmless)); string(got) != harmless {
			t.Errorf("%q became %q", harmless, got)
		}
	}
}

// Credentials of the receiver's own are taken out, and what only speaks of them
// stays.
func TestCredentialsAreRedacted(t *testing.T) {
	r := redactorOf(sent(t), spellings(echoToken, echoKey))
	for text, want := range map[string]string{
		"Authorization: Bearer abc.def-123":                                         "Authorization: [redacted]",
		"got bearer 0123456789abcdef, sorry":                                        "got bearer [redacted], sorry",
		`{"Authorization":"Basic am9lOmh1bnRlcjI="}`:                                `{"Authorization":"[redacted]"}`,
		`{\"Authorization\":\"Basic am9lOmh1bnRlcjI=\",`:                            `{\"Authorization\":\"[redacted]\",`,
		"Cookie: a=b; c=d\r\nHost: x":                                               "Cookie: [redacted]\r\nHost: x",
		"Set-Cookie: sid=1; Path=/":                                                 "Set-Cookie: [redacted]",
		`{"password":"hunter2","user":"joe"}`:                                       `{"password":[redacted],"user":"joe"}`,
		"?access_token=abc123def&x=1":                                               "?access_token=[redacted]&x=1",
		`{"access_token": "A1b2C3d4", "expires_in": 3600}`:                          `{"access_token": [redacted], "expires_in": 3600}`,
		`"apiKey":"k-123456"`:                                                       `"apiKey":[redacted]`,
		"client_secret=s3cret;":                                                     "client_secret=[redacted];",
		"sessionid=0af1":                                                            "sessionid=[redacted]",
		"expected signature: 0af1b2, got 77":                                        "expected signature: [redacted], got 77",
		"see https://joe:hunter2@db.lan/x":                                          "see https://[redacted]@db.lan/x",
		`"dsn":"postgres:\/\/joe:hunter2@db\/x"`:                                    `"dsn":"postgres:\/\/[redacted]@db\/x"`,
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln and more":                        "[redacted] and more",
		"key whsec_MDEyMzQ1Njc4OWFiY2RlZg== is unknown":                             "key [redacted] is unknown",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nand": "[redacted]\nand",
		"-----BEGIN PRIVATE KEY-----\nMIIE":                                         "[redacted]",
		// These are words about credentials.
		"invalid signature":                          "invalid signature",
		"signature: invalid":                         "signature: invalid",
		`{"signature":"does not match"}`:             `{"signature":"does not match"}`,
		`{"token":null,"x":1}`:                       `{"token":null,"x":1}`,
		"basic authentication required":              "basic authentication required",
		"Bearer authentication is not enabled here":  "Bearer authentication is not enabled here",
		"session: expired":                           "session: expired",
		`{"error":"token expired"}`:                  `{"error":"token expired"}`,
		"at https://receiver.test/hook?x=y mail a@b": "at https://receiver.test/hook?x=y mail a@b",
	} {
		if got := string(r.text([]byte(text))); got != want {
			t.Errorf("%q became\n%q, want\n%q", text, got, want)
		}
	}
}

func TestHeadersAreRedacted(t *testing.T) {
	h := sent(t)
	r := redactorOf(h, spellings(echoToken, echoKey))
	got := r.headers(http.Header{
		"Content-Type": {"text/plain"}, "Www-Authenticate": {"Basic realm=hooks", "Negotiate YIIabc"}, "X-Request-Id": {"7"}, "X-Echo": append([]string{"fine"}, spelt(h)...),
		"Authorization": {"Bearer abc"}, "X-Auth-Token": {"abc"}, "X-Api-Key": {"abc"}, "Proxy-Authorization": {"abc"}, "Cookie2": {"abc"}, "Set-Cookie": {"a=abc", "b=abc"},
		"X-Session-Id": {"abc"}, "Client-Secret": {"abc"}, "Sc-Signature": {"abc"}, "Location": {"https://joe:abc@other.test/?token=1abc"}, "X-Escape": {"a\x1b[31mb"},
		"X-" + signatureOf(h, signing.HeaderSmartcar): {"1"},
	})
	all := fmt.Sprint(got)
	for _, s := range append(spelt(h), "abc", "\x1b") {
		if strings.Contains(all, s) {
			t.Errorf("%q is still in\n%s", s, all)
		}
	}
	for name, want := range map[string]string{
		"Content-Type": "text/plain", "Www-Authenticate": "Basic realm=hooks", "X-Request-Id": "7", "X-Echo": "fine", "Set-Cookie": redacted, "Authorization": redacted,
		"Location": "https://[redacted]@other.test/?token=[redacted]", "X-Escape": "a?[31mb",
	} {
		if got[name][0] != want {
			t.Errorf("%s is %q", name, got[name])
		}
	}
	if got["Www-Authenticate"][1] != "Negotiate" || len(got["Set-Cookie"]) != 2 {
		t.Error(got)
	}
	many := http.Header{}
	for i := range 200 {
		many.Set(fmt.Sprint("X-", i), strings.Repeat("x", 100))
	}
	many.Set("Retry-After", "5")
	size := 0
	for name, vs := range r.headers(many) {
		for _, v := range vs {
			size += len(name) + len(v)
		}
	}
	if got := r.headers(many); len(got) > keptHeaders || size > keptHeaderBytes || got["Retry-After"] == nil {
		t.Errorf("%d headers, %d bytes", len(got), size)
	}
}

// FuzzRedact: whatever surrounds an echo, and wherever the answer is cut, neither it
// nor the beginning of it is kept.
func FuzzRedact(f *testing.F) {
	h := sent(f)
	r := redactorOf(h, spellings(echoToken, echoKey))
	all := spelt(h)
	f.Add([]byte("you sent "), []byte(" and so on"), uint8(0), uint8(0), uint16(4096))
	f.Add([]byte(`{"a":"\u0`), []byte(`%`), uint8(1), uint8(40), uint16(60))
	f.Fuzz(func(t *testing.T, before, after []byte, which, upper uint8, most uint16) {
		s := []byte(all[int(which)%len(all)])
		for i := range int(upper) % (len(s) + 1) {
			if 'a' <= s[i] && s[i] <= 'z' {
				s[i] -= 'a' - 'A'
			}
		}
		whole := slices.Concat(before, s, after)
		whole = whole[:min(len(whole), int(most))]
		kept := r.text(whole)
		if n := min(len(s), len(whole)-len(before)); n > shortest && bytes.Contains(kept, s[:n]) && !bytes.Contains(before, s[:n]) && !bytes.Contains(after, s[:n]) {
			t.Fatalf("%q became %q", whole, kept)
		}
	})
}

// A receiver that sends back what it was sent, in its body, in a header, or as an
// answer that is none: the signatures are in nothing that is kept.
func TestEchoOnTheWire(t *testing.T) {
	for where, answer := range map[string]string{
		"body":         "HTTP/1.1 500 Oops\r\n\r\n%s",
		"cut body":     "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 3900) + "%s",
		"header":       "HTTP/1.1 200 OK\r\nX-Echo: %q\r\nContent-Length: 0\r\n\r\n",
		"redirect":     "HTTP/1.1 302 Found\r\nLocation: /?%q\r\nContent-Length: 0\r\n\r\n",
		"status":       "HTTP/1.1 200 %q\r\nContent-Length: 0\r\n\r\n",
		"bad status":   "HTTP/1.1 SIG\r\n\r\n",
		"no HTTP":      "SIG\r\n\r\n",
		"bad header":   "HTTP/1.1 200 OK\r\nSIG\r\n\r\n",
		"bad length":   "HTTP/1.1 200 OK\r\nContent-Length: SIG\r\n\r\n",
		"bad encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: SIG\r\n\r\n",
		"gzip":         "HTTP/1.1 200 OK\r\nContent-Encoding: %q\r\n\r\nx",
	} {
		sent := make(chan []string, 1)
		uri := raw(t, func(_ int, request string, c net.Conn) {
			head, _, _ := strings.Cut(request, "\r\n\r\n")
			var secrets []string
			for line := range strings.SplitSeq(head, "\r\n") {
				if _, v, ok := strings.Cut(line, "ignature: "); ok {
					secrets = append(secrets, strings.TrimPrefix(v, "v1,"))
				}
			}
			sent <- secrets
			text := strings.ReplaceAll(answer, "SIG", secrets[0])
			text = strings.ReplaceAll(strings.ReplaceAll(text, "%s", head), "%q", fmt.Sprintf("%q", head))
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		})
		a := wireSender(t, Settings{}).send(t.Context(), hookAt(uri), uuid.New(), []byte(`{"a":1}`))
		secrets := <-sent
		kept := fmt.Sprintf("%+v %s %s", a, a.Body, answerText(a))
		for _, s := range secrets {
			if strings.Contains(kept, s) || strings.Contains(kept, s[:20]) {
				t.Errorf("%s: %s is kept in %s", where, s, kept)
			}
		}
		if len(secrets) != 2 || !strings.Contains(kept, redacted) && where != "status" {
			t.Errorf("%s: %d secrets, %s", where, len(secrets), kept)
		}
	}
}

// What is recorded of an attempt, and what a test shows, went through it.
func TestAttemptsAreRedacted(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.mu.Lock()
		r.r.says = "your token is " + string(testToken)
		r.r.mu.Unlock()
		d := r.produce(1)[0]
		rest(time.Second)
		shown, err := r.Test(t.Context(), r.id)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range append(r.m.tries(d.ID), shown) {
			if string(a.Body) != "your token is [redacted]" {
				t.Errorf("kept %q", a.Body)
			}
		}
	})
}
