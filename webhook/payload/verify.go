package payload

import "github.com/google/uuid"

// Verify is the body of a verification request. It carries no mode and no vehicle;
// the receiver answers with the challenge's HMAC (see package signing).
func Verify(webhookID uuid.UUID, challenge string) []byte {
	// Append cannot fail: there is no number in it and the keys are constant.
	body, _ := Append(nil, Object(
		Member{"version", String(Version)},
		Member{"webhookId", String(webhookID.String())},
		Member{"eventName", String(EventVerify)},
		Member{"payload", Object(Member{"challenge", String(challenge)})},
	))
	return body
}
