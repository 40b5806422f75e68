package signing

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// The first two vectors are those that Smartcar's SDKs test themselves with; the
// others were computed with openssl dgst -sha256 -hmac.
func TestSmartcar(t *testing.T) {
	for _, c := range []struct{ key, body, want string }{
		{"amt", "challenge", "9baf5a7464bd86740ad5a06e439dcf535a075022ed2c92d74efacf646d79328e"},
		{"amt", `{"pizza":"pasta"}`, "4c05a8da471f05156ad717baa4017acd13a3a809850b9ca7d3301dcaaa854f70"},
		{"not-a-real-management-token-00001", "00112233445566778899aabbccddeeff", "3aee11dbd60b8abe15cf8c294481554506f12baee7106b295a619b5e64deb8d4"},
		{"not-a-real-management-token-00001", `{"version":"2.0","webhookId":"0b1d6c1e-4a52-4a7e-9d2b-5f0f3f6f7a01","eventName":"verify","payload":{"challenge":"00112233445566778899aabbccddeeff"}}`, "a3f971fd2d8723474fdd1625da143e17dde6bd05dd0ec65bdb3bfa27bb53af31"},
		{"a-made-up-management-token-000001", `{"name":"Zoë","n":287.5}`, "4ad7fa1abd43d46a54684f337fd862f3f92e663af1dae4a79d5fbf18269ad885"},
	} {
		if got := Smartcar(webhook.Secret(c.key), []byte(c.body)); got != c.want {
			t.Errorf("%s over %s: got %s, want %s", c.key, c.body, got, c.want)
		}
		if got := AnswerOf(webhook.Secret(c.key), c.body); got != c.want {
			t.Errorf("answer of %s: got %s, want %s", c.body, got, c.want)
		}
	}
}

func TestStandard(t *testing.T) {
	key, err := ParseKey("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.MustParse("0198c0de-0000-7000-8000-000000000001")
	at := time.Unix(1772614805, 987_000_000)
	body := []byte(`{"version":"2.0","n":287.5}`)
	// printf '%s.%s.%s' ID 1772614805 BODY | openssl dgst -sha256 -mac HMAC -macopt hexkey:0001..1f -binary | base64
	const want = "v1,uW4sPzxsN0XDPPuOCorbu+dMwjnOlMyo/+6/+RCEKto="
	if got := Standard(key, id, at, body); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if Standard(key, id, at.Add(time.Second), body) == want {
		t.Error("the timestamp is not in the signature")
	}
}

func TestCheckAnswer(t *testing.T) {
	key, other := webhook.Secret("one-management-token"), webhook.Secret("another-management-token")
	challenge := NewChallenge()
	right := AnswerOf(key, challenge)
	for _, c := range []struct{ name, body, wrong string }{
		{"right", `{"challenge":"` + right + `"}`, ""},
		{"right among others", ` {"ok":true, "challenge" : "` + right + `"}` + "\n", ""},
		{"right after a byte order mark", "\xef\xbb\xbf{\"challenge\":\"" + right + "\"}", ""},
		{"empty", "", "plugbeat bridge"},
		{"gzip", "\x1f\x8b\x08\x00\x00", "compressed with gzip"},
		{"bare hash", right + "\n", "a bare hash"},
		{"a notice before it", "Deprecated: x in y.php\n" + `{"challenge":"` + right + `"}`, "other text stands before the JSON"},
		{"one level down", `{"statusCode":200,"body":{"challenge":"` + right + `"}}`, `one level down, under "body"`},
		{"spaces", " \r\n", "empty"},
		{"html", "<html>502</html>", "a page of HTML"},
		{"UTF-16", "\xff\xfe{\x00\"\x00", "UTF-16"},
		{"zlib", "\x78\x9c\xab", "compressed"},
		{"zstd", "\x28\xb5\x2f\xfd\x04", "compressed"},
		{"a notice behind it", `{"challenge":"` + right + `"}` + "\nWarning: x", "other text stands behind the JSON"},
		{"twice", `{"challenge":"` + right + `"}{"challenge":"` + right + `"}`, "other text stands behind the JSON"},
		{"encoded twice", `"{\"challenge\":\"` + right + `\"}"`, "encoded twice"},
		{"a list", `[{"challenge":"` + right + `"}]`, "a JSON list"},
		{"text one level down", `{"statusCode":200,"body":"{\"challenge\":\"` + right + `\"}"}`, `one level down, under "body"`},
		{"with its algorithm", `{"challenge":"sha256=` + right + `"}`, "begins with sha256="},
		{"base64", `{"challenge":"` + base64.StdEncoding.EncodeToString(rawOf(right)) + `"}`, "in base64"},
		{"bare text", `"` + right + `"`, "a bare hash"},
		{"other text", `"hello"`, "not a JSON object"},
		{"no key", `{"answer":"` + right + `"}`, `no text under "challenge"`},
		{"null", `null`, `no text under "challenge"`},
		{"a number", `{"challenge":1}`, `no text under "challenge"`},
		{"echo", `{"challenge":"` + challenge + `"}`, "sent the challenge back"},
		{"upper case", `{"challenge":"` + strings.ToUpper(right) + `"}`, "lower-case hex"},
		{"short", `{"challenge":"` + right[1:] + `"}`, "63 characters"},
		{"another token", `{"challenge":"` + AnswerOf(other, challenge) + `"}`, "management token is probably another"},
		{"another challenge", `{"challenge":"` + AnswerOf(key, NewChallenge()) + `"}`, "hash is wrong"},
	} {
		err := CheckAnswer(key, challenge, []byte(c.body))
		if c.wrong == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if !errors.Is(err, webhook.ErrChallenge) || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.wrong)
		}
		if err != nil && (strings.Contains(err.Error(), right) || strings.Contains(err.Error(), string(key))) {
			t.Errorf("%s: the error tells a secret: %v", c.name, err)
		}
	}
}

func TestChallengeIsNarrowAndFresh(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		c := NewChallenge()
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(c) || seen[c] {
			t.Fatalf("challenge %q", c)
		}
		seen[c] = true
	}
}

func TestKey(t *testing.T) {
	key := NewKey()
	text := FormatKey(key)
	back, err := ParseKey(text)
	if err != nil || string(back) != string(key) || !strings.HasPrefix(text, "whsec_") {
		t.Fatalf("%s became %d bytes, %v", text, len(back), err)
	}
	if string(NewKey()) == string(key) {
		t.Fatal("two keys are the same")
	}
	size := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, ok := range []string{size(24), "whsec_" + size(64), " whsec_" + size(32) + "\n"} {
		if _, err := ParseKey(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "whsec_", size(23), "whsec_" + size(65), "whpk_" + size(32), "whsec_!!!!" + size(32), strings.TrimRight(size(32), "=")} {
		_, err := ParseKey(bad)
		var invalid *webhook.Invalid
		if !errors.As(err, &invalid) || invalid.Field != "signing_key" {
			t.Errorf("%q: got %v", bad, err)
		}
		if len(bad) > 20 && err != nil && strings.Contains(err.Error(), bad[6:20]) {
			t.Errorf("the error tells the key: %v", err)
		}
	}
}

func TestFingerprint(t *testing.T) {
	// printf %s not-a-real-management-token-00001 | sha256sum
	if got := Fingerprint(webhook.Secret("not-a-real-management-token-00001")); got != "f34550cb" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprintf("%v %x", NewKey(), NewKey()); got != "[secret] [secret]" {
		t.Errorf("a key prints as %s", got)
	}
}
