// Package webhook holds the nouns that the scheduler, the delivery loop, the
// store and the server share: Webhook, Subscription, Schedule, Delivery, Attempt and
// the ledger.
//
// It guarantees that a Delivery changes state only through [Delivery.Apply], that
// a ledger moves only with such a change, and that secrets never print.
package webhook

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Webhook is a named callback URI with a type, a cadence and a status. Its JSON
// is what the admin API shows; the signing key is never in it.
type Webhook struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
	Type Type      `json:"type"`
	// CallbackURI is absolute, http or https, without userinfo or fragment.
	CallbackURI string  `json:"callback_uri"`
	Cadence     Cadence `json:"cadence"`
	// Content is what its deliveries carry, as far as the type lets it be chosen.
	Content Content `json:"content,omitzero"`
	Signing Signing `json:"signing"`
	// AllowPrivate is true when the webhook was added over the local socket with
	// the operator's consent to reach private and loopback addresses.
	AllowPrivate bool `json:"allow_private"`
	// Recover says what of a backlog leaves when the webhook comes back; empty
	// takes the daemon's default.
	Recover   Policy    `json:"recover,omitempty"`
	CreatedAt time.Time `json:"created_at"`

	Status Status `json:"status"`
	// Reason is set while Status is disabled.
	Reason Reason `json:"reason,omitempty"`
	// ReasonText says in words what happened last and its likely cause.
	ReasonText  string    `json:"reason_text,omitempty"`
	StatusSince time.Time `json:"status_since"`
	VerifiedAt  time.Time `json:"verified_at"`

	// Seq grows by one with every change of the webhook's status, breaker or
	// settings, so that of two copies the newer is known.
	Seq uint64 `json:"seq"`

	Breaker  Breaker  `json:"breaker"`
	Ledger   Ledger   `json:"ledger"`
	DueTimes DueTimes `json:"due_times"`
	// Recovery is the sifting of a backlog that is going on; nil when none is.
	Recovery *Recovery `json:"recovery,omitempty"`

	// KeyOverlap is set from the moment the key was rotated until only the new one
	// is left; nil otherwise. It may have ended already: see [Webhook.TwoKeys].
	KeyOverlap *KeyOverlap `json:"key_overlap,omitempty"`

	// TokenSeen is the management token that its receiver last answered a challenge
	// with; zero before it did.
	TokenSeen TokenSeen `json:"token_seen,omitzero"`

	// Key is the webhook's own Standard Webhooks key, 24 to 64 random bytes.
	// The store keeps it sealed; it is never the management token.
	Key Secret `json:"-"`
	// OldKey is the key that Key replaces, sealed like it; nil without a KeyOverlap.
	OldKey Secret `json:"-"`
}

// TokenSeen names a management token by its fingerprint.
type TokenSeen struct {
	Fingerprint string    `json:"fingerprint"`
	At          time.Time `json:"at"`
}

// KeyOverlap is the time in which a webhook signs with its old key and its new one.
type KeyOverlap struct {
	Since time.Time `json:"since"`
	// Until is when the old key signs no more.
	Until time.Time `json:"until"`
}

// TwoKeys reports whether the webhook signs with its old key as well at that time.
func (w *Webhook) TwoKeys(at time.Time) bool {
	return w.KeyOverlap != nil && len(w.OldKey) > 0 && at.Before(w.KeyOverlap.Until)
}

// SigningKeys returns the Standard Webhooks keys that sign at that time: the old
// one first while two do, since a receiver that looks only at the first signature
// has that one.
func (w *Webhook) SigningKeys(at time.Time) []Secret {
	if w.TwoKeys(at) {
		return []Secret{w.OldKey, w.Key}
	}
	return []Secret{w.Key}
}

// Signing chooses the signature headers of a webhook.
type Signing string

// The signing choices.
const (
	SignSmartcar Signing = "smartcar"
	SignStandard Signing = "standard"
	SignBoth     Signing = "both"
)

// Status is what the webhook may receive.
type Status string

// The statuses of a webhook. An unverified or disabled webhook receives nothing
// but challenges.
const (
	Unverified Status = "unverified"
	Active     Status = "active"
	Disabled   Status = "disabled"
)

// Statuses lists every status.
var Statuses = [...]Status{Unverified, Active, Disabled}

// Reason is why a webhook is disabled.
type Reason string

// The reasons of a disabled webhook. Only Exhausted heals itself.
const (
	Exhausted       Reason = "exhausted"
	Gone            Reason = "gone"
	ByOperator      Reason = "operator"
	CallbackChanged Reason = "callback_changed"
)

// Reasons lists every reason.
var Reasons = [...]Reason{Exhausted, Gone, ByOperator, CallbackChanged}

