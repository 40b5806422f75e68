//go:build linux

package delivery

import (
	"io"
	"log"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"plugbeat/test/faults"
	"plugbeat/test/long"
	"plugbeat/webhook"
)

// throttles are values of Retry-After, by what is odd about them.
var throttles = map[string]string{
	"negative": "-5", "garbage": "soon", "empty": "", "float": "1.5", "hex": "0x10", "past": "Sun, 06 Nov 1994 08:49:37 GMT",
	"a-thousand-years": "31536000000", "beyond-counting": strings.Repeat("9", 40), "huge": strings.Repeat("9", 3000),
	"a-date-in-a-thousand-years": "Tue, 01 Jan 3030 12:00:00 GMT", "a-date-of-another-calendar": "Tue, 99 Foo 3030 12:00:00 GMT",
	"two": "5\r\nRetry-After: -1",
}

// unconnected are the receivers to which no connection, or none with TLS, comes about.
var unconnected = []string{"deaf TLS", "slow TLS", "hole", "nobody", "plain"}

// answersErrors are the faults that are an answer with an error, and no silence.
var answersErrors = []string{faults.SwitchProtocol, faults.SlowError}

// Receivers of every kind at once, each on a webhook of its own: endless, slow, broken,
// lying, silent. Each attempt is recorded as what its answer was, no delivery is lost,
// and a receiver that is well notices nothing. One that becomes well gets all that
// waits, with its next delivery at the latest.
func TestHostileReceivers(t *testing.T) {
	long.Test(t)
	t.Parallel()
	log.SetOutput(io.Discard) // net/http tells of answers that nobody asked for
	defer log.SetOutput(os.Stderr)
	r := newReal(t)
	names := slices.Sorted(maps.Keys(faults.All()))
	for name, value := range throttles {
		for _, status := range []string{"429 Too Many Requests", "503 Service Unavailable"} {
			name := "retry-after-" + status[:3] + "-" + name
			r.faults.Add(name, faults.Say("HTTP/1.1 "+status+"\r\nRetry-After: "+value+"\r\nContent-Length: 0\r\n\r\n"))
			names = append(names, name)
		}
	}
	well := r.hook("well", r.faults.URL("well"))
	hooks, waits := map[string]uuid.UUID{}, map[string][]webhook.Delivery{}
	for _, name := range names {
		hooks[name] = r.hook(name, r.faults.URL(name))
		r.faults.Arm(name)
	}
	// The faults below HTTP cannot be armed. Their webhooks move there once verified.
	for name, uri := range map[string]string{
		"deaf TLS": "https://" + faults.Deaf(t) + "/", "slow TLS": "https://" + faults.SlowTLS(t) + "/",
		"hole": "http://" + faults.Hole(t) + "/", "nobody": "http://" + faults.Nobody(t) + "/",
		"plain": strings.Replace(r.faults.URL("well"), "http:", "https:", 1),
	} {
		hooks[name] = r.hook(name, r.faults.URL(name))
		if _, err := r.update(t.Context(), hooks[name], func(w *webhook.Webhook) ([]Effect, error) { w.CallbackURI = uri; return nil, nil }); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	for name, id := range hooks {
		waits[name] = r.produce(id, 1, 2, 3)
	}
	r.undelayed(well, 10)
	eventually(t, "each breaker opens, and its first probe fails", func() bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			w := r.stands(hooks[name])
			failing := w.Breaker.Step > 0 || w.Status == webhook.Disabled && w.Reason == webhook.Exhausted
			if slices.Contains(answersErrors, name) { // all that waits is set aside, and none of it is a probe
				failing = w.Breaker.Open()
			}
			return !failing && !faults.Accepts(name)
		})
	})
	r.undelayed(well, 5)
	for _, name := range answersErrors { // before they are well: what is owed after that closes it
		if w := r.stands(hooks[name]); !w.Breaker.Open() {
			t.Errorf("%s: the breaker closed without a delivery", name)
		}
	}
	for _, name := range names {
		r.faults.Mend(name)
	}
	for _, name := range unconnected {
		uri := r.faults.URL(name)
		if _, err := r.Change(t.Context(), hooks[name], webhook.SettingsChange{CallbackURI: &uri}); err != nil {
			t.Fatal(err)
		}
		r.verify(hooks[name])
	}
	for _, name := range answersErrors {
		waits[name] = append(waits[name], r.produce(hooks[name], 4)...)
	}
	for _, name := range names {
		r.arrives(name, waits[name])
		r.recorded(name, waits[name])
		made := uint64(len(waits[name]))
		w := r.stands(hooks[name])
		if w.Ledger != (webhook.Ledger{Produced: made, Delivered: made}) || w.Status != webhook.Active || w.Breaker.Open() {
			t.Errorf("%s: %s, %+v, %+v", name, w.Status, w.Ledger, w.Breaker)
		}
	}
	r.undelayed(well, 5)
	r.stop()
	eventually(t, "no connection is left", func() bool { return r.faults.Open() == 0 })
	if text := r.log.String(); strings.Contains(text, "panic") {
		t.Error(text)
	}
	t.Logf("%d hostile receivers beside one that is well: nothing lost, nothing late", len(names))
}

