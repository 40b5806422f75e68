// Package smartcar is a [vehicle.Source] over the HTTP API of Smartcar v2.0.
//
// It guarantees:
//
//   - a value is returned only where the vendor's answer is one: everything else
//     (missing, wrong type, out of range, not JSON, cut off) is a fault, never a
//     zero;
//   - one call of Read makes exactly the path reads it was asked for: nothing is
//     retried but a request that was refused for its access token;
//   - the refresh token of a connection is used by one caller at a time, and the
//     pair it is exchanged for is saved durably before it is used;
//   - an exchange whose answer was lost, to the network or with the process, is made
//     again at once and until there is one ([Source.Resume]), since a used refresh
//     token works for a short while only;
//   - a refresh token is exchanged weeks before its end, whether or not anything is read.
package smartcar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/oauth2"

	"plugbeat/vehicle"
)

// The vendor's own origins.
const (
	DefaultAPIOrigin     = "https://api.smartcar.com"
	DefaultAuthOrigin    = "https://auth.smartcar.com"
	DefaultConnectOrigin = "https://connect.smartcar.com"
)

// Timeout is how long one request may take: the vendor waits up to 300 s for a
// slow make.
const Timeout = 310 * time.Second

// Options choose the application and where it is known.
type Options struct {
	// APIOrigin and AuthOrigin are absolute URLs without "/v2.0" and
	// "/oauth/token"; empty takes the vendor's. Plain http is allowed only to a
	// loopback host.
	APIOrigin, AuthOrigin string
	// ConnectOrigin is where owners sign in again; empty takes the vendor's. It
	// only appears in faults, as does RedirectURI, which may be empty.
	ConnectOrigin, RedirectURI string
	// ReconnectURL is where an owner gives access again after the vendor refused the
	// account's tokens: signing in to the vehicle's account does not bring tokens back.
	// Empty takes the link for signing in.
	ReconnectURL string
	// ClientID and ClientSecret are the application's credentials.
	ClientID, ClientSecret string
	// Mode goes into the vehicles that Connect returns; empty is live.
	Mode string
	// Tokens keeps the connections' tokens.
	Tokens vehicle.TokenStore
	// HTTPClient makes the requests; nil takes one with [Timeout]. Without a
	// transport of its own it uses no proxy of the environment. Redirects are
	// never followed.
	HTTPClient *http.Client
	// UserAgent names the daemon to the vendor; empty is "plugbeat".
	UserAgent string
	// Budget and Bucket are told to the scheduler, which keeps to them.
	Budget vehicle.Budget
	Bucket vehicle.Bucket
	Log    zerolog.Logger
}

// Source reads vehicles through Smartcar. It is safe for concurrent use.
type Source struct {
	opts     Options
	api      *api
	accounts *accounts
}

var (
	_ vehicle.DetailSource = (*Source)(nil)
	_ vehicle.Connector    = (*Source)(nil)
	_ vehicle.Resumer      = (*Source)(nil)
	_ vehicle.Closer       = (*Source)(nil)
	_ vehicle.Metering     = (*Source)(nil)
)

