package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits is a token bucket for each caller, so that who asks too much is bounded and
// nobody else is.
type Limits struct {
	every time.Duration
	burst int

	mu sync.Mutex
	by map[string]*rate.Limiter
}

// maxCallers bounds how many callers a [Limits] knows apart.
const maxCallers = 4096

// NewLimits returns limits of burst at once, then one every so often.
func NewLimits(burst int, every time.Duration) *Limits {
	return &Limits{every: every, burst: burst, by: map[string]*rate.Limiter{}}
}

// Wait is how long the caller has to wait for a token; 0 where there is one.
func (l *Limits) Wait(caller string, now time.Time) time.Duration {
	return l.reserve(caller, now, false)
}

// Take takes one of the caller's tokens. It returns how long to wait where there is none,
// and 0 when one was taken.
func (l *Limits) Take(caller string, now time.Time) time.Duration {
	return l.reserve(caller, now, true)
}

func (l *Limits) reserve(caller string, now time.Time, take bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.by[caller]
	if bucket == nil {
		if bucket = rate.NewLimiter(rate.Every(l.every), l.burst); take {
			l.makeRoom(now)
			l.by[caller] = bucket
		}
	}
	r := bucket.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 || !take {
		r.CancelAt(now)
	}
	return wait
}

// makeRoom forgets callers that have all their tokens, or any where none has.
func (l *Limits) makeRoom(now time.Time) {
	if len(l.by) < maxCallers {
		return
	}
	for caller, bucket := range l.by {
		if bucket.TokensAt(now) >= float64(l.burst) {
			delete(l.by, caller)
		}
	}
	for caller := range l.by {
		if len(l.by) < maxCallers {
			return
		}
		delete(l.by, caller)
	}
}

// Caller is the address of who asks, and whether it tells callers apart. A reverse proxy
// on this machine adds its own caller's as the last of X-Forwarded-For; without that, all
// who come from this machine look the same.
func Caller(r *http.Request) (address string, apart bool) {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr, false
	}
	ip, err := netip.ParseAddr(peer)
	if err != nil || !ip.Unmap().IsLoopback() {
		return peer, err == nil
	}
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if ip, err := netip.ParseAddr(strings.TrimSpace(chain[len(chain)-1])); err == nil {
		return ip.Unmap().String(), true
	}
	return peer, false
}
