package delivery

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

const redacted = "[redacted]"

// redactor takes out of an answer what is no operator's to read later: what the
// request itself was secret with, wherever the receiver echoes it, and what looks
// like a credential of the receiver's own. It is used by one goroutine.
type redactor struct {
	secrets [][]byte // in lower case, the longest first
	// begins holds their first bytes, heads the first eight of each.
	begins [256]bool
	heads  []uint64
}

// shortest is how many bytes of a secret are one: fewer, where an answer was cut,
// tell nothing.
const shortest = 8

// spellings are the ways in which keys are handed out, in lower case.
func spellings(keys ...webhook.Secret) [][]byte {
	var all [][]byte
	for _, k := range keys {
		if len(k) < shortest {
			continue // nothing that short is a key; replacing it would spoil the text
		}
		for _, s := range []string{string(k), hex.EncodeToString(k), base64.RawStdEncoding.EncodeToString(k), base64.RawURLEncoding.EncodeToString(k)} {
			all = append(all, lower([]byte(s)))
		}
	}
	return all
}

// redactorOf knows the signatures that a request carried, and the spellings of the
// keys they were made with.
func redactorOf(h http.Header, keys [][]byte) *redactor {
	r := &redactor{secrets: slices.Clone(keys)}
	for _, name := range []string{signing.HeaderSmartcar, signing.HeaderSmartcarNext, signing.HeaderSignature} {
		for _, v := range h[name] {
			for part := range strings.FieldsSeq(v) {
				if _, signature, listed := strings.Cut(part, ","); listed { // "v1," of Standard Webhooks
					part = signature
				}
				if part = strings.TrimRight(part, "="); len(part) >= shortest {
					r.secrets = append(r.secrets, lower([]byte(part)))
				}
			}
		}
	}
	slices.SortFunc(r.secrets, func(a, b []byte) int { return len(b) - len(a) })
	for _, s := range r.secrets {
		r.begins[s[0]] = true
		r.heads = append(r.heads, binary.LittleEndian.Uint64(s))
	}
	return r
}

// A pattern is of what looks like a credential, whoever's it is. It is looked for
// only in a text that has one of the words, in lower case.
type pattern struct {
	words   []string
	re      *regexp.Regexp
	replace string
	// plain is true where the last group of the match is left if it is a word
	// that says something about a credential and is none.
	plain bool
}

const value = `(\\*"[^"]*"?|'[^']*'?|[^\s"'<>&,;]+)`

var patterns = []pattern{
	{[]string{"-----begin"}, regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|$)`), redacted, false},
	{[]string{"eyj"}, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?`), redacted, false},
	{[]string{"whsec_"}, regexp.MustCompile(`whsec_[A-Za-z0-9+/=_-]*`), redacted, false},
	{[]string{"@"}, regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*:\\?/\\?/)[^/\s"'<>@\\]+@`), "${1}" + redacted + "@", false},
	{[]string{"authorization", "cookie"}, regexp.MustCompile(`(?i)((?:authorization|cookie)\\*["']?\s*[:=]\s*\\*["']?)([^"'<>\r\n\\]+)`), "${1}" + redacted, false},
	{[]string{"passw", "passphrase", "secret"}, regexp.MustCompile(`(?i)((?:passw(?:or)?d|passphrase|secret)\\*["']?\s*[:=]\s*)` + value), "${1}" + redacted, false},
	{[]string{"bearer", "basic", "digest", "negotiate"}, regexp.MustCompile(`(?i)(\b(?:bearer|basic|digest|negotiate)\s+)([A-Za-z0-9._~+/=-]{8,})`), redacted, true},
	{[]string{"token", "key", "session", "signature", "credential"}, regexp.MustCompile(`(?i)((?:token|(?:api|private|access)[-_]?key|session(?:[-_]?id)?|signature|credentials?)\\*["']?\s*[:=]\s*)` + value), redacted, true},
}