// New returns the source. An error names the option, its value and what is
// allowed.
func New(o Options) (*Source, error) {
	for _, d := range []struct {
		name  string
		value *string
		def   string
	}{
		{"api_origin", &o.APIOrigin, DefaultAPIOrigin},
		{"auth_origin", &o.AuthOrigin, DefaultAuthOrigin},
		{"connect_origin", &o.ConnectOrigin, DefaultConnectOrigin},
	} {
		if *d.value == "" {
			*d.value = d.def
		}
		*d.value = strings.TrimRight(*d.value, "/")
		if err := checkOrigin(d.name, *d.value); err != nil {
			return nil, err
		}
	}
	switch {
	case o.ClientID == "":
		return nil, fmt.Errorf("smartcar: client_id is empty: allowed: the application's client id")
	case o.ClientSecret == "":
		return nil, fmt.Errorf("smartcar: client_secret is empty: allowed: the application's client secret")
	case o.Tokens == nil:
		return nil, fmt.Errorf("smartcar: no store for tokens")
	case o.Mode != "" && o.Mode != vehicle.ModeLive && o.Mode != vehicle.ModeSimulated && o.Mode != vehicle.ModeTest:
		return nil, fmt.Errorf("smartcar: mode %q: allowed: live, simulated, test", o.Mode)
	}
	if o.Mode == "" {
		o.Mode = vehicle.ModeLive
	}
	if o.UserAgent == "" {
		o.UserAgent = "plugbeat"
	}
	keep, once := clients(o.HTTPClient)
	endpoint := &tokenEndpoint{client: once, userAgent: o.UserAgent, reconnectURL: o.ReconnectURL, oauth: oauth2.Config{
		ClientID:     o.ClientID,
		ClientSecret: o.ClientSecret,
		Endpoint: oauth2.Endpoint{
			TokenURL: strings.TrimSuffix(o.AuthOrigin, "/oauth/token") + "/oauth/token",
			// The style is fixed: oauth2 would find it out by an exchange that spends a refresh token.
			AuthStyle: oauth2.AuthStyleInHeader,
		},
	}}
	tokens := &accounts{store: o.Tokens, endpoint: endpoint, log: o.Log, known: map[string]*account{}, closing: make(chan struct{})}
	calls := &api{origin: o.APIOrigin + "/v2.0", userAgent: o.UserAgent, accounts: tokens, log: o.Log, keep: keep, once: once}
	return &Source{opts: o, api: calls, accounts: tokens}, nil
}

// clients returns the client as given, and one like it whose GETs net/http never
// sends a second time by itself: it does so only on a connection used before.
func clients(given *http.Client) (keep, once *http.Client) {
	if given == nil {
		given = &http.Client{Timeout: Timeout}
	}
	k := *given
	k.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	k.Jar = nil
	if k.Transport == nil {
		k.Transport = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        20 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	o := k
	if t, ok := k.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.DisableKeepAlives = true
		o.Transport = t
	}
	return &k, &o
}

// checkOrigin refuses what cannot be an origin, and one that would carry tokens
// in the clear over a network.
func checkOrigin(name, value string) error {
	u, err := url.Parse(value)
	allowed := "an absolute https URL; http only to a loopback host"
	if i := strings.LastIndexByte(value, '@'); i >= 0 {
		value = "xxxxx" + value[i:] // a password is not for messages
	}
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("smartcar: %s %q: allowed: %s", name, value, allowed)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return fmt.Errorf("smartcar: %s %q: allowed: %s", name, value, allowed)
	}
	return nil
}

// Close waits for token exchanges under way, at most about a minute, and refuses
// new ones. The token store must stay open until it returns.
func (s *Source) Close() {
	s.accounts.close()
	s.api.keep.CloseIdleConnections()
}

// Resume ends the exchanges that a process before this one began and did not end, of
// these connections. It is called once, before anything is read. It does not wait: the
// exchanges go on in the background, until Close.
func (s *Source) Resume(connections []string) { s.accounts.resumeAll(connections) }

// Forget erases a connection's tokens, in memory and in the token store, once no
// exchange of them is under way. Reading through the connection then fails.
func (s *Source) Forget(ctx context.Context, connection string) error {
	return s.accounts.forget(ctx, connection)
}

// Read implements [vehicle.Source]: one batch for several paths, the path's own
// endpoint for one. What the vendor answers for a path stands at that path; an
// answer for the whole request is the error, a [*vehicle.Fault]. A context that
// ended is an error that wraps its cause. No path makes no request.
func (s *Source) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	paths &= vehicle.AllPaths
	if paths.Len() == 0 {
		return vehicle.Snapshot{}, nil
	}
	snap, err := s.readAs(ctx, ref, paths)
	for _, other := range ref.Others {
		if !withdrawn(err) {
			break
		}
		ref.Connection = other
		again, failed := s.readAs(ctx, ref, paths)
		if withdrawn(failed) {
			continue // the first account's fault stands
		}
		snap, err = again, failed
	}
	if err != nil {
		return snap, s.complete(ref, err)
	}
	for p := range paths.All() {
		if f := snap.Fault(p); f != nil {
			s.signIn(ref, f)
		}
	}
	return snap, nil
}