// answerOf is what attempts at a fault are recorded as, and what their text contains.
func answerOf(name string) (webhook.Outcome, string) {
	text := map[string]string{
		faults.SwitchProtocol: "101: ", faults.SlowError: "500: ",
		faults.Hang: "no answer within 4s: the receiver takes too long", faults.SlowHeaders: "no answer within 4s: the receiver takes too long",
		faults.EndlessHeaders: "headers", faults.EndlessLine: "headers", faults.EndlessStatus: "headers",
		faults.Informational: "headers", faults.Continue: "headers",
		faults.Noise: "does not speak HTTP", faults.NoStatus: "does not speak HTTP", faults.BadStatus: "does not speak HTTP",
		faults.Reset: "closed the connection", faults.Close: "closed the connection",
		"deaf TLS": "no connection came about", "slow TLS": "no connection came about", "hole": "no connection came about",
		"nobody": "nothing listens there", "plain": "does not speak TLS",
	}[name]
	switch {
	case faults.Accepts(name):
		return webhook.OutcomeDelivered, ""
	case slices.Contains(unconnected, name):
		return webhook.OutcomeUnreachable, text
	case slices.Contains(answersErrors, name):
		return webhook.OutcomeFailed, text
	case strings.HasPrefix(name, "retry-after-"):
		return webhook.OutcomeUnavailable, name[len("retry-after-"):][:3] + ": "
	}
	return webhook.OutcomeUnavailable, text
}

// recorded fails the test unless every attempt but a delivery's last was recorded as what
// the fault is, and the last as delivered.
func (r *real) recorded(name string, ds []webhook.Delivery) {
	r.t.Helper()
	outcome, text := answerOf(name)
	failed := 0
	for _, d := range ds {
		as := r.attempts(d)
		if len(as) == 0 {
			r.t.Errorf("%s: delivered without an attempt", name)
			continue
		}
		for i, a := range as {
			_, err := netip.ParseAddrPort(a.Address)
			if err != nil || a.Duration > 2*patience || len(a.Body) > bodyKept || a.RetryAfter < 0 {
				r.t.Errorf("%s: %+v", name, a)
			}
			switch {
			case i == len(as)-1:
				if a.Outcome != webhook.OutcomeDelivered {
					r.t.Errorf("%s: its last attempt is %s %q", name, a.Outcome, answerText(a))
				}
			case a.Outcome != outcome || answerText(a) == "" || !strings.Contains(answerText(a), text):
				r.t.Errorf("%s: %s %q, want %s %q", name, a.Outcome, answerText(a), outcome, text)
			default:
				failed++
			}
		}
		switch {
		case !faults.Accepts(name) && r.taken(d) != 1:
			r.t.Errorf("%s: arrived %d times", name, r.taken(d))
		case faults.Accepts(name) && len(as) != 1:
			r.t.Errorf("%s: %d attempts", name, len(as))
		}
	}
	if !faults.Accepts(name) && failed == 0 {
		r.t.Errorf("%s: no attempt met the fault", name)
	}
}

