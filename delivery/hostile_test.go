package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/egress"
	"plugbeat/internal/faults"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// real is a running dispatcher over memory and real sockets, with a receiver of
// every fault and a name server.
type real struct {
	*Dispatcher
	t      *testing.T
	m      *memory
	log    *safeLog
	faults *faults.Receiver
	stop   func()

	mu    sync.Mutex
	heard map[string]int // deliveries that were taken, by webhook-id
	dns   func(q faults.Question) faults.Reply
}

// patience is how long an answer may take: much longer than one of a receiver that
// is well takes, also on a slow machine.
const patience = 4 * time.Second

// newReal starts one whose retries and challenges follow each other within half a
// second.
func newReal(t *testing.T, s Settings) *real {
	t.Helper()
	r := &real{t: t, m: newMemory(), log: &safeLog{}, heard: map[string]int{}}
	r.faults = faults.New(t, r)
	names := faults.NewDNS(t, func(q faults.Question) faults.Reply {
		r.mu.Lock()
		answer := r.dns
		r.mu.Unlock()
		if answer == nil {
			return faults.Reply{RCode: 3}
		}
		return answer(q)
	})
	g := guardOf(t, egress.Options{Allow: []string{"loopback"}, Resolver: names.Resolver(), Interfaces: connected})
	s.Ladder = slices.Repeat([]time.Duration{500 * time.Millisecond}, 20)
	s.Timeout, s.Jitter = patience, -1
	s.ChallengeFrom, s.ChallengeAfter, s.ChallengeEvery, s.HealWindow = time.Millisecond, []time.Duration{200 * time.Millisecond}, 200*time.Millisecond, time.Millisecond
	s.OwnFaultWait, s.OwnFaultMax = 50*time.Millisecond, 50*time.Millisecond
	var err error
	r.Dispatcher, err = New(Options{
		Store: r.m, Settings: s, ManagementToken: testToken, Log: zerolog.New(r.log), Guard: g,
		Bodies: Bodies{Verify: func(_ uuid.UUID, c string) []byte { return []byte("challenge " + c) }, Test: func(*webhook.Webhook) []byte { return []byte("{}") }},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	eventually(t, "it runs", func() bool { return r.Alive(time.Now()) })
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come: %s", what)
		}
	}
}

// ServeHTTP is the receiver while it is well.
func (r *real) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if c, ok := bytes.CutPrefix(body, []byte("challenge ")); ok {
		_, _ = fmt.Fprintf(w, `{"challenge":%q}`, signing.AnswerOf(testToken, string(c)))
		return
	}
	r.mu.Lock()
	r.heard[req.Header.Get("webhook-id")]++
	r.mu.Unlock()
	_, _ = io.WriteString(w, "ok")
}

// hook adds a webhook and verifies it.
func (r *real) hook(name, uri string) uuid.UUID {
	r.t.Helper()
	w, err := r.Add(r.t.Context(), webhook.Webhook{Name: name, CallbackURI: uri})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, _, err := r.Verify(r.t.Context(), w.ID); err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	return w.ID
}

func (r *real) produce(id uuid.UUID, vehicles ...int) []webhook.Delivery {
	ds := r.m.produce(id, vehicles...)
	r.Produced(ds)
	return ds
}

func (r *real) delivered(ds []webhook.Delivery) bool {
	return !slices.ContainsFunc(ds, func(d webhook.Delivery) bool { return r.m.state(d.ID) != webhook.Delivered })
}

// undelayed sends through a webhook whose receiver is well, while others are not.
// Nothing of it may wait for them, and nothing may need a second attempt.
func (r *real) undelayed(id uuid.UUID, rounds int) {
	r.t.Helper()
	for range rounds {
		began := time.Now()
		ds := r.produce(id, 1, 2, 3, 4, 5, 6, 7, 8)
		eventually(r.t, "a receiver that is well gets its deliveries", func() bool { return r.delivered(ds) })
		if took := time.Since(began); took > patience {
			r.t.Errorf("a receiver that is well waited %s", took)
		}
		for _, d := range ds {
			if as := r.m.tries(d.ID); len(as) != 1 {
				r.t.Errorf("a receiver that is well was tried %d times: %+v", len(as), as)
			}
		}
	}
}

// throttles are answers that ask for a wait, by what they ask for.
var throttles = map[string]string{
	"negative": "-5", "garbage": "soon", "empty": "", "float": "1.5", "hex": "0x10", "past": "Sun, 06 Nov 1994 08:49:37 GMT", "a thousand years": "31536000000", "beyond counting": strings.Repeat("9", 40),
	"a date in a thousand years": "Tue, 01 Jan 3030 12:00:00 GMT", "a date of another calendar": "Tue, 99 Foo 3030 12:00:00 GMT", "huge": strings.Repeat("9", 3000), "two": "5\r\nRetry-After: -1",
}

