package delivery

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

const redacted = "[redacted]"

// shortest is the length of the shortest secret that is looked for. Replacing a shorter
// one would spoil texts, and no key is that short.
const shortest = 8

// secrets are spellings of what plugbeat signs with, the longest first. A receiver that
// echoes a request shows them in its answer. A receiver's own secrets are unknown here.
type secrets [][]byte

// spellings returns the ways in which keys and tokens are handed out, and those in which
// programs print them.
func spellings(keys ...webhook.Secret) secrets {
	var all secrets
	for _, k := range keys {
		base64Text := base64.RawStdEncoding.EncodeToString(k)
		for _, s := range []string{
			string(k), signing.FormatKey(k), base64Text, base64.RawURLEncoding.EncodeToString(k),
			hex.EncodeToString(k), strings.ToUpper(hex.EncodeToString(k)),
		} {
			all = all.add(s, len(k))
		}
	}
	return all.sorted()
}

// and returns the secrets with the signatures that a request carries.
func (s secrets) and(h http.Header) secrets {
	all := slices.Clone(s)
	for _, name := range []string{signing.HeaderSmartcar, signing.HeaderSmartcarNext, signing.HeaderSignature} {
		for _, value := range h[name] {
			for signature := range strings.FieldsSeq(value) {
				if _, after, listed := strings.Cut(signature, ","); listed { // "v1," of Standard Webhooks
					signature = after
				}
				all = all.add(strings.TrimRight(signature, "="), len(signature))
			}
		}
	}
	return all.sorted()
}

// add adds a spelling of a secret of n bytes, also as JSON writes it that escapes slashes.
func (s secrets) add(spelling string, n int) secrets {
	if n < shortest {
		return s
	}
	s = append(s, []byte(spelling))
	if escaped := strings.ReplaceAll(spelling, "/", `\/`); escaped != spelling {
		s = append(s, []byte(escaped))
	}
	return s
}

func (s secrets) sorted() secrets {
	slices.SortFunc(s, func(a, b []byte) int { return len(b) - len(a) })
	return s
}

// hide returns the text without secrets, also without the beginning of one at its end,
// where the text was cut.
func (s secrets) hide(text []byte) []byte {
	for _, secret := range s {
		text = bytes.ReplaceAll(text, secret, []byte(redacted))
	}
	for _, secret := range s {
		for n := min(len(secret), len(text)); n >= shortest; n-- {
			if bytes.HasSuffix(text, secret[:n]) {
				return append(text[:len(text)-n:len(text)-n], redacted...)
			}
		}
	}
	return text
}

// keep returns the beginning of an answer's body as an attempt keeps it. A compressed
// body is not inflated, so what it holds is unknown and only its encoding is kept.
func (s secrets) keep(h http.Header, body []byte) []byte {
	if c := h.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") && len(body) > 0 {
		body = []byte("[a body in " + clean(c) + ", which is not inflated]")
	}
	body = s.hide(body)
	if len(body) == 0 {
		return nil
	}
	return body[:min(len(body), bodyKept)]
}
