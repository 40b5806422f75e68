package access

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
)

func pairOf(n int) Pair {
	return Pair{Access: TokenHash{1, byte(n), byte(n >> 8)}, Refresh: TokenHash{2, byte(n), byte(n >> 8)}}
}

// However often an application refreshes, a consent stays small, and the newest pair
// works; tokens that were used go before those that were not.
func TestConsentStaysSmall(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	c := Consent{ID: uuid.New(), Code: &AuthCode{ExpiresAt: now.Add(CodeLife)}}
	if err := c.Exchange(Exchange{}, pairOf(0), now); err != nil {
		t.Fatal(err)
	}
	busy := 0
	for n := 1; n <= 500; n++ {
		_, err := c.Refresh(pairOf(n-1).Refresh, pairOf(n), now)
		for ; errors.Is(err, ErrRefreshBusy); _, err = c.Refresh(pairOf(n-1).Refresh, pairOf(n), now) {
			busy++
			now = now.Add(time.Second)
		}
		if err != nil {
			t.Fatalf("refresh %d: %v", n, err)
		}
		if len(c.Tokens) > maxTokens {
			t.Fatalf("%d tokens", len(c.Tokens))
		}
		if _, ok := c.Access(pairOf(n).Access, now); !ok {
			t.Fatalf("the newest access token of %d does not work", n)
		}
		now = now.Add(time.Second)
	}
	if busy == 0 {
		t.Error("there is no bound")
	}
	// At a usual pace what works is kept, and what ended within the last hours.
	for n := 501; n <= 520; n++ {
		now = now.Add(AccessLife / 2)
		if _, err := c.Refresh(pairOf(n-1).Refresh, pairOf(n), now); err != nil {
			t.Fatal(err)
		}
	}
	if c.Settle(now); len(c.Tokens) != 2+2+2*3 {
		t.Errorf("%d tokens: %+v", len(c.Tokens), c.Tokens)
	}
}

// A change that is refused, and one that is made on a copy, leave the original alone.
func TestConsentCopies(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	c := Consent{Code: &AuthCode{Hash: TokenHash{9}, ExpiresAt: now.Add(CodeLife), RedirectURI: "https://a", RedirectGiven: true}}
	before, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	changed := c
	if err := changed.Exchange(Exchange{RedirectURI: "https://b"}, pairOf(1), now); !errors.Is(err, ErrRedirect) {
		t.Error(err)
	}
	if err := changed.Exchange(Exchange{RedirectURI: "https://a"}, pairOf(1), now); err != nil {
		t.Error(err)
	}
	again := changed
	if _, err := again.Refresh(pairOf(1).Refresh, pairOf(2), now); err != nil {
		t.Error(err)
	}
	if len(changed.Tokens) != 2 || !changed.Tokens[1].UsedAt.IsZero() {
		t.Errorf("the copy's refresh shows in the original: %+v", changed.Tokens)
	}
	if after, err := json.Marshal(c); err != nil || string(after) != string(before) {
		t.Errorf("%s became %s (%v)", before, after, err)
	}
	var read Consent
	if b, err := json.Marshal(again); err != nil || json.Unmarshal(b, &read) != nil || len(read.Hashes()) != 5 || read.Hashes()[0] != (TokenHash{9}) {
		t.Errorf("%+v %v", read, err)
	}
	for _, text := range []string{"", "00", "zz", string(make([]byte, 64))} {
		if new(TokenHash).UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is a hash", text)
		}
	}
}

// A refresh token gives its pair again within the grace, however often it comes.
func TestRefreshGivesThePairAgain(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	c := Consent{ID: uuid.New(), Code: &AuthCode{ExpiresAt: now.Add(CodeLife)}}
	if err := c.Exchange(Exchange{}, pairOf(0), now); err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		until, err := c.Refresh(pairOf(0).Refresh, pairOf(1), now.Add(time.Duration(n)*time.Second))
		if err != nil || !until.Equal(now.Add(AccessLife)) || len(c.Tokens) != 4 {
			t.Fatalf("%d: %v %v, %d tokens", n, until, err, len(c.Tokens))
		}
	}
	if _, err := c.Refresh(pairOf(0).Refresh, pairOf(1), now.Add(RefreshGrace)); !errors.Is(err, ErrRefreshSpent) {
		t.Errorf("after the grace: %v", err)
	}
}
