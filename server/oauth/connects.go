package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	// connectLife is how long an operator's connect waits for the owner.
	connectLife = 30 * time.Minute
	// connectKept is how long its outcome can be asked for after that.
	connectKept = time.Hour
	// maxConnects bounds those that are remembered.
	maxConnects = 100
)

// Guesses at one-time codes, of which each is one of 2^40, of one caller.
const (
	guessBurst = 10
	guessEvery = 5 * time.Second
)

// codeAlphabet has 32 characters that are hard to take for each other.
const codeAlphabet = "ABCDEFGHJKMNPQRSTVWXYZ0123456789"

// Connects are the connects of operators that wait for an owner. They are lost with
// the process; the command that began one says so.
type Connects struct {
	site    site
	fleet   Fleet
	replies *web.Replies

	mu  sync.Mutex
	all map[uuid.UUID]*connect
}

// connect is one.
type connect struct {
	id        uuid.UUID
	source    string
	signIn    bool
	code      [32]byte // of a source without accounts
	claimedBy string   // the browser that gave the code
	ends      time.Time
	finishing bool
	over      chan struct{} // closed with the outcome
	state     adminapi.ConnectState
	vehicles  []vehicle.Vehicle
	reason    string
	app       bool
}

// Begin opens a connect at a source: its answer has the page that the owner opens, and the
// one-time code that the page asks for where he does not sign in at a vendor.
func (cs *Connects) Begin(source string) (adminapi.ConnectBegun, error) {
	sources := cs.fleet.OwnerSources()
	i := slices.IndexFunc(sources, func(s Source) bool { return s.Name == source })
	if i < 0 {
		var names []string
		for _, s := range sources {
			names = append(names, s.Name)
		}
		return adminapi.ConnectBegun{}, &webhook.Invalid{Field: "source", Value: web.Clip(source),
			Allowed: "a configured source: " + strings.Join(names, ", ")}
	}
	public := cs.site.url()
	if public == "" {
		return adminapi.ConnectBegun{}, &adminapi.Error{Code: adminapi.CodeConflict,
			Message: "nobody can open a page of this daemon: http.api.listen is empty",
			Hint: "set it, or connect without a browser: plugbeat vehicle connect --source NAME --now, " +
				"or --refresh-token-stdin in place of --now"}
	}
	c, code := cs.add(source, sources[i].SignIn, cs.replies.Now())
	if c == nil {
		return adminapi.ConnectBegun{}, &adminapi.Error{Code: adminapi.CodeConflict,
			Message: fmt.Sprintf("%d connects are open already", maxConnects),
			Hint:    "end the commands that wait, or try again in an hour"}
	}
	link := public + "/oauth/connect"
	if code == "" {
		link += "?id=" + c.id.String()
	}
	cs.replies.Log.Info().Str("event", "connect.begun").Stringer("connect", c.id).Str("source", c.source).
		Msg("an owner may connect vehicles now")
	return adminapi.ConnectBegun{ID: c.id, Source: c.source, URL: link, Code: code, ExpiresAt: c.ends}, nil
}

// Cancel ends a connect: its page and code are no good any more. It reports false where
// there is none.
func (cs *Connects) Cancel(id uuid.UUID) bool {
	if _, _, ok := cs.Look(id); !ok {
		return false
	}
	cs.end(id, adminapi.ConnectFailed, nil, "it was cancelled", false)
	return true
}

// add opens a connect and makes its one-time code, empty where the owner signs in at a
// vendor. It returns nil when too many are open.
func (cs *Connects) add(source string, signIn bool, now time.Time) (c *connect, code string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for id, old := range cs.all {
		if now.After(old.ends.Add(connectKept)) {
			delete(cs.all, id)
		}
	}
	if len(cs.all) >= maxConnects {
		return nil, ""
	}
	c = &connect{id: uuid.New(), source: source, signIn: signIn, ends: now.Add(connectLife).UTC(), over: make(chan struct{}),
		state: adminapi.ConnectWaiting}
	if !signIn {
		code = newCode()
		c.code = hashOfCode(code)
	}
	if cs.all == nil {
		cs.all = map[uuid.UUID]*connect{}
	}
	cs.all[c.id] = c
	return c, code
}

// newCode makes a one-time code, XXXX-XXXX.
func newCode() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	code := make([]byte, 0, 9)
	for i, x := range b {
		if i == 4 {
			code = append(code, '-')
		}
		code = append(code, codeAlphabet[x%32])
	}
	return string(code)
}

// hashOfCode hashes a code as a person may have typed it: small letters, spaces and
// look-alikes are as good.
func hashOfCode(typed string) [32]byte {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == 'O':
			return '0'
		case r == 'I' || r == 'L':
			return '1'
		case r == 'U':
			return 'V'
		case strings.ContainsRune(codeAlphabet, r):
			return r
		}
		return -1
	}, strings.ToUpper(typed))
	return sha256.Sum256([]byte("one-time code\n" + plain))
}

// claim finds the open connect with the code and makes it the browser's. One that is
// another browser's is not found.
func (cs *Connects) claim(typed, browser string, now time.Time) (uuid.UUID, string, bool) {
	hash := hashOfCode(typed)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for id, c := range cs.all {
		if c.open(now) && !c.signIn && c.code == hash && (c.claimedBy == "" || c.claimedBy == browser) {
			c.claimedBy = browser
			return id, c.source, true
		}
	}
	return uuid.Nil, "", false
}

func (c *connect) open(now time.Time) bool {
	return c.state == adminapi.ConnectWaiting && !c.finishing && now.Before(c.ends)
}

// source returns the source of an open connect whose owner signs in at a vendor.
func (cs *Connects) source(id uuid.UUID, now time.Time) (string, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.all[id]
	if c == nil || !c.signIn || !c.open(now) {
		return "", false
	}
	return c.source, true
}

// take begins to finish a connect; false when it is over or being finished.
func (cs *Connects) take(id uuid.UUID, now time.Time) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.all[id]
	if c == nil || !c.open(now) {
		return false
	}
	c.finishing = true
	return true
}

// back undoes take, where finishing did not work and may be tried again.
func (cs *Connects) back(id uuid.UUID) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c := cs.all[id]; c != nil {
		c.finishing = false
	}
}

// end gives a connect its outcome; one that has one keeps it.
func (cs *Connects) end(id uuid.UUID, state adminapi.ConnectState, vs []vehicle.Vehicle, reason string, app bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.all[id]
	if c == nil || c.state != adminapi.ConnectWaiting {
		return
	}
	c.state, c.vehicles, c.reason, c.app, c.finishing = state, vs, reason, app, false
	close(c.over)
}

// Look returns how a connect stands and what is closed when it changes; false where there
// is none.
func (cs *Connects) Look(id uuid.UUID) (adminapi.ConnectView, <-chan struct{}, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.all[id]
	if c == nil {
		return adminapi.ConnectView{}, nil, false
	}
	now := cs.replies.Now()
	v := adminapi.ConnectView{ID: c.id, Source: c.source, State: c.state, Vehicles: []vehicle.Vehicle{}, Reason: c.reason,
		Application: c.app, ExpiresAt: c.ends}
	v.Vehicles = append(v.Vehicles, c.vehicles...)
	if v.State == adminapi.ConnectWaiting && !c.finishing && !now.Before(c.ends) {
		v.State = adminapi.ConnectExpired
	}
	return v, c.over, true
}
