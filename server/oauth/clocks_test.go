package oauth_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"plugbeat/access"
	"plugbeat/server"
	"plugbeat/server/servertest"
)

// TestClocks: codes, tokens and logins with a clock that cannot be believed, an hour, a month and
// fifty years off, both ways, and right again later. What the application has is never refused
// for good, and what was issued meanwhile works once the clock is right, for as long as it would
// have.
func TestClocks(t *testing.T) {
	const day = 24 * time.Hour
	for _, size := range []time.Duration{time.Hour, 31 * day, 50 * 366 * day} {
		for _, by := range []time.Duration{size, -size} {
			name := fmt.Sprintf("off by %s", by)
			doubted := false
			p := servertest.NewPortal(t, func(o *server.Options) { o.Doubted = func() bool { return doubted } })
			off := func(d time.Duration) { p.Now, doubted = p.Now.Add(d), true }
			right := func(d time.Duration) { p.Now, doubted = p.Now.Add(-d).Add(time.Second), false }
			answered := func(what string, a servertest.TokenAnswer) (ok bool) {
				t.Helper()
				if a.Status != 200 && (a.Status != 503 || a.Error != "temporarily_unavailable") {
					t.Errorf("%s, %s: %d %s %s", name, what, a.Status, a.Error, a.Description)
				}
				return a.Status == 200
			}
			works := func(what string, a servertest.TokenAnswer) {
				t.Helper()
				if a.Status != 200 || p.Reads(a.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 200 {
					t.Errorf("%s, %s: %d %s %s", name, what, a.Status, a.Error, a.Description)
				}
			}

			have := p.Exchange(p.Code(servertest.Asked()))
			code, late := p.Code(servertest.Asked()), p.Code(servertest.Asked())
			off(by)
			if a := p.Refresh(have.RefreshToken); answered("a refresh meanwhile", a) {
				works("what a refresh gave meanwhile", a)
				have = a
			}
			if a := p.Exchange(code); answered("a code meanwhile", a) {
				works("what a code gave meanwhile", a)
				right(by)
				works("what a code gave meanwhile, right again", p.Refresh(a.RefreshToken))
			} else {
				right(by)
				works("the code, right again", p.Exchange(code))
			}
			works("the refresh, right again", p.Refresh(have.RefreshToken))
			works("another code, right again", p.Exchange(late))

			off(by)
			issued := p.Code(servertest.Asked())
			other := p.Exchange(p.Code(servertest.Asked()))
			page, _ := p.ConsentPage(servertest.Asked())
			right(by)
			works("a code of meanwhile, right again", p.Exchange(issued))
			if p.Reads(other.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 200 {
				t.Errorf("%s: a token of meanwhile does not work, right again", name)
			}
			if back := p.Post("/oauth/consent", url.Values{"login": {page.Login(t)}, "vehicle": {servertest.VehicleA.String()},
				"answer": {"allow"}}); back.Status == 303 {
				t.Errorf("%s: a login that was begun then is taken: %v", name, back.Location)
			}
			if _, err := p.W.Sweep(t.Context(), p.Now, day, day); err != nil {
				t.Fatal(err)
			}
			p.Now = p.Now.Add(access.AccessLife)
			if p.Reads(other.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 401 {
				t.Errorf("%s: a token of meanwhile does not end", name)
			}
			works("a refresh token of meanwhile", p.Refresh(other.RefreshToken))
			p.Now = p.Now.Add(access.RefreshLife)
			if a := p.Refresh(have.RefreshToken); a.Status != 400 || a.Error != "invalid_grant" {
				t.Errorf("%s: a refresh token does not end: %d %s", name, a.Status, a.Error)
			}
		}
	}
}