// A callback whose name resolves to something else at each attempt, to nothing, to three
// hundred addresses, or whose name server fails, lies or is silent: each is recorded as
// what it was, and gets all its deliveries once its name resolves.
func TestHostileNames(t *testing.T) {
	long.Test(t)
	t.Parallel()
	r := newReal(t)
	_, port, err := net.SplitHostPort(r.faults.Addr())
	if err != nil {
		t.Fatal(err)
	}
	here := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	var many []netip.Addr
	for i := range 300 {
		many = append(many, netip.AddrFrom4([4]byte{127, 7, byte(i / 256), byte(i)})) // nobody listens there
	}
	refused := []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("0.0.0.0")}
	answers := map[string]func(q faults.Question) faults.Reply{
		"turns.test":   func(q faults.Question) faults.Reply { return faults.Reply{Addrs: refused[q.N%3:][:1]} },
		"many.test":    func(faults.Question) faults.Reply { return faults.Reply{Addrs: many} },
		"refused.test": func(faults.Question) faults.Reply { return faults.Reply{Addrs: slices.Repeat(refused[:1], 300)} },
		"none.test":    func(faults.Question) faults.Reply { return faults.Reply{RCode: 3} },
		"empty.test":   func(faults.Question) faults.Reply { return faults.Reply{} },
		"fails.test":   func(faults.Question) faults.Reply { return faults.Reply{RCode: 2} },
		"refuses.test": func(faults.Question) faults.Reply { return faults.Reply{RCode: 5} },
		"silent.test":  func(faults.Question) faults.Reply { return faults.Reply{Silent: true} },
		"nonsense.test": func(faults.Question) faults.Reply {
			return faults.Reply{Raw: []byte{0x81, 0x80, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 3}}
		},
	}
	// unread are the names for which no answer comes that can be read, as without a resolver.
	unread := []string{"silent.test", "nonsense.test"}
	bad := map[string]bool{}
	setBad := func(name string, is bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		bad[name] = is
	}
	r.mu.Lock()
	r.dns = func(q faults.Question) faults.Reply {
		r.mu.Lock()
		is := bad[q.Name]
		r.mu.Unlock()
		if is {
			return answers[q.Name](q)
		}
		return faults.Reply{Addrs: here}
	}
	r.mu.Unlock()
	well := r.hook("well", "http://well.test:"+port+"/well")
	hooks, waits := map[string]uuid.UUID{}, map[string][]webhook.Delivery{}
	for name := range answers {
		hooks[name] = r.hook(name, "http://"+name+":"+port+"/")
		r.worker(hooks[name]).send.close() // a connection outlives what its name becomes
		setBad(name, true)
	}
	for name, id := range hooks {
		waits[name] = r.produce(id, 1, 2)
	}
	r.undelayed(well, 10)
	for name, id := range hooks {
		eventually(t, name+" was tried", func() bool {
			if slices.Contains(unread, name) {
				return strings.Contains(r.paused(id), "no resolver answers")
			}
			w := r.stands(id)
			return w.Breaker.Step > 0 || w.Status == webhook.Disabled && w.Reason == webhook.Exhausted
		})
	}
	r.undelayed(well, 3)
	for name := range answers {
		setBad(name, false)
	}
	for name, ds := range waits {
		r.arrives(name, ds)
		if l := r.stands(hooks[name]).Ledger; l != (webhook.Ledger{Produced: 2, Delivered: 2}) {
			t.Errorf("%s: %+v", name, l)
		}
		first := r.attempts(ds[0])[0]
		if slices.Contains(unread, name) { // a fault of our own is no attempt
			if first.Outcome != webhook.OutcomeDelivered {
				t.Errorf("%s: %s %q", name, first.Outcome, answerText(first))
			}
			continue
		}
		want := map[string]string{
			"turns.test": "is refused", "refused.test": "169.254.169.254:" + port + " is refused: cloud metadata",
			"many.test": "nothing listens there", "none.test": "no such host", "empty.test": "no such host",
			"fails.test": "the name cannot be resolved", "refuses.test": "the name cannot be resolved",
		}[name]
		if first.Outcome != webhook.OutcomeUnreachable || !strings.Contains(answerText(first), want) {
			t.Errorf("%s: %s %q, want %q", name, first.Outcome, answerText(first), want)
		}
	}
}
