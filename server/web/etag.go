package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// ETagOf names a webhook's settings as they stand: what a change can change, and not
// what follows from deliveries, which would change it every few seconds.
func ETagOf(w *webhook.Webhook) string {
	text, _ := json.Marshal(struct { // texts and flags only: cannot fail
		ID uuid.UUID
		adminapi.WebhookChange
	}{w.ID, adminapi.WebhookChange{
		Name: &w.Name, CallbackURI: &w.CallbackURI, Cadence: &w.Cadence, Content: &w.Content, Signing: &w.Signing,
		AllowPrivate: &w.AllowPrivate, Recover: &w.Recover,
	}})
	sum := sha256.Sum256(text)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// IfMatch returns the check that the If-Match header of a request asks for: that
// the webhook's settings are still those that the caller saw. Without the header
// there is none.
func IfMatch(r *http.Request) ([]webhook.Check, error) {
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return nil, nil
	}
	tags, ok := parseTags(strings.Join(values, ","))
	if !ok {
		return nil, &webhook.Invalid{Field: "If-Match", Value: Clip(strings.Join(values, ",")),
			Allowed: `an ETag as it was answered, in its quotes, several of them parted by commas, or *`}
	}
	if tags == nil {
		return nil, nil // any that there is
	}
	return []webhook.Check{func(w *webhook.Webhook) error {
		now := ETagOf(w)
		if slices.Contains(tags, now) {
			return nil
		}
		return &adminapi.Error{Code: adminapi.CodeChanged,
			Message: fmt.Sprintf("webhook %s (%s) was changed since you looked: its ETag is %s now", w.Name, w.ID, now),
			Hint:    "nothing was changed; GET the webhook again, see whether you still want this, and send it with the new ETag as If-Match"}
	}}, nil
}

// parseTags reads a list of entity tags. Nil and true is the asterisk. A tag that a
// proxy made weak, because it compressed the answer, is as good as the strong one:
// it is of the settings, not of the bytes.
func parseTags(s string) (tags []string, ok bool) {
	if strings.TrimSpace(s) == "*" {
		return nil, true
	}
	for s != "" {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			break
		}
		rest, found := strings.CutPrefix(strings.TrimPrefix(s, "W/"), `"`)
		tag, after, closed := strings.Cut(rest, `"`)
		after = strings.TrimLeft(after, " \t")
		if !found || !closed || after != "" && after[0] != ',' {
			return nil, false
		}
		tags, s = append(tags, `"`+tag+`"`), after
	}
	return tags, len(tags) > 0
}
