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
	if err := s.accounts.beginCode(ctx, first, code, redirectURI); err != nil {
		return nil, fmt.Errorf("connect smartcar: %w", err)
	}
	return s.arrive(ctx, first)
}