// Receivers of every kind at once, each on a webhook of its own: endless, slow,
// broken, lying, silent. Their deliveries are recorded as what they were, none is
// lost, and a receiver that is well notices nothing.
func TestHostileReceivers(t *testing.T) {
	t.Parallel()
	log.SetOutput(io.Discard) // net/http tells of answers that nobody asked for
	defer log.SetOutput(os.Stderr)
	r := newReal(t, Settings{})
	names := slices.Sorted(maps.Keys(faults.All()))
	for name, value := range throttles {
		for _, status := range []string{"429 Too Many Requests", "503 Service Unavailable"} {
			name := "retry-after-" + status[:3] + "-" + strings.ReplaceAll(name, " ", "-")
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
	// Three that cannot be armed: once verified, they move to where nothing good is.
	for name, uri := range map[string]string{
		"deaf TLS": "https://" + faults.Deaf(t) + "/", "slow TLS": "https://" + faults.SlowTLS(t) + "/", "hole": "http://" + faults.Hole(t) + "/", "nobody": "http://" + faults.Nobody(t) + "/",
		"plain": strings.Replace(r.faults.URL("well"), "http:", "https:", 1),
	} {
		hooks[name] = r.hook(name, r.faults.URL(name))
		r.m.mu.Lock()
		w := r.m.hooks[hooks[name]]
		w.CallbackURI = uri
		r.m.hooks[w.ID] = w
		r.m.mu.Unlock()
		r.lane(w.ID).adopt(w)
		names = append(names, name)
	}
	for name, id := range hooks {
		waits[name] = r.produce(id, 1, 2, 3)
	}
	r.undelayed(well, 10)
	// Each strikes, twice where it is no success.
	eventually(t, "every fault strikes", func() bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			return !faults.Accepts(name) && r.m.hook(hooks[name]).Health.Rung < 1 && r.m.hook(hooks[name]).Status == webhook.Active
		})
	})
	r.undelayed(well, 5)
	for _, name := range names {
		r.faults.Mend(name)
	}
	for _, name := range unconnected {
		uri := r.faults.URL(name)
		if _, err := r.Change(t.Context(), hooks[name], Change{CallbackURI: &uri}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Verify(t.Context(), hooks[name]); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		eventually(t, "all of "+name+" arrives", func() bool { return r.delivered(waits[name]) })
		r.recorded(name, waits[name])
		if l := r.m.hook(hooks[name]).Ledger; l.Produced != 3 || l.Delivered != 3 || l.Waiting() != 0 {
			t.Errorf("%s: %+v", name, l)
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

// unconnected are the receivers to which no connection, or none with TLS, comes about.
var unconnected = []string{"deaf TLS", "slow TLS", "hole", "nobody", "plain"}

// recorded looks at the attempts that a fault led to.
func (r *real) recorded(name string, ds []webhook.Delivery) {
	r.t.Helper()
	want := struct {
		outcome webhook.Outcome
		text    string
	}{outcome: webhook.OutcomeUnavailable}
	switch {
	case faults.Accepts(name):
		want.outcome = webhook.OutcomeDelivered
	case strings.HasPrefix(name, "retry-after"):
		want.outcome = webhook.OutcomeUnavailable
	case slices.Contains(unconnected, name):
		want.outcome = webhook.OutcomeUnreachable
	}
	for n, text := range map[string]string{
		faults.SwitchProtocol: "101: ", faults.SlowError: "500: ", faults.Hang: "no answer within 4s: the receiver takes too long", faults.SlowHeaders: "no answer within 4s: the receiver takes too long",
		faults.EndlessHeaders: "headers", faults.EndlessLine: "headers", faults.EndlessStatus: "headers", faults.Noise: "does not speak HTTP", faults.NoStatus: "does not speak HTTP", faults.BadStatus: "does not speak HTTP",
		faults.Reset: "closed the connection", faults.Close: "closed the connection", faults.Informational: "headers", faults.Continue: "headers",
		"deaf TLS": "no connection came about", "slow TLS": "no connection came about", "hole": "no connection came about", "nobody": "nothing listens there", "plain": "does not speak TLS",
	} {
		if n == name {
			want.text = text
		}
	}
	if name == faults.SwitchProtocol || name == faults.SlowError {
		want.outcome = webhook.OutcomeFailed
	}
	first := webhook.Attempt{}
	for _, d := range ds {
		as := r.m.tries(d.ID)
		if len(as) == 0 {
			r.t.Errorf("%s: delivered without an attempt", name)
			continue
		}
		if last := as[len(as)-1]; last.Outcome != webhook.OutcomeDelivered {
			r.t.Errorf("%s: %+v", name, last)
		}
		if faults.Accepts(name) && len(as) != 1 {
			r.t.Errorf("%s: %d attempts", name, len(as))
		}
		if !faults.Accepts(name) && r.times(d.MessageID) == 0 {
			r.t.Errorf("%s: never arrived", name)
		}
		for _, a := range as {
			if a.Outcome == want.outcome {
				first = a
			}
			if _, err := netip.ParseAddrPort(a.Address); err != nil || a.Duration > 2*patience || len(a.Body) > bodyKept || a.RetryAfter < 0 {
				r.t.Errorf("%s: %+v", name, a)
			}
		}
	}
	if first.Outcome != want.outcome || !strings.Contains(answerText(first), want.text) || first.Outcome != webhook.OutcomeDelivered && answerText(first) == "" {
		r.t.Errorf("%s: %s %q, want %s %q", name, first.Outcome, answerText(first), want.outcome, want.text)
	}
}

func (r *real) times(id uuid.UUID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard[id.String()]
}

// A callback whose name resolves to something else at each attempt, to nothing, to
// three hundred addresses, or whose name server fails, lies or is silent.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	r := newReal(t, Settings{})
	_, port, err := net.SplitHostPort(r.faults.Addr())
	if err != nil {
		t.Fatal(err)
	}
	here := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	var many []netip.Addr
	for i := range 300 {
		many = append(many, netip.AddrFrom4([4]byte{127, 7, byte(i / 256), byte(i)})) // nobody listens there
	}
	mended := map[string]bool{}
	bad := map[string]func(q faults.Question) faults.Reply{
		"turns.test": func(q faults.Question) faults.Reply {
			return faults.Reply{Addrs: []netip.Addr{[]netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("0.0.0.0")}[q.N%3]}}
		},
		"many.test": func(faults.Question) faults.Reply { return faults.Reply{Addrs: many} },
		"refused.test": func(faults.Question) faults.Reply {
			return faults.Reply{Addrs: slices.Repeat([]netip.Addr{netip.MustParseAddr("169.254.169.254")}, 300)}
		},
		"none.test":    func(faults.Question) faults.Reply { return faults.Reply{RCode: 3} },
		"empty.test":   func(faults.Question) faults.Reply { return faults.Reply{} },
		"fails.test":   func(faults.Question) faults.Reply { return faults.Reply{RCode: 2} },
		"refuses.test": func(faults.Question) faults.Reply { return faults.Reply{RCode: 5} },
		"silent.test":  func(faults.Question) faults.Reply { return faults.Reply{Silent: true} },
		"nonsense.test": func(faults.Question) faults.Reply {
			return faults.Reply{Raw: []byte{0x81, 0x80, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 3}}
		},
	}
	r.mu.Lock()
	r.dns = func(q faults.Question) faults.Reply {
		r.mu.Lock()
		ok := mended[q.Name]
		r.mu.Unlock()
		if f := bad[q.Name]; f != nil && !ok {
			return f(q)
		}
		return faults.Reply{Addrs: here}
	}
	for name := range bad {
		mended[name] = true
	}
	r.mu.Unlock()
	well := r.hook("well", "http://well.test:"+port+"/well")
	hooks, waits := map[string]uuid.UUID{}, map[string][]webhook.Delivery{}
	for name := range bad {
		hooks[name] = r.hook(name, "http://"+name+":"+port+"/")
		r.lane(hooks[name]).send.close() // what is connected stays so, whatever its name becomes
		r.mu.Lock()
		mended[name] = false
		r.mu.Unlock()
	}
	for name, id := range hooks {
		waits[name] = r.produce(id, 1, 2)
	}
	r.undelayed(well, 10)
	eventually(t, "every name was tried", func() bool {
		return !slices.ContainsFunc(slices.Collect(maps.Keys(bad)), func(name string) bool {
			w := r.m.hook(hooks[name])
			return w.Status == webhook.Active && w.Health.Rung < 1 && r.paused(w.ID) == ""
		})
	})
	for _, name := range []string{"silent.test", "nonsense.test"} { // no answer that can be read is none
		if text := r.paused(hooks[name]); !strings.Contains(text, "no resolver answers") {
			t.Errorf("%s: %q", name, text)
		}
	}
	r.undelayed(well, 3)
	r.mu.Lock()
	for name := range bad {
		mended[name] = true
	}
	r.mu.Unlock()
	for name, ds := range waits {
		eventually(t, "all of "+name+" arrives", func() bool { return r.delivered(ds) })
		if l := r.m.hook(hooks[name]).Ledger; l.Produced != 2 || l.Delivered != 2 {
			t.Errorf("%s: %+v", name, l)
		}
		want := map[string]string{
			"turns.test": "is refused", "many.test": "no more than 16 are tried: nothing listens there", "refused.test": "169.254.169.254:" + port + " is refused: cloud metadata", "none.test": "no such host", "empty.test": "no such host",
			"fails.test": "the name cannot be resolved", "refuses.test": "the name cannot be resolved",
		}[name]
		as := r.m.tries(ds[0].ID)
		if !strings.Contains(answerText(as[0]), want) {
			t.Errorf("%s: %q, want %q", name, answerText(as[0]), want)
		}
	}
}

func (r *real) paused(id uuid.UUID) string {
	for _, l := range r.Lanes() {
		if l.Webhook == id {
			return l.Paused
		}
	}
	return ""
}
