package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// A need is what a caller must be allowed to use a route of the admin listener.
type need string

const (
	byAnyone  need = ""        // tells nothing of this daemon
	toRead    need = "read"    // sees everything but keys and tokens
	toOperate need = "operate" // changes things, reaches out to receivers and vendors
	bySocket  need = "socket"  // is on the daemon's machine: no token is enough
)

// The prefixes of tokens, so that scanners for leaked secrets can know them.
const (
	accessPrefix   = "plugbeat_"
	operatorPrefix = "plugbeat_operator_"
)

// newToken makes a token of 256 random bits, and the hash it is kept as.
func newToken(operator bool) (token string, hash [32]byte) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	token = base64.RawURLEncoding.EncodeToString(raw)
	if operator {
		token = operatorPrefix + token
		return token, operatorHash(token)
	}
	token = accessPrefix + token
	return token, accessHash(token)
}

// accessHash is what an application's access token is kept and found by.
func accessHash(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// operatorHash is that of an operator's token. It is another one, so that a token of
// one kind is not found where the other is looked for, by no version of plugbeat.
func operatorHash(token string) [32]byte { return sha256.Sum256([]byte("operator\n" + token)) }

// grantBy finds the grant with the hash; false when there is none of that kind.
func (s *Server) grantBy(ctx context.Context, hash [32]byte, operator bool) (access.Grant, bool, error) {
	g, err := s.Store.GrantByHash(ctx, hash)
	if errors.Is(err, webhook.ErrNotFound) {
		return access.Grant{}, false, nil
	}
	same := subtle.ConstantTimeCompare(g.Hash[:], hash[:]) == 1
	return g, err == nil && same && (g.Scope != "") == operator, err
}

// onSocket marks requests that came by the socket; what is not marked is taken for
// one over HTTP.
type onSocket struct{}

func isOverHTTP(r *http.Request) bool { return r.Context().Value(onSocket{}) == nil }

// trusted marks the requests of whoever may open the socket.
func trusted(_ need, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), onSocket{}, true)))
	})
}

// allow lets a request over HTTP through whose token is enough for the need.
func (s *Server) allow(n need, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.mayUse(r, n); err != nil {
			s.adminError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) mayUse(r *http.Request, n need) error {
	if n == byAnyone {
		return nil
	}
	g, err := s.operator(r)
	if err != nil {
		return err
	}
	s.used(r.Context(), g)
	if n == bySocket {
		s.refused(r, "a token is not enough: "+g.Name)
		return &adminapi.Error{Code: adminapi.CodeForbidden, Message: routeName(r) + " is served on the daemon's socket only, whatever the token",
			Hint: "on the daemon's machine use the plugbeat command, or curl --unix-socket"}
	}
	if scope := access.Scope(n); !g.Scope.Includes(scope) {
		s.refused(r, "scope "+string(g.Scope)+" of token "+g.Name)
		return &adminapi.Error{Code: adminapi.CodeForbidden, Message: fmt.Sprintf("the token %s has the scope %s, and %s needs %s", quote(g.Name), g.Scope, routeName(r), scope),
			Hint: "make one on the daemon's machine: plugbeat token add NAME --scope " + string(scope)}
	}
	return nil
}

// routeName names the route of a request as the table of routes does.
func routeName(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	return r.Method + " " + clip(r.URL.Path)
}

// operator returns the grant of a request's token when it is an operator's.
func (s *Server) operator(r *http.Request) (access.Grant, error) {
	const hint = "make one on the daemon's machine: plugbeat token add NAME --scope read|operate"
	refuse := func(why, message string) (access.Grant, error) {
		s.refused(r, why)
		return access.Grant{}, &adminapi.Error{Code: adminapi.CodeUnauthorized, Message: message, Hint: hint}
	}
	token, err := bearer(r.Header)
	if err != nil {
		if inQuery(r) {
			return refuse("token in the URL", "a token in the URL is not read, because URLs are kept in logs: send the header Authorization: Bearer TOKEN, and revoke this one")
		}
		return refuse("no token", routeName(r)+" needs the header Authorization: Bearer TOKEN, once, with an operator's token")
	}
	g, ok, err := s.grantBy(r.Context(), operatorHash(token), true)
	if err != nil || ok {
		return g, err
	}
	if _, ok, err := s.grantBy(r.Context(), accessHash(token), false); err != nil {
		return access.Grant{}, err
	} else if ok {
		return refuse("an application's access token", "this is an application's access token, which is for /v2.0 only; this takes an operator's token")
	}
	if s.isManagementToken(token) {
		return refuse("the management token", "this is the application management token; this takes an operator's token")
	}
	return refuse("unknown token", "there is no such operator's token; it may have been revoked")
}

// inQuery reports whether a token stands in the URL, where none is read.
func inQuery(r *http.Request) bool {
	for name := range r.URL.Query() {
		if tokenLike(name) {
			return true
		}
	}
	return false
}

func tokenLike(parameter string) bool {
	p := strings.ToLower(parameter)
	return strings.Contains(p, "token") || strings.Contains(p, "key") || strings.HasPrefix(p, "auth")
}

// useEvery is how exactly the last use of a token is kept: each note of it is a
// commit.
const useEvery = time.Hour

// used notes that a token is in use. That it could not be noted, for lack of space
// say, is no reason to refuse it.
func (s *Server) used(ctx context.Context, g access.Grant) {
	now := s.Now().UTC()
	if now.Sub(g.LastUsedAt) < useEvery || !s.uses.due(g.Hash, now) {
		return
	}
	if err := s.Store.UseGrant(ctx, g.Hash, now); err != nil {
		s.Log.Debug().Str("event", "token.use_not_kept").Str("token", g.Name).Err(err).Msg("the use of a token could not be noted")
	}
}

// uses bounds how often the use of a token is noted, also where that fails.
type uses struct {
	mu sync.Mutex
	at map[[32]byte]time.Time
}

func (u *uses) due(hash [32]byte, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.at[hash]) < useEvery {
		return false
	}
	if u.at == nil {
		u.at = map[[32]byte]time.Time{}
	}
	u.at[hash] = now
	return true
}

// refused logs that a request was refused for its token, a few lines a minute
// whoever tries how often.
func (s *Server) refused(r *http.Request, why string) {
	now := s.Now()
	more, ok := s.refusals.take(now)
	if !ok {
		return
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	s.Log.Warn().Str("event", "http.refused").Str("from", from).Str("route", routeName(r)).Str("why", why).Int("more", more).
		Msg("a request was refused for its token")
}

// refusalBurst refusals are logged at once, then one every refusalEvery.
const (
	refusalBurst = 5
	refusalEvery = 20 * time.Second
)

// refusals is a bucket that bounds the log of refused requests.
type refusals struct {
	mu     sync.Mutex
	full   time.Time // when the bucket has all its lines again
	silent int       // since the last line
}

// take reports whether a refusal is logged, and how many were not since the last
// that was.
func (b *refusals) take(now time.Time) (more int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := b.full
	if full.Before(now) || full.Sub(now) > refusalBurst*refusalEvery { // the clock may go back
		full = now
	}
	if full = full.Add(refusalEvery); full.Sub(now) > refusalBurst*refusalEvery {
		b.silent++
		return 0, false
	}
	more, b.full, b.silent = b.silent, full, 0
	return more, true
}
