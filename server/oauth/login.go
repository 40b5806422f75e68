package oauth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/server/web"
)

// step is where a login stands; a login sealed for one is good for no other.
type step string

const (
	stepCode    step = "code"    // the page that asks for a one-time code
	stepSignIn  step = "signin"  // the link to the vendor on that page
	stepConsent step = "consent" // the page that lists the vehicles
	stepVendor  step = "vendor"  // away at the vendor
)

// loginLife is how long a login may take from its first page to its end.
const loginLife = time.Hour

// A login is a browser's way through /oauth. plugbeat keeps nothing of it: it goes
// through the browser, sealed and bound to the browser's cookie, so that no page can
// be brought up by another site and no login be finished in another browser.
type login struct {
	// ID is of the way to the vendor and back, which is gone once.
	ID      uuid.UUID `json:"id,omitzero"`
	Browser string    `json:"browser"` // the cookie's hash
	Ends    time.Time `json:"ends"`
	// App is what the application asked for; nil for an operator's own.
	App *authorization `json:"app,omitempty"`
	// Connect is the operator's connect that this login is of, or whose one-time code
	// was given.
	Connect uuid.UUID `json:"connect,omitzero"`
	// Source is the one that was asked for or taken; empty while it may be any.
	Source string `json:"source,omitempty"`
}

// authorization is a request to authorize that was found to be in order.
type authorization struct {
	RedirectURI   string   `json:"redirect_uri"`
	RedirectGiven bool     `json:"redirect_given"`
	State         string   `json:"state,omitempty"`
	StateGiven    bool     `json:"state_given,omitempty"`
	Scope         []string `json:"scope,omitempty"`
	Challenge     string   `json:"challenge,omitempty"`
	// Vendor holds what is passed on to the vendor.
	Vendor url.Values `json:"vendor,omitempty"`
}

// sealer seals logins.
type sealer struct{ aead cipher.AEAD }

// newSealer takes a key of 32 bytes.
func newSealer(key []byte) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("LoginKey: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead}, err
}

func (s *sealer) seal(at step, l login) string {
	plain, _ := json.Marshal(l) // texts, a time and an id
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	_, _ = rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, []byte(at)))
}

// errLogin means that a login is none, is over, or is another browser's.
var errLogin = errors.New("this login is over, or began in another browser")

func (s *sealer) open(at step, text string) (l login, err error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < s.aead.NonceSize() {
		return l, errLogin
	}
	plain, err := s.aead.Open(nil, b[:s.aead.NonceSize()], b[s.aead.NonceSize():], []byte(at))
	if err != nil || json.Unmarshal(plain, &l) != nil {
		return l, errLogin
	}
	return l, nil
}

// logins begins logins and takes them up again.
type logins struct {
	site
	*sealer
	now func() time.Time

	mu    sync.Mutex
	spent map[uuid.UUID]time.Time // logins that came back from the vendor: until when they could
}

// maxSpent bounds how many logins that came back are remembered.
const maxSpent = 10_000

// spend reports whether a login comes back from the vendor for the first time.
func (s *logins) spend(l login) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.spent[l.ID]; again {
		return false
	}
	for id, until := range s.spent {
		if len(s.spent) >= maxSpent || !s.now().Before(until) {
			delete(s.spent, id)
		}
	}
	s.spent[l.ID] = s.now().Add(loginLife) // no clock that is set shortens it
	return true
}

// cookieName is that of the cookie which binds logins to a browser.
const cookieName = "plugbeat_login"

// browser returns what binds a login to the browser of the request, and gives the
// browser its cookie where it has none.
func (s *logins) browser(w http.ResponseWriter, r *http.Request) string {
	var value string
	if c, err := r.Cookie(cookieName); err == nil && len(c.Value) == 43 {
		value = c.Value // logins in two tabs are both of this browser
	} else {
		var b [32]byte
		_, _ = rand.Read(b[:])
		value = base64.RawURLEncoding.EncodeToString(b[:])
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: s.below("/oauth"), MaxAge: int(loginLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.url(), "https:"),
	})
	return hashText(value)
}

func hashText(v string) string {
	sum := sha256.Sum256([]byte("browser\n" + v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// begin starts a login in the browser of the request.
func (s *logins) begin(w http.ResponseWriter, r *http.Request, app *authorization) login {
	return login{Browser: s.browser(w, r), Ends: s.now().Add(loginLife).UTC(), App: app}
}

// resume opens a login that the browser of the request brings back.
func (s *logins) resume(r *http.Request, at step, text string) (login, error) {
	l, err := s.open(at, text)
	if err != nil {
		return l, err
	}
	c, err := r.Cookie(cookieName)
	if err != nil || subtle.ConstantTimeCompare([]byte(hashText(c.Value)), []byte(l.Browser)) != 1 {
		return login{}, errLogin
	}
	// A login that ends later than a new one was begun on a clock that was ahead.
	if now := s.now(); !now.Before(l.Ends) || l.Ends.After(now.Add(loginLife)) {
		return login{}, errLogin
	}
	return l, nil
}

// form reads the form of a step.
func (s *logins) form(r *http.Request, at step) (login, url.Values, error) {
	body, err := web.ReadBody(r)
	if err != nil {
		return login{}, nil, refusePage("The form cannot be read.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["login"]) != 1 {
		return login{}, nil, refusePage("The form cannot be read.")
	}
	l, err := s.resume(r, at, form.Get("login"))
	return l, form, err
}
