package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"plugbeat/health"
	"plugbeat/webhook"
)

const (
	// Timeout bounds one request, its answer included.
	Timeout = 10 * time.Second
	// answerBytes is how much of an answer is read.
	answerBytes = 4096
	// LookEvery is how often conditions are looked at when nobody tells of a change.
	LookEvery = 15 * time.Second
)

// Target is where alerts go.
type Target struct {
	Name     string
	Template Template
	// URL and Token are secrets: whoever has them may write there. An empty Token
	// sends no Authorization.
	URL, Token webhook.Secret
	// Severity is the least that is sent; Codes, unless empty, are those that are.
	Severity health.Severity
	Codes    []health.Code
	// Interval is the least time between two messages.
	Interval time.Duration
	// Client makes the requests; it follows no redirect and uses no proxy.
	Client *http.Client
}

// takes reports whether an alert is one for the target. A target is not told that it cannot
// be told.
func (t *Target) takes(a Alert) bool {
	if !a.Severity.Reaches(t.Severity) || a.about.Kind == health.AlertTarget && a.about.ID == t.Name {
		return false
	}
	return len(t.Codes) == 0 || slices.Contains(t.Codes, a.Code)
}

// retryAfter is how long after so many failures in a row, from 1, the next try is
// made: a sixth of the interval, the interval, five of it, then every fifteen. With
// the default interval that is 10 s, 1, 5 and 15 minutes. It goes on as long as there
// is something to tell.
func retryAfter(failures int, every time.Duration) time.Duration {
	switch failures {
	case 1:
		return every / 6
	case 2:
		return every
	case 3:
		return 5 * every
	}
	return 15 * every
}

// Result is what came of one request.
type Result struct {
	Status   int // 0 for no answer
	Duration time.Duration
	// Err is nil when the target took it: it answered with 2xx.
	Err error
	// after is the wait that the target asked for.
	after time.Duration
}

// send makes one request. Its error never has the URL.
func (t *Target) send(ctx context.Context, h http.Header, body []byte) (r Result) {
	began := time.Now()
	defer func() { r.Duration = time.Since(began) }()
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, string(t.URL), bytes.NewReader(body))
	if err != nil {
		return Result{Err: errors.New("the URL cannot be read")}
	}
	req.Header = h
	req.Header.Set("User-Agent", "plugbeat")
	if len(t.Token) > 0 {
		req.Header.Set("Authorization", "Bearer "+string(t.Token))
	}
	res, err := t.Client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("it did not answer within %s", Timeout)
		}
		return Result{Err: t.hushed(err)}
	}
	defer func() { _ = res.Body.Close() }()
	// The status decides; a body that never ends is cut off by the deadline.
	text := ""
	if res.StatusCode >= 300 {
		b, _ := io.ReadAll(io.LimitReader(res.Body, answerBytes))
		text = clip(string(b), 200)
	}
	r.Status = res.StatusCode
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return r
	case res.StatusCode >= 300 && res.StatusCode < 400:
		r.Err = errors.New("it answered with a redirect, which is not followed: use the address it leads to")
	case text != "":
		r.Err = t.hushed(fmt.Errorf("it answered %d %s: %s", res.StatusCode, http.StatusText(res.StatusCode), text))
	default:
		r.Err = fmt.Errorf("it answered %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		r.after = min(time.Duration(min(s, 3600))*time.Second, 15*time.Minute)
	}
	return r
}

// hushed is the error with the URL, its path and the token taken out, which an answer
// may repeat. It wraps nothing unless nothing was in it.
func (t *Target) hushed(err error) error {
	text, was := err.Error(), err.Error()
	secrets := []string{string(t.URL), string(t.Token)}
	if u, perr := url.Parse(string(t.URL)); perr == nil {
		secrets = append(secrets, u.RequestURI(), u.Path, strings.Trim(u.Path, "/"), u.RawQuery)
	}
	for _, s := range secrets {
		if len(s) > 3 {
			text = strings.ReplaceAll(text, s, "[secret]")
		}
	}
	if text == was {
		return err
	}
	return errors.New(text)
}

// State is how a target fares.
type State = health.AlertFacts

// runner is a target at work. Its goroutine owns all but what mu guards.
type runner struct {
	Target
	a    *Alerter
	kick chan struct{}

	seen, kept map[string]Mark // as of the last look; as remembered across a restart
	waiting    []Alert
	left       int // alerts folded since the last message
	next       time.Time
	failures   int
	shorter    int // how often the target would not take what waits, for its length perhaps

	mu    sync.Mutex
	state State
}

