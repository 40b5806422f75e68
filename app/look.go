package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"plugbeat/config"
	"plugbeat/delivery"
	"plugbeat/egress"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Looker looks at the far ends of a config's requests without asking anything of
// them: it resolves, and makes one HEAD request without a body or a
// signature. Every address it dials passes the same check as what the daemon sends.
type Looker struct {
	cfg   config.Config
	guard *egress.Guard
	// lookup resolves a name; tests put their own there.
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// lookTime bounds each step of a look: resolving, one connection, the request.
const lookTime = 8 * time.Second

// NewLooker returns a Looker of the config's world.
func NewLooker(cfg config.Config) (*Looker, error) {
	g, err := egress.New(egress.Options{Allow: cfg.Delivery.Allow, Local: lookupLocal})
	if err != nil {
		return nil, err
	}
	var own []netip.AddrPort
	for _, listen := range []string{cfg.HTTP.API.Listen, cfg.HTTP.Admin.Listen} {
		if ap, err := netip.ParseAddrPort(listen); err == nil && ap.Port() != 0 {
			own = append(own, ap)
		}
	}
	g.SetOwn(own)
	return &Looker{cfg: cfg, guard: g, lookup: LookupHost}, nil
}

// Look is what was seen of an URL.
type Look struct {
	// Host is the URL's, with its port.
	Host string
	// Named is true when the host is a name and no address. Resolve is why its name has no
	// addresses; Resolver is true when no resolver answered at all.
	Named    bool
	Resolve  error
	Resolver bool
	// Addresses are what its name stands for, at most one of each family.
	Addresses []LookAddress
	// Bare is true of a far end that speaks no HTTP: its port is dialled, and nothing asked.
	Bare bool
	// Status is what a HEAD request was answered with; 0 when it was not, and then Err
	// and Cause say why.
	Status int
	Err    error
	Cause  string
	// Header is the answer's. Sent and Received are when the request left and when the
	// headers had come.
	Header         http.Header
	Sent, Received time.Time
	// Expires is when the certificate ends; zero without TLS.
	Expires time.Time
}

// LookAddress is one address of a host.
type LookAddress struct {
	Address netip.Addr
	// Denied is why no request goes there, a [*egress.DeniedError] in words with
	// what would allow it; empty when it may.
	Denied string
}

// Answered reports whether an HTTP answer came.
func (l Look) Answered() bool { return l.Status != 0 }

// Reached reports whether a far end that speaks no HTTP took a connection.
func (l Look) Reached() bool { return l.Bare && l.Err == nil }

// Callback looks at a webhook's receiver.
func (k *Looker) Callback(ctx context.Context, uri string, allowPrivate bool) Look {
	return k.look(ctx, uri, func(string) bool { return allowPrivate })
}

// Endpoints looks at the endpoints of a source; none for a source that is in this process.
func (k *Looker) Endpoints(ctx context.Context, source string) []Look {
	s, ok := k.cfg.Sources[source].Settings.(vehicle.Endpoints)
	if !ok {
		return nil
	}
	// One trouble of one host is told once.
	byURL := func(a, b vehicle.Endpoint) int { return cmp.Compare(a.URL, b.URL) }
	ends := slices.SortedFunc(slices.Values(s.Endpoints()), byURL)
	ends = slices.CompactFunc(ends, func(a, b vehicle.Endpoint) bool { return a.URL == b.URL })
	looks := make([]Look, len(ends))
	var all sync.WaitGroup
	for i, e := range ends {
		all.Go(func() { looks[i] = k.look(ctx, e.URL, consent(ends)) })
	}
	all.Wait()
	return looks
}

func (k *Looker) look(ctx context.Context, uri string, consent func(asked string) bool) Look {
	u, err := url.Parse(uri)
	if err != nil || u.Hostname() == "" {
		return Look{Err: errors.New("it is no URL"), Cause: "set another callback URI"}
	}
	l := Look{Host: u.Host}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	asked := net.JoinHostPort(u.Hostname(), port)
	if !k.resolve(ctx, u.Hostname(), &l) {
		return l
	}
	allowed := false
	for i := range l.Addresses {
		a := &l.Addresses[i]
		address := netip.AddrPortFrom(a.Address, number(port)).String()
		if err := k.guard.Check(address, asked, consent(asked)); err != nil {
			a.Denied = denied(err)
			continue
		}
		allowed = true
	}
	l.Bare = u.Scheme != "http" && u.Scheme != "https"
	switch {
	case !allowed:
	case l.Bare:
		l.Err = k.connect(ctx, asked, consent)
	default:
		k.head(ctx, u, consent, &l)
	}
	return l
}

// connect dials a far end that speaks no HTTP.
func (k *Looker) connect(ctx context.Context, asked string, consent func(asked string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	c, err := k.guard.Transport(consent, lookTime).DialContext(ctx, "tcp", asked)
	if err != nil {
		return err
	}
	return c.Close()
}

// resolve notes one address of each family and reports whether there is any.
func (k *Looker) resolve(ctx context.Context, host string, l *Look) bool {
	found := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil {
		found = append(found, a)
	} else {
		l.Named = true
		ctx, cancel := context.WithTimeout(ctx, lookTime)
		defer cancel()
		if found, err = k.lookup(ctx, host); err != nil {
			v := delivery.ClassifyError(err, false)
			l.Resolve, l.Cause, l.Resolver = err, v.Cause, v.Outcome == webhook.OutcomeOurs
			return false
		}
	}
	for _, a := range found {
		a = a.Unmap()
		if !slices.ContainsFunc(l.Addresses, func(o LookAddress) bool { return o.Address.Is4() == a.Is4() }) {
			l.Addresses = append(l.Addresses, LookAddress{Address: a})
		}
	}
	return len(l.Addresses) > 0
}

// head makes the request. It says who asks, so that a receiver's log can be read.
func (k *Looker) head(ctx context.Context, u *url.URL, consent func(asked string) bool, l *Look) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	t := k.guard.Transport(consent, lookTime)
	defer t.CloseIdleConnections()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, VerifyConnection: func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) > 0 {
			l.Expires = s.PeerCertificates[0].NotAfter
		}
		return nil
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		l.Err = err
		return
	}
	req.Header.Set("User-Agent", "plugbeat-doctor")
	l.Sent = time.Now()
	res, err := t.RoundTrip(req)
	l.Received = time.Now()
	if err != nil {
		v := delivery.ClassifyError(err, false)
		l.Err, l.Cause = err, v.Cause
		return
	}
	_ = res.Body.Close()
	l.Status, l.Header = res.StatusCode, res.Header
}

