package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"plugbeat/access"
	"plugbeat/adminapi"
)

// A Need is what a caller must be allowed to use a route of the admin listener.
type Need string

// The needs.
const (
	ByAnyone  Need = ""        // tells nothing of this daemon
	ToRead    Need = "read"    // sees everything but keys and tokens
	ToOperate Need = "operate" // changes things, reaches out to receivers and vendors
	BySocket  Need = "socket"  // is on the daemon's machine: no token is enough
)

// onSocket marks requests that came by the socket; what is not marked is taken for
// one over HTTP.
type onSocket struct{}

// IsOverHTTP reports whether a request came by the admin listener, not the socket.
func IsOverHTTP(r *http.Request) bool { return r.Context().Value(onSocket{}) == nil }

// Trusted marks the requests of whoever may open the socket.
func Trusted(_ Need, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), onSocket{}, true)))
	})
}

// Allow lets a request over HTTP through whose token is enough for the need.
func (a *Auth) Allow(n Need, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.MayUse(r, n); err != nil {
			a.Replies.APIError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// MayUse is nil where the token of a request over HTTP is enough for the need.
func (a *Auth) MayUse(r *http.Request, n Need) error {
	if n == ByAnyone {
		return nil
	}
	g, err := a.operator(r)
	if err != nil {
		return err
	}
	a.used(r.Context(), g)
	if n == BySocket {
		a.Replies.Refused(r, "a token is not enough: "+g.Name)
		return &adminapi.Error{Code: adminapi.CodeForbidden, Message: RouteName(r) + " is served on the daemon's socket only, whatever the token",
			Hint: "on the daemon's machine use the plugbeat command, or curl --unix-socket"}
	}
	if scope := access.Scope(n); !g.Scope.Includes(scope) {
		a.Replies.Refused(r, "scope "+string(g.Scope)+" of token "+g.Name)
		return &adminapi.Error{Code: adminapi.CodeForbidden,
			Message: fmt.Sprintf("the token %s has the scope %s, and %s needs %s", Quote(g.Name), g.Scope, RouteName(r), scope),
			Hint:    "make one on the daemon's machine: plugbeat token add NAME --scope " + string(scope)}
	}
	return nil
}

// operator returns the grant of a request's token when it is an operator's.
func (a *Auth) operator(r *http.Request) (access.Grant, error) {
	refuse := func(why, message string) (access.Grant, error) {
		a.Replies.Refused(r, why)
		return access.Grant{}, &adminapi.Error{Code: adminapi.CodeUnauthorized, Message: message,
			Hint: "make one on the daemon's machine: plugbeat token add NAME --scope read|operate"}
	}
	token, err := Bearer(r.Header)
	if err != nil {
		if inQuery(r) {
			return refuse("token in the URL",
				"a token in the URL is not read, because URLs are kept in logs: send the header Authorization: Bearer TOKEN, and revoke this one")
		}
		return refuse("no token", RouteName(r)+" needs the header Authorization: Bearer TOKEN, once, with an operator's token")
	}
	g, ok, err := a.grantBy(r.Context(), access.OperatorHash(token), adminapi.OperatorToken)
	if err != nil || ok {
		return g, err
	}
	if _, ok, err := a.grantBy(r.Context(), access.GrantHash(token), adminapi.AccessToken); err != nil {
		return access.Grant{}, err
	} else if ok {
		return refuse("an application's access token",
			"this is an application's access token, which is for /v2.0 only; this takes an operator's token")
	}
	if a.ManagementToken(token) != nil {
		return refuse("the management token", "this is the application management token; this takes an operator's token")
	}
	return refuse("unknown token", "there is no such operator's token; it may have been revoked")
}

// inQuery reports whether a token stands in the URL, where none is read.
func inQuery(r *http.Request) bool {
	for name := range r.URL.Query() {
		if TokenLike(name) {
			return true
		}
	}
	return false
}

// TokenLike reports whether a query parameter of this name may hold a token.
func TokenLike(parameter string) bool {
	p := strings.ToLower(parameter)
	return strings.Contains(p, "token") || strings.Contains(p, "key") || strings.HasPrefix(p, "auth")
}
