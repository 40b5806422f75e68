package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// While the management token is rotated both are good for callers, the use of each is
// noted, and it is told which of them each receiver has.
func TestManagementTokenNext(t *testing.T) {
	w := newWorld()
	s := newServer(t, w)
	const next = "the-next-management-token-0123456789"
	if s.isManagementToken(next) {
		t.Fatal("a token that is none is taken")
	}
	s.ManagementTokenNext = webhook.Secret(next)
	for _, token := range []string{management, next} {
		w.tokenUses = nil
		r, err := http.NewRequest(http.MethodDelete, "/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		is := s.managementToken(token)
		if string(is) != token {
			t.Fatalf("%s is not taken", token)
		}
		s.usedManagementToken(r.Context(), is)
		s.usedManagementToken(r.Context(), is)
		if len(w.tokenUses) != 1 || w.tokenUses[signing.Fingerprint(webhook.Secret(token))].IsZero() {
			t.Errorf("uses %v", w.tokenUses)
		}
	}
	w.tokenUses = nil
	s.uses.at = nil
	r := httptest.NewRequest(http.MethodDelete, "/v2.0/vehicles/"+carA.String()+"/webhooks/"+hookID.String(), http.NoBody)
	r.Header.Set("Authorization", "Bearer "+next)
	answer := httptest.NewRecorder()
	s.Public().ServeHTTP(answer, r)
	if answer.Code != http.StatusOK || w.tokenUses[signing.Fingerprint(webhook.Secret(next))].IsZero() {
		t.Errorf("unsubscribing with the next token: %d, uses %v", answer.Code, w.tokenUses)
	}
	for _, none := range []string{"", "x", management + next} {
		if s.isManagementToken(none) {
			t.Errorf("%q is taken", none)
		}
	}

	w.hooks[0].TokenSeen = webhook.TokenSeen{Fingerprint: signing.Fingerprint(webhook.Secret(next)), At: noon}
	c := overSocket(t, s)
	m := must[adminapi.ManagementToken](t)(c.ManagementToken(t.Context()))
	if st := must[adminapi.Status](t)(c.Status(t.Context())); st.ManagementToken == nil || st.ManagementToken.Next != m.Next {
		t.Errorf("the status does not tell of it: %+v", st.ManagementToken)
	}
	if m.Fingerprint != signing.Fingerprint(webhook.Secret(management)) || m.Next != signing.Fingerprint(webhook.Secret(next)) || m.NextUsedAt.IsZero() {
		t.Errorf("%+v", m)
	}
	for _, h := range m.Webhooks {
		if want := map[bool]adminapi.TokenHas{true: adminapi.HasNext, false: adminapi.HasUnknown}[h.ID == w.hooks[0].ID]; h.Has != want || h.Challenge != nil {
			t.Errorf("%+v, want %s", h, want)
		}
	}
	w.hooks[0].TokenSeen.Fingerprint = m.Fingerprint
	w.answer = adminapi.Challenge{Status: 200, Duration: time.Second, Text: "answered rightly", Token: m.Fingerprint}
	m = must[adminapi.ManagementToken](t)(c.TryManagementToken(t.Context()))
	for _, h := range m.Webhooks {
		if h.Challenge == nil || h.ID == w.hooks[0].ID && h.Has != adminapi.HasPresent {
			t.Errorf("%+v", h)
		}
	}
}