var plain = regexp.MustCompile(`^[\\"']*(?:[A-Za-z]?[a-z]{0,14}(?:[ _-][a-z]{1,14})*|\d{1,6})[.!\\"']*$`)

// line is text of a string. Most are short and harmless, and cost next to nothing.
func (r *redactor) line(s string) string {
	var buf [128]byte
	if len(s) < shortest {
		return s
	}
	if len(s) <= len(buf) {
		low := buf[:len(s)]
		for i := range low {
			if low[i] = s[i]; 'A' <= s[i] && s[i] <= 'Z' {
				low[i] += 'a' - 'A'
			}
		}
		if !bytes.ContainsAny(low, "\\%&\x00") && r.find(nil, low, nil) == nil && !slices.ContainsFunc(patterns, func(p pattern) bool { return p.in(low) }) {
			return s
		}
	}
	return string(r.text([]byte(s)))
}

// in reports whether the pattern is to be looked for in a text in lower case.
func (p pattern) in(low []byte) bool {
	return slices.ContainsFunc(p.words, func(w string) bool { return bytes.Contains(low, []byte(w)) })
}

// text returns b without secrets; b itself where there are none.
func (r *redactor) text(b []byte) []byte {
	if len(b) < shortest {
		return b
	}
	low := lower(b)
	b = r.echoes(b, low)
	for i := range patterns {
		p := &patterns[i]
		if !p.in(low) {
			continue
		}
		if !p.plain {
			b = p.re.ReplaceAll(b, []byte(p.replace))
			continue
		}
		b = p.re.ReplaceAllFunc(b, func(m []byte) []byte {
			at := p.re.FindSubmatchIndex(m)
			if v := m[at[4]:at[5]]; plain.Match(v) || bytes.Contains(v, []byte(redacted)) {
				return m
			}
			return slices.Concat(m[:at[3]], []byte(p.replace))
		})
	}
	return b
}

// echoes takes the request's own secrets out of b, which is low in lower case: as
// they are and however they are escaped, and the beginning of one where the answer
// was cut.
func (r *redactor) echoes(b, low []byte) []byte {
	spans := r.find(nil, low, nil)
	if bytes.ContainsAny(low, "\\%&\x00") {
		folded, at := fold(low)
		spans = r.find(spans, folded, at)
	}
	if spans == nil {
		return b
	}
	slices.SortFunc(spans, func(x, y [2]int) int { return x[0] - y[0] })
	var out []byte
	from := 0
	for _, s := range spans {
		if s[0] >= from {
			out = append(append(out, b[from:s[0]]...), redacted...)
		}
		from = max(from, s[1])
	}
	return append(out, b[from:]...)
}

// find adds to spans where secrets stand in a text, whose bytes stood at at, or
// where they stand.
func (r *redactor) find(spans [][2]int, text []byte, at []int) [][2]int {
	for i := 0; i+shortest <= len(text); i++ {
		if !r.begins[text[i]] {
			continue
		}
		head := binary.LittleEndian.Uint64(text[i:])
		for k, s := range r.secrets {
			if r.heads[k] != head {
				continue
			}
			n := min(len(s), len(text)-i)
			if !bytes.Equal(text[i:i+n], s[:n]) {
				continue
			}
			span := [2]int{i, i + n}
			if at != nil {
				span = [2]int{at[i], at[i+n]}
			}
			spans = append(spans, span)
			break
		}
	}
	return spans
}

// lower returns the text with the letters of ASCII in lower case.
func lower(b []byte) []byte {
	low := make([]byte, len(b))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	return low
}

// halfEscape is an escape that the end of the text cuts.
var halfEscape = regexp.MustCompile(`(?:\\u[0-9a-f]{0,3}|%[0-9a-f]?|&(?:#x?[0-9a-f]{0,3})?)$`)

