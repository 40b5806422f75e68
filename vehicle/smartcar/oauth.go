package smartcar

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"plugbeat/vehicle"
)

// remedy is who can do something about what the token endpoint answered.
type remedy uint8

const (
	temporary remedy = iota // nobody has to: asking again helps
	owner                   // the account's owner signs in again
	operator                // the operator looks at the application's settings
	program                 // plugbeat's request is wrong
)

// remedies is what an error code means in an answer whose status is that of a refusal:
// the codes of RFC 6749 5.2 and 4.1.2.1, RFC 8628, OpenID Connect, and those of the field.
var remedies = map[string]remedy{
	"server_error": temporary, "temporarily_unavailable": temporary, "slow_down": temporary, "authorization_pending": temporary,
	"internal_error": temporary, "internal_server_error": temporary, "service_unavailable": temporary, "timeout": temporary,
	"rate_limit_exceeded": temporary, "rate_limited": temporary, "too_many_requests": temporary,

	"invalid_grant": owner, "invalid_token": owner, "expired_token": owner, "access_denied": owner, "consent_required": owner,
	"interaction_required": owner, "login_required": owner, "account_selection_required": owner,

	"invalid_client": operator, "unauthorized_client": operator, "invalid_scope": operator,

	"invalid_request": program, "unsupported_grant_type": program, "unsupported_response_type": program, "unsupported_token_type": program,
}

// remedyOf judges an answer of the token endpoint. The status decides first: one that says
// "later" is temporary, whatever the code. An unknown code of a refusal is for the operator.
// A refusal without a code is temporary: the endpoint itself did not write it.
func remedyOf(status int, code string) remedy {
	switch {
	case code == "", status >= 500, status >= 300 && status < 400:
		return temporary
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return temporary
	}
	if r, known := remedies[strings.ToLower(code)]; known {
		return r
	}
	return operator
}

// maxWords is how much of the vendor's own words a fault carries, in bytes.
const maxWords = 300

// fault makes a fault of what the token endpoint answered, with the endpoint's words.
func (t *tokenEndpoint) fault(err error, secrets ...string) *vehicle.Fault {
	r, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		why := cause(err)
		if strings.Contains(why, "cannot parse json") { // oauth2 gives the body to nobody
			why = "a page or text instead of JSON"
		}
		f := vehicle.NoResponse("Smartcar's token endpoint did not answer as it should: " + why)
		_, f.Network = errors.AsType[*url.Error](err)
		return f
	}
	e := entry{header: func(string) string { return "" }, at: time.Now()}
	if r.Response != nil {
		e.code, e.header = r.Response.StatusCode, r.Response.Header.Get
	}
	code, text := r.ErrorCode, r.ErrorDescription
	if code == "" { // oauth2 reads JSON only where the content type says so, and only texts in it
		code, text = saidOf(r.Body)
	}
	code = strings.TrimSpace(code)
	said := t.words(code, text, secrets)
	switch remedyOf(e.code, code) {
	case owner:
		return t.lostConsent("Smartcar no longer accepts the account's tokens; its owner has to sign in again" + said)
	case operator:
		return &vehicle.Fault{
			Type: vehicle.TypeAuthentication, Status: http.StatusUnauthorized,
			Description: "Smartcar's token endpoint refused the application; " +
				"look at client_id, the client secret and the application at Smartcar" + said,
		}
	case program:
		return &vehicle.Fault{
			Type: vehicle.TypeServer, Code: "INTERNAL", Status: http.StatusInternalServerError, Resolution: vehicle.ResolveContactSupport,
			Final:       true,
			Description: "Smartcar's token endpoint does not understand plugbeat's request; report it to plugbeat" + said,
		}
	}
	if e.code == http.StatusTooManyRequests {
		return plain(e, "too many token requests"+said)
	}
	f := vehicle.NoResponse(fmt.Sprintf("Smartcar's token endpoint answered status %d%s", e.code, said))
	if code == "" {
		f.Description += " with " + notJSON(r.Body)
	}
	f.RetryAfter = retryAfter(e)
	return f
}

// saidOf returns the code and the description of an error: a text as RFC 6749 has it, or what
// some endpoints write in its place, a list or an object with a code.
func saidOf(body []byte) (code, text string) {
	for list := []json.RawMessage{}; ; {
		body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
		if json.Unmarshal(body, &code) == nil {
			return code, text
		}
		if json.Unmarshal(body, &list) == nil && len(list) > 0 {
			body = list[0]
			continue
		}
		var o struct {
			Error, Code          json.RawMessage
			Description, Message string
			Said                 string `json:"error_description"`
		}
		if json.Unmarshal(body, &o) != nil {
			return "", text
		}
		text = cmp.Or(text, o.Said, o.Description, o.Message)
		if body = o.Error; body == nil {
			body = o.Code
		}
		if body == nil {
			return "", text
		}
	}
}

// words are the vendor's, fit for a fault: its code and description, without secrets.
func (t *tokenEndpoint) words(code, text string, secrets []string) string {
	if code == "" {
		return ""
	}
	said := code
	if text != "" {
		said += ": " + text
	}
	for _, secret := range append(secrets, t.oauth.ClientSecret) {
		if secret != "" {
			said = strings.ReplaceAll(said, secret, "[secret]")
		}
	}
	said = clean(said)
	if len(said) > maxWords {
		said = strings.ToValidUTF8(said[:maxWords], "") + "..."
	}
	return " (" + said + ")"
}
