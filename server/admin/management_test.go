package admin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// While the servertest.Management token is rotated both are good for callers, the use of each is
// noted, and it is told which of them each receiver has.
func TestManagementTokenNext(t *testing.T) {
	w := servertest.NewWorld(t)
	const next = "the-next-management-token-0123456789"
	now := servertest.Noon
	clock := func(o *server.Options) { o.Now = func() time.Time { return now } }
	s := servertest.NewServer(t, w, clock)
	unsubscribe := func(token string) int {
		r := httptest.NewRequest(http.MethodDelete, "/v2.0/vehicles/"+servertest.VehicleA.String()+"/webhooks/"+servertest.HookID.String(), http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		s.Public().ServeHTTP(answer, r)
		return answer.Code
	}
	if got := unsubscribe(next); got != http.StatusUnauthorized {
		t.Fatalf("a token that is none is taken: %d", got)
	}
	s = servertest.NewServer(t, w, clock, func(o *server.Options) { o.ManagementTokenNext = webhook.Secret(next) })
	uses := func() map[string]time.Time {
		noted := map[string]time.Time{}
		for _, token := range []string{servertest.Management, next} {
			if at := servertest.Must[time.Time](t)(w.ManagementTokenUse(t.Context(), signing.Fingerprint(webhook.Secret(token)))); !at.IsZero() {
				noted[token] = at
			}
		}
		return noted
	}
	for i, token := range []string{servertest.Management, next} {
		before := uses()
		first, again := unsubscribe(token), unsubscribe(token)
		if after := uses(); first != 200 || again != 200 || len(before) != i || len(after) != i+1 || after[token].IsZero() {
			t.Errorf("%d %d, uses %v and then %v", first, again, before, after)
		}
	}
	for _, none := range []string{"", "x", servertest.Management + next} {
		if got := unsubscribe(none); got != http.StatusUnauthorized {
			t.Errorf("%q is taken: %d", none, got)
		}
	}

	w.EditHook(func(h *webhook.Webhook) {
		h.TokenSeen = webhook.TokenSeen{Fingerprint: signing.Fingerprint(webhook.Secret(next)), At: servertest.Noon}
	})
	c := servertest.OverSocket(t, s)
	m := servertest.Must[adminapi.ManagementToken](t)(c.ManagementToken(t.Context()))
	if st := servertest.Must[adminapi.Status](t)(c.Status(t.Context())); st.ManagementToken == nil || st.ManagementToken.Next != m.Next {
		t.Errorf("the status does not tell of it: %+v", st.ManagementToken)
	}
	if m.Fingerprint != signing.Fingerprint(webhook.Secret(servertest.Management)) || m.Next != signing.Fingerprint(webhook.Secret(next)) || m.NextUsedAt.IsZero() {
		t.Errorf("%+v", m)
	}
	for _, h := range m.Webhooks {
		if want := map[bool]adminapi.TokenHas{true: adminapi.HasNext, false: adminapi.HasUnknown}[h.ID == servertest.HookID]; h.Has != want || h.Challenge != nil {
			t.Errorf("%+v, want %s", h, want)
		}
	}
	m = servertest.Must[adminapi.ManagementToken](t)(c.TryManagementToken(t.Context()))
	for _, h := range m.Webhooks {
		if h.Challenge == nil || h.ID == servertest.HookID && h.Has != adminapi.HasPresent {
			t.Errorf("%+v", h)
		}
	}
}
