package signing

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// TestDocs recomputes every signature and fingerprint shown in docs/wire.md.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)` \\| `([0-9a-f]{64})` \\|$").FindAllStringSubmatch(doc, -1)
	if len(rows) != 3 {
		t.Fatalf("%d vectors", len(rows))
	}
	for _, r := range rows {
		if got := Smartcar(webhook.Secret(r[1]), []byte(r[2])); got != r[3] {
			t.Errorf("%s: the docs say %s, it is %s", r[2], r[3], got)
		}
	}
	token, challenge, body := webhook.Secret(rows[0][1]), rows[0][2], rows[2][2]
	if !strings.Contains(doc, `{"challenge": "`+AnswerOf(token, challenge)+`"}`) {
		t.Error("the answer to the challenge is wrong")
	}
	if !strings.Contains(doc, "has `"+Fingerprint(token)+"`") {
		t.Errorf("the fingerprint is %s", Fingerprint(token))
	}
	std := regexp.MustCompile("(?s)webhook-id: ([0-9a-f-]{36})`.*webhook-timestamp: 1772614805`.*`(whsec_[^`]+)`.*webhook-signature: ([^`]+)`").FindStringSubmatch(doc)
	if std == nil {
		t.Fatal("no Standard Webhooks example")
	}
	key, err := ParseKey(std[2])
	if err != nil {
		t.Fatal(err)
	}
	if got := Standard(key, uuid.MustParse(std[1]), time.Unix(1772614805, 0), []byte(body)); got != std[3] {
		t.Errorf("the docs say %s, it is %s", std[3], got)
	}
}
