package smartcar

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"plugbeat/vehicle"
)

// tokenEndpoint is where the vendor exchanges codes and refresh tokens for pairs.
type tokenEndpoint struct {
	oauth        oauth2.Config
	client       *http.Client // never sends an exchange twice
	userAgent    string
	reconnectURL string // where an owner gives access again
}

// exchange redeems a refresh token. If the token endpoint itself gave no answer, exchange
// sends the token once more at once: the endpoint may have carried the first exchange out,
// and a used token works for a short while only.
func (t *tokenEndpoint) exchange(ctx context.Context, refresh string) (tokens, error) {
	pair, err := t.exchangeOnce(ctx, refresh)
	if err == nil {
		return pair, nil
	}
	if f := vehicle.AsFault(err); f.Code != "NO_RESPONSE" || f.RetryAfter > 0 {
		return tokens{}, err
	}
	return t.exchangeOnce(ctx, refresh)
}

func (t *tokenEndpoint) exchangeOnce(ctx context.Context, refresh string) (tokens, error) {
	return t.trade(ctx, func(ctx context.Context) (*oauth2.Token, error) {
		return t.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	}, refresh)
}

// trade makes one exchange at the token endpoint. The secrets are kept out of its error.
func (t *tokenEndpoint) trade(ctx context.Context, with func(context.Context) (*oauth2.Token, error), secrets ...string) (tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	client := *t.client
	client.Transport = agent{t.userAgent, client.Transport}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &client)
	now := time.Now()
	got, err := with(ctx)
	if err != nil {
		return tokens{}, t.fault(err, secrets...)
	}
	life := got.Expiry.Sub(now)
	if got.Expiry.IsZero() || life <= 0 {
		life = defaultLife
	}
	return tokens{
		Access:    got.AccessToken,
		Refresh:   got.RefreshToken, // the one sent, where the answer has none
		ExpiresAt: now.Add(life).UTC(),
		RenewAt:   now.Add(life - min(renewAhead, life/10)).UTC(),
	}, nil
}

// agent names the daemon to the token endpoint, which requires it.
type agent struct {
	name string
	next http.RoundTripper
}

func (a agent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", a.name)
	return a.next.RoundTrip(r)
}

// lostConsent is the fault of an account whose owner has to give access again.
func (t *tokenEndpoint) lostConsent(description string) *vehicle.Fault {
	return &vehicle.Fault{
		Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: http.StatusBadRequest,
		Resolution: vehicle.ResolveReauthenticate, ResolutionURL: t.reconnectURL, Description: description,
	}
}