// fold returns a text in lower case with what JSON, URLs and HTML escape put
// back, without backslashes, the zeros of wider characters and half an escape at
// the end, and for each of its bytes, and for its end, where that stood.
func fold(b []byte) (folded []byte, at []int) {
	number := func(digits []byte, base int) (byte, bool) {
		n, err := strconv.ParseUint(string(digits), base, 7)
		return byte(n), err == nil
	}
	folded, at = make([]byte, 0, len(b)), make([]int, 0, len(b)+1)
	whole := len(b) - len(halfEscape.Find(b[max(0, len(b)-6):]))
	for i := 0; i < whole; {
		c, n, start := b[i], 1, i
		rest := b[i+1:]
		switch {
		case c == '\\' || c == 0:
			i++
			continue
		case c == '%' && len(rest) >= 2:
			if v, ok := number(rest[:2], 16); ok {
				c, n = v, 3
			}
		case c == 'u' && i > 0 && b[i-1] == '\\' && len(rest) >= 4:
			if v, ok := number(rest[:4], 16); ok {
				c, n, start = v, 5, i-1
			}
		case c == '&' && len(rest) >= 3 && rest[0] == '#':
			digits, base := rest[1:], 10
			if digits[0] == 'x' {
				digits, base = digits[1:], 16
			}
			if stop := bytes.IndexByte(digits[:min(len(digits), 6)], ';'); stop > 0 {
				if v, ok := number(digits[:stop], base); ok {
					c, n = v, len(b)-len(digits)+stop+1-i
				}
			}
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		folded, at = append(folded, c), append(at, start)
		i += n
	}
	return folded, append(at, len(b))
}

// secretHeader reports whether the values of a header are credentials by its name.
func secretHeader(name string) bool {
	name = strings.ToLower(name)
	if name == "www-authenticate" || name == "proxy-authenticate" {
		return false // a question, and no answer to one
	}
	for _, part := range []string{"auth", "cookie", "token", "secret", "passw", "api-key", "apikey", "session", "credential", "signature", "private"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// value returns what is kept of a header's value.
func (r *redactor) value(name, v string) string {
	switch {
	case secretHeader(name):
		return redacted
	case name == "Location":
		v = webhook.Redact(v)
	case name == "Www-Authenticate", name == "Proxy-Authenticate":
		// Those of Basic and its like say what is asked for; others carry blobs.
		how, _, _ := strings.Cut(v, " ")
		switch strings.ToLower(how) {
		case "basic", "bearer", "digest":
			return string(r.echoes([]byte(v), lower([]byte(v))))
		}
		v = how
	}
	return r.line(v)
}

// headers copies an answer's headers as far as they are worth keeping, without
// secrets. Of a credential the name tells that it was there.
func (r *redactor) headers(h http.Header) map[string][]string {
	kept, left := map[string][]string{}, keptHeaderBytes
	take := func(name string) {
		if kept[name] != nil || len(kept) >= keptHeaders || r.line(name) != name {
			return
		}
		for _, v := range h[name] {
			v = strings.Map(printable, r.value(name, v))
			if left -= len(name) + len(v); left < 0 {
				return
			}
			kept[name] = append(kept[name], v)
		}
	}
	for _, name := range []string{"Retry-After", "Location", "Content-Type", "Date", "Server"} {
		take(name)
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		take(name)
	}
	return kept
}

// body returns what is kept of an answer's body: its text without secrets. One that
// is compressed is not inflated, so what is in it is not known and not kept.
func (r *redactor) body(h http.Header, b []byte) []byte {
	if c := h.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") && len(b) > 0 {
		return []byte("[a body in " + clean(r.line(c)) + ", which is not inflated]")
	}
	return r.text(b)
}

// quiet is an error whose text has no secrets.
type quiet struct {
	error
	text string
}

func (q quiet) Error() string { return q.text }
func (q quiet) Unwrap() error { return q.error }

func (r *redactor) error(err error) error {
	if err == nil {
		return nil
	}
	return quiet{err, r.line(err.Error())}
}
