package payload

import "github.com/google/uuid"

// Verify is the body of a verification request. It carries no mode and no vehicle;
// the receiver answers with the challenge's HMAC (see package signing).
func Verify(webhookID uuid.UUID, challenge string) []byte {
	// Append cannot fail: there is no number in it and the keys are constant.
	body, _ := Append(nil, object{
		{"version", String(Version)},
		{"webhookId", String(webhookID.String())},
		{"eventName", String(EventVerify)},
		{"payload", object{{"challenge", String(challenge)}}},
	})
	return body
}
