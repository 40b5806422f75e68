package smartcar

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"plugbeat/vehicle"
)

// AuthorizeURL is where an owner signs in and allows the application to reach his
// vehicles. The vendor sends the browser back to the redirect URI with the state and a
// code, or an error. q is what else the vendor takes: scope (the paths that plugbeat
// reads, where it is empty), make, single_select and the like.
func (s *Source) AuthorizeURL(state, redirectURI string, q url.Values) string {
	out := url.Values{}
	maps.Copy(out, q)
	if out.Get("scope") == "" {
		names := []string{"read_vehicle_info"}
		for p := range vehicle.AllPaths.All() {
			names = append(names, p.Permission())
		}
		out.Set("scope", strings.Join(names, " "))
	}
	if out.Get("mode") == "" {
		out.Set("mode", s.opts.Mode)
	}
	out.Set("response_type", "code")
	out.Set("client_id", s.opts.ClientID)
	out.Set("redirect_uri", redirectURI)
	out.Set("state", state)
	return s.opts.ConnectOrigin + "/oauth/authorize?" + out.Encode()
}

// ConnectCode is [Source.Connect] with the code that the vendor sent back, which is
// good once. The pair that it is exchanged for is saved before it is used, so that
// ConnectCode may be called again with the same code; when the answer to the code itself
// was lost the owner has to sign in again.
func (s *Source) ConnectCode(ctx context.Context, code, redirectURI string) ([]vehicle.Vehicle, error) {
	if code == "" {
		return nil, errors.New("connect smartcar: the code is empty")
	}
	sum := sha256.Sum256([]byte("code\n" + code))
	first := provisional + hex.EncodeToString(sum[:8])
	if err := s.beginCode(ctx, first, code, redirectURI); err != nil {
		return nil, fmt.Errorf("connect smartcar: %w", err)
	}
	return s.arrive(ctx, first)
}

// beginCode makes the account first hold the pair that the code is exchanged for. The
// exchange goes on when ctx ends: its answer must not be lost.
func (s *Source) beginCode(ctx context.Context, first, code, redirectURI string) error {
	a := s.account(first)
	select {
	case a.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.lock }()
	if !a.loaded {
		// A code is good once: what an earlier call made of it is gone on with.
		b, err := s.opts.Tokens.Load(ctx, first)
		if err != nil {
			return fmt.Errorf("load tokens: %w", err)
		}
		if len(b) > 0 {
			if a.pair, err = s.load(ctx, first); err != nil {
				return err
			}
			a.loaded = true
		}
	}
	if a.loaded {
		return nil
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errors.New("smartcar: the source is closed")
	}
	s.renewals.Add(1)
	s.mu.Unlock()
	defer s.renewals.Done()
	ctx = context.WithoutCancel(ctx)
	pair, err := s.trade(ctx, func(ctx context.Context) (*oauth2.Token, error) {
		return s.oauth.Exchange(ctx, code, oauth2.SetAuthURLParam("redirect_uri", redirectURI))
	}, code)
	if err != nil {
		return err
	}
	if err := s.write(ctx, first, pair); err != nil {
		return err
	}
	a.pair, a.loaded = pair, true
	return nil
}