func (r *runner) run(ctx context.Context) {
	r.recall(ctx)
	for ctx.Err() == nil {
		r.look(ctx)
		now := time.Now()
		if len(r.waiting) > 0 && !now.Before(r.next) {
			r.flush(ctx, now)
		}
		r.keep(ctx)
		wait := LookEvery
		if len(r.waiting) > 0 {
			wait = min(wait, time.Until(r.next))
		}
		pause(ctx, wait, r.kick)
	}
}

func pause(ctx context.Context, d time.Duration, kick <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-kick:
	case <-t.C:
	}
}

// recall reads what the target was told before.
func (r *runner) recall(ctx context.Context) {
	b, err := r.a.Memory.Load(ctx, r.Name)
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, &r.kept)
	}
	if err != nil && ctx.Err() == nil { // it will be told again
		r.a.Log.Warn().Str("event", "alert.memory").Str("target", r.Name).Err(err).
			Msg("what this target was told is not known, so it is told what stands")
		r.kept = nil
	}
	r.seen = r.kept
}

// look compares what stands with what was seen.
func (r *runner) look(ctx context.Context) {
	standing, err := r.a.Standing(ctx)
	if err != nil {
		return // the store's trouble is told, or ends the process, elsewhere
	}
	alerts, next := Diff(r.seen, standing, time.Now())
	r.seen = next
	var mine []Alert
	for _, a := range alerts {
		if r.takes(a) {
			mine = append(mine, a)
		}
	}
	var left int
	r.waiting, left = fold(r.waiting, mine)
	r.left += left
	r.note(func(s *State) { s.Folded += uint64(left) }) //nolint:gosec // not negative
}

// refused reports whether the target's answer blames the message: the same one would be
// refused again.
func (r Result) refused() bool {
	return r.Status == http.StatusBadRequest || r.Status == http.StatusRequestEntityTooLarge
}

// flush sends all that waits as one message. One that the target refuses is sent shorter, and
// after the shortest is let go, so that no message keeps those after it from the target.
func (r *runner) flush(ctx context.Context, now time.Time) {
	h, body := compose(r.Template, r.a.From, r.waiting, r.left, r.shorter, now)
	res := r.send(ctx, h, body)
	if res.Err != nil && ctx.Err() != nil {
		return // cut off by a stop; the next start tells it
	}
	if res.Err != nil {
		r.fail(res, now)
		return
	}
	r.a.Log.Info().Str("event", "alert.sent").Str("target", r.Name).Int("status", res.Status).Int("alerts", len(r.waiting)).
		Str("first", string(r.waiting[0].Code)).Msg("an alert was sent")
	told := uint64(len(r.waiting))
	r.waiting, r.left, r.failures, r.shorter = nil, 0, 0, 0
	r.next = time.Now().Add(r.Interval)
	r.note(func(s *State) {
		s.Sent++
		s.Told += told
		s.LastSent, s.LastError, s.LastErrorAt = now.UTC(), "", time.Time{}
	})
}

// fail takes in that a message did not arrive.
func (r *runner) fail(res Result, now time.Time) {
	what, waiting := "an alert could not be sent", len(r.waiting)
	switch {
	case !res.refused():
	case r.shorter < shortest:
		r.shorter++
		what = "an alert was refused: it is made shorter"
	default:
		r.left += waiting
		r.waiting, r.shorter = nil, 0
		what = "an alert was refused in its shortest form: it is let go, and the next one counts it"
	}
	r.failures++
	wait := retryAfter(r.failures, r.Interval)
	if res.refused() {
		wait = r.Interval / 6
	}
	r.next = time.Now().Add(max(wait, res.after))
	r.a.Log.Error().Str("event", "alert.failed").Str("target", r.Name).Int("status", res.Status).Int("waiting", waiting).
		Time("next", r.next).Err(res.Err).Msg(what)
	r.note(func(s *State) { s.Failed++; s.LastError, s.LastErrorAt = res.Err.Error(), now.UTC() })
}

// keep remembers what was seen once it is told. Where that fails, as on a full disk, it
// is tried again at the next look; a restart before would tell it twice.
func (r *runner) keep(ctx context.Context) {
	if len(r.waiting) > 0 || r.seen == nil || maps.Equal(r.seen, r.kept) && r.kept != nil {
		return
	}
	b := encode(r.seen)
	if err := r.a.Memory.Save(ctx, r.Name, b); err == nil {
		r.kept = r.seen
	}
}

func (r *runner) note(change func(*State)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.state)
	r.state.Waiting, r.state.NextTry = len(r.waiting), time.Time{}
	if len(r.waiting) > 0 {
		r.state.NextTry = r.next.UTC()
	}
}