// readAs reads a vehicle through the reference's connection.
func (s *Source) readAs(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	if paths.Len() == 1 {
		return s.readOne(ctx, ref, paths)
	}
	return s.readBatch(ctx, ref, paths)
}

// withdrawn reports whether an account no longer reaches a vehicle: the vendor refused its
// tokens or the whole request. A fault of a single path does not count.
func withdrawn(err error) bool {
	f, ok := errors.AsType[*vehicle.Fault](err)
	return ok && (f.Type == vehicle.TypePermission || f.Type == vehicle.TypeAuthentication || f.Type == vehicle.TypeAccount &&
		f.Code == "AUTHENTICATION_FAILED")
}

func (s *Source) readOne(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	var path vehicle.Path
	for p := range paths.All() {
		path = p
	}
	ans, err := s.api.call(ctx, ref.Connection, request{client: s.api.once, method: http.MethodGet, path: vehiclePath(ref, path.String())})
	if err != nil {
		return vehicle.Snapshot{}, err
	}
	snap := vehicle.Snapshot{RequestID: ans.requestID()}
	if ans.status == http.StatusUnauthorized || ans.status == http.StatusForbidden && len(ref.Others) > 0 {
		return snap, ans.fault()
	}
	decodeOne(&snap, path, ans)
	return snap, nil
}

func (s *Source) readBatch(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	ans, err := s.api.call(ctx, ref.Connection, request{client: s.api.keep, method: http.MethodPost, path: vehiclePath(ref, "/batch"),
		body: batchBody(paths)})
	if err != nil {
		return vehicle.Snapshot{}, err
	}
	snap := vehicle.Snapshot{RequestID: ans.requestID()}
	if ans.status != http.StatusOK {
		return snap, ans.fault()
	}
	if err := decodeBatch(&snap, paths, ans); err != nil {
		return snap, err
	}
	return snap, nil
}

// complete adds the way to sign in again to a fault in err.
func (s *Source) complete(ref vehicle.Ref, err error) error {
	if f, ok := errors.AsType[*vehicle.Fault](err); ok {
		s.signIn(ref, f)
	}
	return err
}

// signIn gives a fault of lost credentials the URL at which the vehicle's owner
// signs in again, where the vendor gave none.
func (s *Source) signIn(ref vehicle.Ref, f *vehicle.Fault) {
	if f.Type != vehicle.TypeAccount || f.Code != "AUTHENTICATION_FAILED" || f.ResolutionURL != "" {
		return
	}
	q := url.Values{"response_type": {"vehicle_id"}, "client_id": {s.opts.ClientID}, "vehicle_id": {native(ref)}}
	if s.opts.RedirectURI != "" {
		q.Set("redirect_uri", s.opts.RedirectURI)
	}
	f.Resolution = vehicle.ResolveReauthenticate
	f.ResolutionURL = s.opts.ConnectOrigin + "/oauth/reauthenticate?" + q.Encode()
}

// native is the vendor's id of a vehicle.
func native(ref vehicle.Ref) string {
	if ref.Native != "" {
		return ref.Native
	}
	return ref.ID.String()
}

// vehiclePath is the path below the API's origin of one of a vehicle's endpoints.
func vehiclePath(ref vehicle.Ref, rest string) string {
	return "/vehicles/" + url.PathEscape(native(ref)) + rest
}

// namespace makes UUIDs of vendor ids that are none.
var namespace = uuid.MustParse("0c6ad3ba-5f7e-5d0c-8d7c-6f2b9f5d8e11")

// idOf returns plugbeat's id of a vehicle: the vendor's where that is a UUID, else
// one that depends on it alone.
func idOf(native string) uuid.UUID {
	if id, err := uuid.Parse(native); err == nil && strings.EqualFold(id.String(), native) {
		return id
	}
	return uuid.NewSHA1(namespace, []byte(native))
}
