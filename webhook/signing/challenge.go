package signing

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"plugbeat/webhook"
)

// NewChallenge returns a fresh random token of 32 lower-case hex characters. The
// narrow alphabet lets a receiver refuse a "challenge" that is really a body
// somebody wants signed.
func NewChallenge() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// AnswerOf is the right answer to a challenge: lower-case hex HMAC-SHA256 of its
// characters, keyed with the application management token.
func AnswerOf(managementToken webhook.Secret, challenge string) string {
	return hex.EncodeToString(sum(managementToken, []byte(challenge)))
}

// CheckAnswerWith is [CheckAnswer] while there is a next token too, nil for none: an
// answer with either is right, and with is the one that it was made with.
func CheckAnswerWith(managementToken, next webhook.Secret, challenge string, responseBody []byte) (with webhook.Secret, err error) {
	err = CheckAnswer(managementToken, challenge, responseBody)
	if err == nil {
		return managementToken, nil
	}
	if len(next) > 0 && CheckAnswer(next, challenge, responseBody) == nil {
		return next, nil
	}
	return nil, err
}

// CheckAnswer returns nil when responseBody is a JSON object whose key "challenge"
// holds the right answer, compared in constant time; content type, other keys and a byte
// order mark do not matter. Otherwise the error wraps [webhook.ErrChallenge] and says what is
// wrong with the answer and what to look at; it never contains the right one.
func CheckAnswer(managementToken webhook.Secret, challenge string, responseBody []byte) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", webhook.ErrChallenge, fmt.Sprintf(format, args...))
	}
	responseBody = bytes.TrimSpace(bytes.TrimPrefix(responseBody, []byte("\xef\xbb\xbf")))
	if len(responseBody) == 0 {
		return wrong(`the body is empty; answer {"challenge":"<hex>"}, or have plugbeat bridge answer for a receiver that cannot`)
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(responseBody, &answer); err != nil {
		return wrong(`%s; answer {"challenge":"<hex>"}`, noObject(responseBody))
	}
	want := AnswerOf(managementToken, challenge)
	var got string
	if err := json.Unmarshal(answer["challenge"], &got); err != nil {
		if key := oneDown(answer); key != "" {
			return wrong(`"challenge" stands one level down, under %.40q; answer {"challenge":"<hex>"}`, key)
		}
		return wrong(`the body has no text under "challenge"; answer {"challenge":"<hex>"}`)
	}
	switch {
	case hmac.Equal([]byte(got), []byte(want)):
		return nil
	case got == challenge:
		return wrong("the receiver sent the challenge back as it was; answer its HMAC-SHA256 in hex, keyed with the management token")
	case strings.EqualFold(strings.TrimSpace(got), want):
		return wrong("the hash is right but not in lower-case hex without spaces")
	case strings.EqualFold(strings.TrimPrefix(got, "sha256="), want):
		return wrong("the hash is right, but the answer begins with sha256=; answer the hex alone")
	case strings.TrimRight(got, "=") == base64.RawStdEncoding.EncodeToString(rawOf(want)):
		return wrong("the hash is right, but in base64; answer it in hex")
	case len(got) != len(want):
		return wrong("the answer has %d characters, an HMAC-SHA256 in hex has %d", len(got), len(want))
	}
	for _, odd := range []struct{ before, after, text string }{
		{"", "\n", "with a line break at its end"}, {"", "\r\n", "with a line break at its end"}, {"", " ", "with a blank at its end"},
		{"\ufeff", "", "with a byte order mark before it"},
	} {
		if hmac.Equal([]byte(got), []byte(AnswerOf(webhook.Secret(odd.before+string(managementToken)+odd.after), challenge))) {
			return wrong("the hash is made with the management token %s: the receiver reads its file and takes more than the token", odd.text)
		}
	}
	return wrong("the hash is wrong; the receiver's management token is probably another one (ours has the fingerprint %s)",
		Fingerprint(managementToken))
}

// rawOf is the bytes of a hash in hex.
func rawOf(hash string) []byte {
	b, _ := hex.DecodeString(hash) // ours
	return b
}

// noObject says what a body is that is not a JSON object.
func noObject(body []byte) string {
	bare := strings.Trim(string(body), `"`)
	_, notHex := hex.DecodeString(bare)
	object := bytes.IndexByte(body, '{')
	switch {
	case bytes.HasPrefix(body, []byte("\x1f\x8b")):
		return "the body is compressed with gzip, which plugbeat does not ask for"
	case len(bare) == hex.EncodedLen(sha256.Size) && notHex == nil:
		return "the body is a bare hash"
	case bytes.IndexByte(body, 0) >= 0:
		return "the body is not UTF-8 but UTF-16, or no text"
	case bytes.HasPrefix(body, []byte("\x28\xb5\x2f\xfd")), bytes.HasPrefix(body, []byte("\x78\x9c")):
		return "the body is compressed, which plugbeat does not ask for"
	case body[0] == '<':
		return "the body is a page of HTML or XML"
	case body[0] == '"' && holdsChallenge(body):
		return "the body is a JSON text that has the object in it: it is encoded twice"
	case body[0] == '[' && json.Valid(body):
		return "the body is a JSON list"
	case object > 0 && json.Valid(body[object:]):
		return "other text stands before the JSON"
	case object == 0 && json.NewDecoder(bytes.NewReader(body)).Decode(new(json.RawMessage)) == nil:
		return "other text stands behind the JSON"
	}
	return "the body is not a JSON object"
}

// holdsChallenge reports whether a JSON value is an object that has "challenge", or a text that
// is one.
func holdsChallenge(value []byte) bool {
	var text string
	if json.Unmarshal(value, &text) == nil {
		value = []byte(text)
	}
	var inner map[string]json.RawMessage
	return json.Unmarshal(value, &inner) == nil && inner["challenge"] != nil
}

// oneDown returns the key under which an object holds "challenge"; empty for none.
func oneDown(answer map[string]json.RawMessage) string {
	for key, value := range answer {
		if holdsChallenge(value) {
			return key
		}
	}
	return ""
}
