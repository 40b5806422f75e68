package delivery

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"plugbeat/webhook"
)

// redacted stands in an attempt's record for what must not be shown.
const redacted = "[redacted]"

// secretHeaders are parts of the names of headers whose values are credentials.
// Set-Cookie is not even kept.
var secretHeaders = []string{"authorization", "authentication-info", "cookie", "token", "secret", "api-key", "apikey", "password", "session"}

// redact takes out of an attempt what a receiver must not have put there: the
// values of headers that carry credentials, and our own secrets wherever a
// receiver echoes one, in the spellings they are handed out in.
func redact(a *webhook.Attempt, secrets ...webhook.Secret) {
	var spelt []string
	for _, s := range secrets {
		if len(s) < 8 {
			continue // nothing that short is a key; replacing it would spoil the text
		}
		b64 := strings.TrimRight(base64.StdEncoding.EncodeToString(s), "=")
		spelt = append(spelt, string(s), b64, strings.TrimRight(base64.URLEncoding.EncodeToString(s), "="), hex.EncodeToString(s), strings.ToUpper(hex.EncodeToString(s)))
	}
	clear := func(text string) string {
		for _, s := range spelt {
			text = strings.ReplaceAll(text, s, redacted)
		}
		return text
	}
	for name, values := range a.Header {
		for i, v := range values {
			if secretHeader(name) {
				values[i] = redacted
			} else {
				values[i] = clear(v)
			}
		}
	}
	for _, s := range spelt {
		if bytes.Contains(a.Body, []byte(s)) {
			a.Body = bytes.ReplaceAll(a.Body, []byte(s), []byte(redacted))
		}
	}
	a.Error = clear(a.Error)
}

func secretHeader(name string) bool {
	name = strings.ToLower(name)
	for _, part := range secretHeaders {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
