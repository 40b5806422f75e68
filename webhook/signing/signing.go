// Package signing computes the two signatures of every request, and the challenge
// that a receiver answers before it gets anything.
//
// SC-Signature is what every Smartcar SDK checks; its key is the application
// management token. The Standard Webhooks headers are keyed by the webhook's own
// key. The two keys are never the same: a receiver answers any challenge with the
// HMAC of the management token, so whoever reaches a receiver can have bytes of
// their choice signed with that token, but never with the webhook's key.
package signing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// HeaderSmartcar carries [Smartcar]'s value in exactly this spelling: some receivers
// look it up by these bytes. Assign it into the header map, since http.Header.Set
// would send Sc-Signature.
const HeaderSmartcar = "SC-Signature"

// HeaderSmartcarNext is sent as well while the management token is rotated: it is
// what [HeaderSmartcar] would be with the next token.
const HeaderSmartcarNext = "SC-Signature-Next"

// The Standard Webhooks headers, in lower case as the standard writes them.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp" // whole Unix seconds of this attempt
	HeaderSignature = "webhook-signature"
)

// Smartcar is the value of SC-Signature: lower-case hex HMAC-SHA256 of the exact
// body bytes, keyed with the characters of the application management token.
func Smartcar(managementToken webhook.Secret, body []byte) string {
	return hex.EncodeToString(sum(managementToken, body))
}

// StandardList is the value of webhook-signature: what [Standard] makes with each of
// the keys, parted by spaces, as the standard lists signatures while a key rotates.
func StandardList(keys []webhook.Secret, id uuid.UUID, at time.Time, body []byte) string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = Standard(k, id, at, body)
	}
	return strings.Join(list, " ")
}

// Standard is one signature of webhook-signature: "v1," and the base64 HMAC-SHA256 of
// "id.timestamp.body", keyed with the decoded bytes of the webhook's own key. id is
// what goes out as webhook-id, at what goes out as webhook-timestamp in whole
// seconds; receivers refuse a timestamp more than five minutes off, so every
// attempt is stamped and signed anew.
func Standard(key webhook.Secret, id uuid.UUID, at time.Time, body []byte) string {
	m := make([]byte, 0, 36+1+20+1+len(body))
	m = append(m, id.String()...)
	m = append(m, '.')
	m = strconv.AppendInt(m, at.Unix(), 10)
	m = append(m, '.')
	m = append(m, body...)
	return "v1," + base64.StdEncoding.EncodeToString(sum(key, m))
}

func sum(key webhook.Secret, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}
