package delivery

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

const redacted = "[redacted]"

// shortest is the length of the shortest text that is taken for the beginning of a secret,
// and of the shortest secret that is looked for.
const shortest = 8

// secrets are spellings of what signs a request, the longest first. A receiver that echoes
// the request shows them in its answer. A receiver's own secrets are unknown here.
type secrets []string

// spellings returns the signatures that a request carries, the ways in which keys and tokens
// are handed out, and those in which programs print them.
func spellings(h http.Header, keys ...webhook.Secret) (all secrets) {
	for _, name := range []string{signing.HeaderSmartcar, signing.HeaderSmartcarNext, signing.HeaderSignature} {
		for signature := range strings.FieldsSeq(strings.Join(h[name], " ")) {
			all = append(all, strings.TrimRight(strings.TrimPrefix(signature, "v1,"), "="))
		}
	}
	for _, k := range keys {
		if len(k) >= shortest {
			all = append(all, string(k), signing.FormatKey(k), base64.RawStdEncoding.EncodeToString(k), base64.RawURLEncoding.EncodeToString(k),
				hex.EncodeToString(k), strings.ToUpper(hex.EncodeToString(k)))
		}
	}
	for _, s := range all {
		all = append(all, strings.ReplaceAll(s, "/", `\/`)) // as some write JSON
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

// hide returns the text without secrets, also without the beginning of one at its end,
// where the text was cut.
func (s secrets) hide(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	for _, secret := range s {
		for n := min(len(secret), len(text)); n >= shortest; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				return text[:len(text)-n] + redacted
			}
		}
	}
	return text
}

// keep returns the beginning of an answer's body as an attempt keeps it. A compressed
// body is not inflated, so what it holds is unknown and only its encoding is kept.
func (s secrets) keep(h http.Header, body []byte) []byte {
	text := string(body)
	if c := h.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") && text != "" {
		text = "[a body in " + clean(c) + ", which is not inflated]"
	}
	if text == "" {
		return nil
	}
	text = s.hide(text)
	return []byte(text[:min(len(text), bodyKept)])
}
