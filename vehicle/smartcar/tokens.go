package smartcar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"plugbeat/vehicle"
)

// Times of a token exchange.
const (
	// exchangeTimeout bounds one exchange.
	exchangeTimeout = 25 * time.Second
	// renewAhead is how long before its end an access token is renewed, at most a
	// tenth of its life.
	renewAhead = 5 * time.Minute
	// again is how long after a renewal went wrong the next is tried while the
	// access token is still good.
	again = 30 * time.Second
	// chaseFor is how long an exchange of which no answer came is made again in the
	// background: the vendor says 1 minute in one place and 10 in another for how
	// long a used refresh token still works.
	chaseFor = 10 * time.Minute
	// defaultLife is the life of an access token whose answer does not say it.
	defaultLife = 2 * time.Hour
)

// tokens is a connection's pair as it is saved.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	// ExpiresAt ends the access token; RenewAt is when it is renewed.
	ExpiresAt time.Time `json:"expires_at"`
	RenewAt   time.Time `json:"renew_at"`
	// TryingSince is when an exchange of Refresh was first begun; zero before. It is
	// saved before the request leaves, so that a process that was killed meanwhile is
	// followed by one that exchanges the token at once, while that still works.
	TryingSince time.Time `json:"trying_since,omitzero"`
}

// account is one connection's tokens in memory.
type account struct {
	name string
	// lock holds one item while somebody uses the fields below. A channel, so
	// that waiting for it ends with the waiter's context.
	lock chan struct{}

	loaded  bool
	pair    tokens    // saved; the only one that is used
	unsaved *tokens   // got and not yet saved
	retryAt time.Time // no renewal ahead of time before this
	told    bool      // that the tokens are refused was logged
	lost    bool      // the owner has to sign in again
	chased  bool      // an exchange is made again in the background
}

// account returns the account's place in memory.
func (s *Source) account(name string) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[name]
	if a == nil {
		a = &account{name: name, lock: make(chan struct{}, 1)}
		s.accounts[name] = a
	}
	return a
}

// token returns an access token of the connection that is saved and not refused:
// refused is one that the API answered 401, or empty. It renews the pair where
// need be, one caller at a time. A caller whose context ends leaves; the exchange
// goes on, since its answer must not be lost.
func (s *Source) token(ctx context.Context, connection, refused string) (string, error) {
	if connection == "" {
		return "", s.lostConsent("the vehicle has no connection; connect it again")
	}
	a := s.account(connection)
	select {
	case a.lock <- struct{}{}:
	case <-ctx.Done():
		return "", fmt.Errorf("wait for tokens: %w", ctx.Err())
	}
	if a.loaded && a.unsaved == nil && a.pair.Access != refused && time.Now().Before(a.pair.RenewAt) {
		access := a.pair.Access
		<-a.lock
		return access, nil
	}
	type result struct {
		access string
		err    error
	}
	done := make(chan result, 1)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-a.lock
		return "", errors.New("smartcar: the source is closed")
	}
	s.renewals.Go(func() {
		defer func() { <-a.lock }()
		access, err := s.renew(context.WithoutCancel(ctx), a, refused)
		done <- result{access, err}
	})
	s.mu.Unlock()
	select {
	case r := <-done:
		return r.access, r.err
	case <-ctx.Done():
		return "", fmt.Errorf("renew tokens: %w", ctx.Err())
	}
}

// renew returns an access token of a, whose lock the caller holds. The error is
// a [*vehicle.Fault] or wraps one.
func (s *Source) renew(ctx context.Context, a *account, refused string) (string, error) {
	if !a.loaded {
		pair, err := s.load(ctx, a.name)
		if err != nil {
			return "", err
		}
		a.pair, a.loaded = pair, true
	}
	if a.unsaved != nil {
		if err := s.save(ctx, a); err != nil {
			return "", err
		}
	}
	now := time.Now()
	good := a.pair.Access != "" && a.pair.Access != refused && now.Before(a.pair.ExpiresAt)
	if good && (now.Before(a.pair.RenewAt) || now.Before(a.retryAt)) {
		return a.pair.Access, nil
	}
	if err := s.rotate(ctx, a); err != nil {
		if good {
			a.retryAt = now.Add(again)
			s.opts.Log.Warn().Str("event", "source.token_failed").Str("connection", a.name).
				Time("next", a.retryAt.UTC()).Err(err).Msg("tokens not renewed ahead of time; the present ones are still good")
			return a.pair.Access, nil
		}
		return "", err
	}
	return a.pair.Access, nil
}