// denied is a refusal of the guard with what would allow the address.
func denied(err error) string {
	d, ok := errors.AsType[*egress.DeniedError](err)
	if !ok {
		return err.Error()
	}
	return d.Error() + "; " + d.Advice()
}

func number(port string) uint16 {
	var n uint16
	_, _ = fmt.Sscan(port, &n) // 0 cannot be dialled, and says so
	return n
}

// DataFile is what a data file says of itself that no daemon has open.
type DataFile struct {
	Webhooks []webhook.Webhook
	// WrongKey is true when the config's key is not the file's, InUse when a process
	// has it open.
	WrongKey, InUse bool
}

// NeedsDataFile reports whether err, of New or Run, is one that only another data file,
// key or version of plugbeat mends: the file is damaged, newer than this version or
// sealed with another key.
func NeedsDataFile(err error) bool {
	return errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrNewer) || errors.Is(err, store.ErrKey)
}

// InspectData looks into the config's data file, with the config's key. It changes
// nothing.
func InspectData(cfg config.Config) (DataFile, error) {
	key, err := cfg.SealingKey()
	if err != nil {
		return DataFile{}, err
	}
	ws, err := store.Inspect(cfg.DataFile(), key)
	return DataFile{Webhooks: ws, WrongKey: errors.Is(err, store.ErrKey), InUse: errors.Is(err, store.ErrInUse)}, err
}
