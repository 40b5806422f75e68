// Package oauth is how owners connect their vehicles and how the application gets tokens:
// the pages of a login in the owner's browser, the operator's connects that wait for one,
// and the token endpoint (RFC 6749, with PKCE), as Smartcar's Connect and SDKs know them.
//
// It guarantees that a browser is sent on only to the vendor and to the application's own
// redirect URIs; that a login is finished in the browser that began it; that a code gives
// tokens once, and a second use ends what it gave; that tokens are kept by their hashes
// only; and that what strangers send is bounded before a vendor is asked.
//
// Change here how a login or an exchange goes. What a token reaches is package access's
// to say, and who may call which endpoint that of server/web.
package oauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Store keeps consents. Unknown ones are [webhook.ErrNotFound].
type Store interface {
	web.Consents
	PutConsent(ctx context.Context, c access.Consent) error
}

// Fleet connects vehicles of the configured sources.
type Fleet interface {
	// OwnerSources lists how owners connect, by the name of the source.
	OwnerSources() []Source
	// Connect adds every vehicle that the account reaches; what the vendor refuses is a
	// [*vehicle.Fault].
	Connect(ctx context.Context, source, refreshToken string) ([]vehicle.Vehicle, error)
	// SignInURL is where the owner signs in at a source with SignIn: the vendor sends the
	// browser back to the callback with the state. q is added to it.
	SignInURL(source, callback, state string, q url.Values) (string, error)
	// SignedIn redeems the code that the vendor sent back, and connects.
	SignedIn(ctx context.Context, source, code, callback string) ([]vehicle.Vehicle, error)
	// Offered lists the vehicles of a source without accounts, and ConnectOffered
	// connects those of them with the ids.
	Offered(ctx context.Context, source string) ([]vehicle.Vehicle, error)
	ConnectOffered(ctx context.Context, source string, ids []uuid.UUID) ([]vehicle.Vehicle, error)
}

// Source is how the owners of a source's vehicles connect them.
type Source struct {
	Name string
	// SignIn is true where the owner signs in at the vendor; else a one-time code of the
	// operator's is his proof.
	SignIn bool
}

// Options are what the room is made of. Store, Scheduler, Fleet and Replies are needed.
type Options struct {
	Store       Store
	Scheduler   web.Unsubscriber
	Fleet       Fleet
	Replies     *web.Replies
	Application web.Application
	// ApplicationID makes the ids of owners stable; any fixed UUID does.
	ApplicationID uuid.UUID
	// PublicURL is where browsers and the application reach the API, without /oauth;
	// nil or empty means that nobody can.
	PublicURL func() string
	// LoginKey seals logins on their way through browsers and makes tokens that follow
	// others, 32 bytes; nil makes one for this process.
	LoginKey []byte
}

// OAuth serves /oauth.
type OAuth struct {
	tokens *tokens
	pages  *pages
	// Connects are the operator's, which wait for owners.
	Connects *Connects
}

// New returns the room. It fails when the key is none, or a template is wrong.
func New(o Options) (*OAuth, error) {
	if o.LoginKey == nil {
		o.LoginKey = make([]byte, 32)
		_, _ = rand.Read(o.LoginKey) // never fails
	}
	sealer, err := newSealer(o.LoginKey)
	if err != nil {
		return nil, err
	}
	text, err := template.New("").Parse(pageText)
	if err != nil {
		return nil, err
	}
	site := site{o.PublicURL}
	connects := &Connects{site: site, fleet: o.Fleet, replies: o.Replies}
	owners := owners{o.Store, o.Scheduler, o.ApplicationID, o.Replies}
	return &OAuth{
		tokens: &tokens{owners: owners, fleet: o.Fleet, app: o.Application, key: o.LoginKey,
			redeeming: make(chan struct{}, 1),
			tries:     web.NewLimits(adoptBurst, adoptEvery), guesses: web.NewLimits(secretBurst, secretEvery)},
		pages: &pages{owners: owners, fleet: o.Fleet, app: o.Application, connects: connects,
			logins: &logins{site: site, sealer: sealer, now: o.Replies.Now, spent: map[uuid.UUID]time.Time{}}, printer: printer{site, text},
			guesses: web.NewLimits(guessBurst, guessEvery), signIns: web.NewLimits(signInBurst, signInEvery)},
		Connects: connects,
	}, nil
}

// Routes is the table of /oauth: what the application calls, what the owner's browser
// sees, and where the vendor sends it back to.
func (o *OAuth) Routes(mux web.Mux) {
	p := o.pages
	mux.Handle("POST /oauth/token", http.HandlerFunc(o.tokens.serve))
	mux.Handle("GET /oauth/authorize", p.page(p.authorize))
	mux.Handle("GET /oauth/connect", p.page(p.connectPage))
	mux.Handle("GET /oauth/signin", p.page(p.signIn))
	mux.Handle("POST /oauth/code", p.page(p.enterCode))
	mux.Handle("POST /oauth/consent", p.page(p.consent))
	mux.Handle("GET /oauth/callback", p.page(p.callback))
}

// site is where browsers reach the pages.
type site struct{ public func() string }

// url is the public URL without a slash at its end; empty where there is none.
func (s site) url() string {
	if s.public == nil {
		return ""
	}
	return strings.TrimRight(s.public(), "/")
}

// below is a path below the public URL as a browser asks for it.
func (s site) below(path string) string {
	u, err := url.Parse(s.url())
	if err != nil {
		return path
	}
	return cmp.Or(strings.TrimRight(u.Path, "/"), "") + path
}

func (s site) callback() string { return s.url() + "/oauth/callback" }

// owners keeps what owners allow.
type owners struct {
	store       Store
	scheduler   web.Unsubscriber
	application uuid.UUID
	replies     *web.Replies
}

// consentTo is a consent to the vehicles, which one account has.
func (o owners) consentTo(vs []vehicle.Vehicle, scope []string) access.Consent {
	c := access.Consent{ID: uuid.New(), Scope: scope, CreatedAt: o.now()}
	for _, v := range vs {
		c.Vehicles = append(c.Vehicles, v.ID)
		c.Source, c.User = v.Source, web.UserOf(o.application, v)
	}
	return c
}

// narrow takes the vehicles of a new consent out of older ones of the owner's that allow
// more, and ends what was made by those.
func (o owners) narrow(ctx context.Context, c access.Consent) error {
	all, err := web.AllConsents(ctx, o.store)
	if err != nil || len(c.Scope) == 0 {
		return err
	}
	for _, old := range all {
		shared := slices.DeleteFunc(slices.Clone(c.Vehicles), func(id uuid.UUID) bool { return !slices.Contains(old.Vehicles, id) })
		if old.ID == c.ID || len(shared) == 0 || access.Allows(c.Scope, old.Scope) {
			continue
		}
		var made []access.Made
		err := o.store.ChangeConsent(ctx, old.Hashes()[0], func(old *access.Consent) error {
			made = nil
			for _, id := range shared {
				made = append(made, old.Release(id)...)
			}
			return nil
		})
		if err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return err
		}
		if err := web.EndMade(ctx, o.scheduler, made); err != nil {
			return err
		}
	}
	return nil
}

func (o owners) now() time.Time { return o.replies.Now().UTC() }