// Cadence is how often a webhook's subscriptions are due: per state of the plug, or
// where the type does not follow the plug at all times by Every. Each spec is a
// duration ("30m"), a word or number of them ("daily", "2 weeks") or a five-field
// cron expression. An empty one takes the daemon's default; Every has none.
type Cadence struct {
	Every     string `json:"every,omitempty"`
	Unplugged string `json:"unplugged,omitempty"`
	PluggedIn string `json:"plugged_in,omitempty"`
	// Zone names the time zone of cron expressions; empty is UTC. A time that its clocks skip
	// comes at the first moment after the gap, and one that they show twice comes once.
	Zone string `json:"zone,omitempty"`
	// Fastest uses the make's fastest sensible plugged-in interval instead.
	Fastest bool `json:"fastest,omitempty"`
}

// Check looks at a webhook as it stands in the transaction that is about to change
// it; an error refuses the change and is passed on. It changes nothing itself.
type Check func(*Webhook) error

// Fires reports whether the webhook's subscriptions come due: while active, and while
// disabled as exhausted, when deliveries are produced and wait.
func (w *Webhook) Fires() bool {
	return w.Status == Active || w.Status == Disabled && w.Reason == Exhausted
}

// DueTimes counts what became of a webhook's due times. Counters only grow.
type DueTimes struct {
	// Produced due times made a delivery.
	Produced uint64 `json:"produced"`
	// Collapsed due times were missed while plugbeat was down or busy and are
	// covered by a later one.
	Collapsed uint64 `json:"collapsed"`
	// Skipped due times were left out to stay within a source's budget.
	Skipped uint64 `json:"skipped"`
	// Quiet due times had a vehicle read for a webhook that tells events, and nothing had
	// happened.
	Quiet uint64 `json:"quiet,omitempty"`
}

// Ledger accounts for a webhook's deliveries. Counters only grow and
// Produced = Delivered + Superseded + Dead + Expired + Cancelled + Waiting(),
// where waiting is the webhook's queue.
type Ledger struct {
	Produced   uint64 `json:"produced"`
	Delivered  uint64 `json:"delivered"`
	Superseded uint64 `json:"superseded"`
	Dead       uint64 `json:"dead"`
	Expired    uint64 `json:"expired"`
	Cancelled  uint64 `json:"cancelled"`
}

// Waiting is what is produced and not finished.
func (l Ledger) Waiting() uint64 {
	return l.Produced - l.Delivered - l.Superseded - l.Dead - l.Expired - l.Cancelled
}

// Count books one delivery that reached state s; Waiting books its production.
func (l *Ledger) Count(s State) {
	switch s {
	case Waiting:
		l.Produced++
	case Delivered:
		l.Delivered++
	case Superseded:
		l.Superseded++
	case Dead:
		l.Dead++
	case Expired:
		l.Expired++
	case Cancelled:
		l.Cancelled++
	}
}

// Secret is key material that never prints.
type Secret []byte

// String returns a fixed text, so that no log or error shows the secret.
func (Secret) String() string { return "[secret]" }

// GoString returns the same fixed text for %#v.
func (Secret) GoString() string { return "[secret]" }

// Format writes the fixed text for every verb, so that %x shows nothing either.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalText keeps the secret out of JSON and every other encoding.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// maxCallback bounds a callback URI, in bytes.
const maxCallback = 2000

// CheckCallback returns an error naming the value and what is allowed when s
// cannot be a callback URI.
func CheckCallback(s string) error {
	bad := func(why string) error {
		return &Invalid{Field: "callback_uri", Value: Redact(s), Why: why,
			Allowed: "an absolute http or https URI without user name, password or fragment, at most 2000 bytes"}
	}
	u, err := url.Parse(s)
	switch {
	case len(s) > maxCallback:
		return bad("it is too long")
	case err != nil || !utf8.ValidString(s):
		return bad("it is not a URI")
	case u.User != nil:
		return bad("it carries userinfo")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("its scheme is not http or https")
	case u.Hostname() == "" || u.Opaque != "":
		return bad("it has no host")
	case u.Fragment != "":
		return bad("it has a fragment")
	case almostAddress(u.Hostname()):
		return bad("its host ends in a number, as no name does, and is no address; write IPv4 as four decimal numbers")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return bad("its port is not from 1 to 65535")
		}
	}
	return nil
}

// almostAddress reports whether a host is neither an address nor a name, but a number
// that some resolvers take for one: 127.1, 0x7f000001, 127.0.0.1 with a final dot.
func almostAddress(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// Redact returns a URI fit for a message: what may be a user name and password is
// replaced, also where the text is no URI, and a long one is cut.
func Redact(s string) string {
	const most = 200
	start := 0
	if i := strings.Index(s, "//"); i >= 0 {
		start = i + 2
	}
	end := len(s)
	if i := strings.IndexAny(s[start:], "/?#"); i >= 0 {
		end = start + i
	}
	// A password with a slash in it reaches further than the authority does.
	at := strings.LastIndexByte(s[start:end], '@')
	if _, err := url.Parse(s); err != nil && at < 0 {
		at = strings.LastIndexByte(s[start:], '@')
	}
	if at >= 0 {
		s = s[:start] + "xxxxx" + s[start+at:]
	}
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