// rotate exchanges a's refresh token and saves the new pair. Before, it saves that it
// does: what cannot be saved must not be asked for. The caller holds a's lock.
func (s *Source) rotate(ctx context.Context, a *account) error {
	if a.pair.TryingSince.IsZero() {
		trying := a.pair
		trying.TryingSince = time.Now().UTC()
		if err := s.write(ctx, a.name, trying); err != nil {
			return err
		}
		a.pair = trying
	}
	pair, err := s.exchange(ctx, a.pair.Refresh)
	if err != nil {
		s.tell(a, err)
		a.lost = vehicle.AsFault(err).Type == vehicle.TypeAccount
		switch {
		case vehicle.AsFault(err).Temporary():
			s.chase(a, vehicle.AsFault(err).RetryAfter) //nolint:contextcheck // it goes on without its caller
		case a.pair.Access == "":
			// The token of somebody who connects was never good: nothing is kept of it.
			if err := s.opts.Tokens.Save(ctx, a.name, nil); err == nil {
				a.loaded, a.pair = false, tokens{}
			}
		}
		return err
	}
	a.unsaved = &pair
	if err := s.save(ctx, a); err != nil {
		s.chase(a, 0) //nolint:contextcheck // it goes on without its caller
		return err
	}
	a.told, a.lost, a.retryAt = false, false, time.Time{}
	s.opts.Log.Info().Str("event", "source.token_rotated").Str("connection", a.name).
		Time("expires_at", a.pair.ExpiresAt).Msg("tokens renewed and saved")
	return nil
}

// load reads an account's saved pair.
func (s *Source) load(ctx context.Context, name string) (tokens, error) {
	b, err := s.opts.Tokens.Load(ctx, name)
	if err != nil {
		return tokens{}, ours("plugbeat could not load the account's tokens", err)
	}
	if len(b) == 0 {
		return tokens{}, s.lostConsent("plugbeat has no tokens of this account; connect it again")
	}
	var t tokens
	if err := json.Unmarshal(b, &t); err != nil || t.Refresh == "" {
		// The text of err could quote a token.
		return tokens{}, ours("plugbeat cannot read the account's tokens; connect it again", nil)
	}
	return t, nil
}

// save makes a's new pair durable and only then the one that is used.
func (s *Source) save(ctx context.Context, a *account) error {
	if err := s.write(ctx, a.name, *a.unsaved); err != nil {
		return err
	}
	a.pair, a.unsaved = *a.unsaved, nil
	return nil
}

func (s *Source) write(ctx context.Context, name string, t tokens) error {
	b, err := json.Marshal(t)
	if err == nil {
		err = s.opts.Tokens.Save(ctx, name, b)
	}
	if err != nil {
		return ours("plugbeat could not save the account's renewed tokens", err)
	}
	return nil
}

// exchange redeems a refresh token. When no answer of the token endpoint's own
// arrived the token is sent once more at once: the first exchange may have been
// carried out, and the used token works for a short while only.
func (s *Source) exchange(ctx context.Context, refresh string) (tokens, error) {
	pair, err := s.exchangeOnce(ctx, refresh)
	if err == nil {
		return pair, nil
	}
	if f := vehicle.AsFault(err); f.Code != "NO_RESPONSE" || f.RetryAfter > 0 {
		return tokens{}, err
	}
	return s.exchangeOnce(ctx, refresh)
}

func (s *Source) exchangeOnce(ctx context.Context, refresh string) (tokens, error) {
	return s.trade(ctx, func(ctx context.Context) (*oauth2.Token, error) {
		return s.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	}, refresh)
}

// trade makes one exchange at the token endpoint. The secrets are kept out of its error.
func (s *Source) trade(ctx context.Context, with func(context.Context) (*oauth2.Token, error), secrets ...string) (tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	client := *s.once
	client.Transport = agent{s.opts.UserAgent, client.Transport}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &client)
	now := time.Now()
	t, err := with(ctx)
	if err != nil {
		return tokens{}, s.oauthFault(err, secrets...)
	}
	life := t.Expiry.Sub(now)
	if t.Expiry.IsZero() || life <= 0 {
		life = defaultLife
	}
	return tokens{
		Access:    t.AccessToken,
		Refresh:   t.RefreshToken, // the one sent, where the answer has none
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

// tell logs that a connection's tokens are refused, once.
func (s *Source) tell(a *account, err error) {
	f := vehicle.AsFault(err)
	if f.Temporary() || a.told {
		return
	}
	a.told = true
	s.opts.Log.Warn().Str("event", "source.reauthenticate").Str("connection", a.name).
		Str("fault", f.Error()).Msg("the connection's tokens are refused")
}

// Forget erases a connection's tokens, in memory and in the token store, once no
// exchange of them is under way. Reading through the connection then fails.
func (s *Source) Forget(ctx context.Context, connection string) error {
	a := s.account(connection)
	select {
	case a.lock <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("forget connection %s: %w", connection, ctx.Err())
	}
	defer func() { <-a.lock }()
	if err := s.opts.Tokens.Save(ctx, connection, nil); err != nil {
		return fmt.Errorf("forget connection %s: %w", connection, err)
	}
	a.loaded, a.pair, a.unsaved = false, tokens{}, nil
	return nil
}

// lostConsent is the fault of an account whose owner has to give access again.
func (s *Source) lostConsent(description string) *vehicle.Fault {
	return &vehicle.Fault{
		Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: http.StatusBadRequest,
		Resolution: vehicle.ResolveReauthenticate, ResolutionURL: s.opts.ReconnectURL, Description: description,
	}
}

// ours is the fault of something that failed on this side. Its cause is for the
// log alone: the fault goes into payloads.
func ours(description string, cause error) error {
	f := &vehicle.Fault{
		Type: vehicle.TypeServer, Code: "INTERNAL", Status: http.StatusInternalServerError,
		Resolution: vehicle.ResolveRetryLater, Description: description,
	}
	if cause == nil {
		return f
	}
	return fmt.Errorf("%w: %w", f, cause)
}
