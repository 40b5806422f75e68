package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/config"
	"plugbeat/receiver"
)

// The bounds of what listen waits for, and of an answer that it passes on.
const (
	listenDelayMax = 10 * time.Minute
	forwardTime    = 30 * time.Second
	forwardBytes   = 1 << 20
)

func (s *shell) listenCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "listen",
		Usage: "receive webhooks here: a receiver for development",
		Description: `Answers challenges, checks both signatures strictly, and prints what arrives. It can be told to fail or
to be slow, and passes what it took on to a program of yours. Challenges it answers itself, and refuses those
that are not made of 16 to 64 hex digits and hyphens: answering them could sign somebody's payload.

The management token comes from --token-file, else from the config of the daemon. Without a webhook's own key,
which --key-file holds as ` + "`plugbeat webhook add`" + ` printed it, one key a line, Standard Webhooks signatures are
not checked. It ends with Ctrl-C and says what came. Exit code 1 if a signature was wrong.`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "listen", Usage: "`ADDRESS` to listen on, host:port", Value: "127.0.0.1:8099"},
			&ucli.StringFlag{Name: "config", Usage: "the daemon's config `FILE` [$PLUGBEAT_CONFIG]"},
			&ucli.StringFlag{Name: "token-file", Usage: "`FILE` with the application management token"},
			&ucli.StringFlag{Name: "key-file", Usage: "`FILE` with signing keys of webhooks, whsec_..., one a line"},
			&ucli.IntFlag{Name: "fail", Usage: "answer deliveries with this `STATUS`, 300 to 599, such as 500, 410 or 413"},
			&ucli.Float64Flag{Name: "fail-rate", Usage: "with --fail: only this share of them, `0..1`", Value: 1},
			&ucli.DurationFlag{Name: "delay", Usage: "answer deliveries after this `TIME`"},
			&ucli.StringFlag{Name: "forward", Usage: "pass deliveries that are rightly signed on to this `URL`, and answer what it answers"},
			&ucli.BoolFlag{Name: "brief", Usage: "print a line each and no payload", DisableDefaultText: true},
		},
		CustomHelpTemplate: example(`
plugbeat listen
plugbeat listen --fail 500 --fail-rate 0.3 --delay 2s
plugbeat listen --forward http://127.0.0.1:3000/webhook`),
		Action: s.listen,
	}
}

// ears is a running listen: what it was told, and what came.
type ears struct {
	s        *shell
	json     bool
	brief    bool
	fail     int
	failRate float64
	delay    time.Duration
	forward  string
	client   *http.Client

	mu                                  sync.Mutex
	broken                              error // standard output takes nothing more
	end                                 context.CancelFunc
	seen                                map[string]int // webhook-id: how often
	taken, repeated, refused, wrong, ok int
}

func (s *shell) listen(c *ucli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	e, err := s.newEars(c)
	if err != nil {
		return err
	}
	r, err := s.listenReceiver(c)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(c.Context)
	defer end()
	e.end = end
	r.Rule(e.rule)
	r.Heard(e.heard)
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", c.String("listen"))
	if err != nil {
		return hint(fmt.Errorf("listen on %s: %w", c.String("listen"), err), "choose another: plugbeat listen --listen 127.0.0.1:0")
	}
	srv := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	e.started("http://" + ln.Addr().String() + "/")
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	// What is being answered may finish, unless it was told to be slow.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if srv.Shutdown(last) != nil {
		_ = srv.Close()
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listen: %w", err)
	}
	return e.summary()
}

// newEars checks what the command line asks for.
func (s *shell) newEars(c *ucli.Context) (*ears, error) {
	e := &ears{
		s: s, json: c.Bool("json"), brief: c.Bool("brief"), fail: c.Int("fail"), failRate: c.Float64("fail-rate"), delay: c.Duration("delay"), forward: c.String("forward"),
		seen: map[string]int{}, client: &http.Client{Timeout: forwardTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	bad := func(format string, args ...any) error {
		return &usageError{msg: fmt.Sprintf(format, args...), hint: "see: plugbeat listen --help"}
	}
	switch u, err := url.Parse(e.forward); {
	case c.IsSet("fail") && (e.fail < 300 || e.fail > 599):
		return nil, bad("--fail %d: want a status from 300 to 599", e.fail)
	case c.IsSet("fail-rate") && !c.IsSet("fail"):
		return nil, bad("--fail-rate goes with --fail")
	case e.failRate < 0 || e.failRate > 1 || e.failRate != e.failRate:
		return nil, bad("--fail-rate %v: want a share from 0 to 1", e.failRate)
	case e.delay < 0 || e.delay > listenDelayMax:
		return nil, bad("--delay %s: want a duration from 0s to %s", e.delay, listenDelayMax)
	case e.forward != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == ""):
		return nil, bad("--forward %q: want an absolute http or https URL", e.forward)
	}
	return e, nil
}

// listenReceiver makes a receiver that knows the token and the keys.
func (s *shell) listenReceiver(c *ucli.Context) (*receiver.Receiver, error) {
	token, err := s.listenToken(c)
	if err != nil {
		return nil, err
	}
	r := receiver.New(token)
	r.AcceptEither()
	file := c.String("key-file")
	if file == "" {
		return r, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	for i, l := range strings.Split(string(b), "\n") {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		if !strings.HasPrefix(l, "whsec_") || r.KnowAny(l) != nil {
			return nil, fmt.Errorf("signing keys of %s: line %d is no key; want whsec_ and base64, as plugbeat webhook add prints it", file, i+1)
		}
	}
	return r, nil
}

func (s *shell) listenToken(c *ucli.Context) (string, error) {
	if file := c.String("token-file"); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read management token: %w", err)
		}
		if token := strings.TrimSpace(string(b)); token != "" {
			return token, nil
		}
		return "", fmt.Errorf("read management token: %s is empty", file)
	}
	file, _ := s.configPath(c)
	if file == "" {
		return "", &usageError{msg: "listen needs the management token: nothing names a config, and there is none at " + s.defaultCfg,
			hint: "plugbeat listen --token-file FILE, or --config FILE; with a daemon of another machine, copy its token here"}
	}
	cfg, err := config.Load(file)
	if err != nil {
		return "", loadError(file, err)
	}
	token, err := cfg.ManagementToken()
	if err != nil {
		return "", hint(err, "plugbeat listen --token-file FILE")
	}
	return string(token), nil
}

// rule says how a message is answered. What is not rightly signed the receiver
// refuses by itself, so it is neither failed nor passed on.
func (e *ears) rule(m receiver.Message) receiver.Answer {
	if m.Event == "verify" {
		return receiver.Answer{}
	}
	a := receiver.Answer{Delay: e.delay}
	if e.fail != 0 && rand.Float64() < e.failRate {
		a.Status = e.fail
		return a
	}
	if e.forward != "" && m.SmartcarCheck != receiver.Wrong && m.StandardCheck != receiver.Wrong && (m.Smartcar || m.Standard) {
		a.Status, a.Body, a.Header = e.pass(m)
	}
	return a
}

// pass hands a delivery on as it came and returns the answer; 502 when there was
// none, with the reason as the body.
func (e *ears) pass(m receiver.Message) (int, []byte, http.Header) {
	ctx, cancel := context.WithTimeout(context.Background(), forwardTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.forward, bytes.NewReader(m.Body))
	if err != nil {
		return http.StatusBadGateway, []byte(err.Error()), nil
	}
	for name, values := range m.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "webhook-") || strings.HasPrefix(lower, "sc-") || lower == "content-type" || lower == "user-agent" {
			// Spelled as the sender does, for those who look at the case.
			if strings.EqualFold(name, "SC-Signature") {
				name = "SC-Signature"
			}
			req.Header[name] = values
		}
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return http.StatusBadGateway, []byte(err.Error()), nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, forwardBytes))
	if err != nil {
		return http.StatusBadGateway, []byte("the answer broke off: " + err.Error()), nil
	}
	kept := http.Header{}
	for _, name := range []string{"Retry-After", "Location"} {
		if v := resp.Header.Get(name); v != "" {
			kept.Set(name, v)
		}
	}
	return resp.StatusCode, body, kept
}

// heardMessage is one message in JSON.
type heardMessage struct {
	At        time.Time       `json:"at"`
	Kind      string          `json:"kind"` // challenge, or the eventName of a delivery
	Status    int             `json:"status"`
	Webhook   string          `json:"webhook"`
	Vehicle   string          `json:"vehicle,omitempty"`
	EventType string          `json:"event_type,omitempty"` // of an eventBased delivery
	MessageID string          `json:"webhook_id,omitempty"`
	Repeat    bool            `json:"repeat"`
	Smartcar  receiver.Check  `json:"sc_signature"`
	Standard  receiver.Check  `json:"webhook_signature"`
	Body      json.RawMessage `json:"body"`
}

// heard counts a message and prints it.
func (e *ears) heard(m receiver.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kind, repeat := m.Event, false
	good := m.Status >= 200 && m.Status < 300
	wrong := m.SmartcarCheck == receiver.Wrong || m.StandardCheck == receiver.Wrong || !m.Smartcar && !m.Standard
	switch {
	case wrong:
		e.wrong++
	case m.Event == "verify" && good:
		e.ok++
	case m.Event == "verify":
		e.refused++
	default:
		repeat = e.seen[m.ID] > 0
		if good {
			e.seen[m.ID]++
			e.taken++
		} else {
			e.refused++
		}
		if repeat {
			e.repeated++
		}
	}
	if m.Event == "verify" {
		kind = "challenge"
	}
	if e.json {
		e.put(heardMessage{At: m.At.UTC(), Kind: kind, Status: m.Status, Webhook: m.Webhook, Vehicle: m.Vehicle, EventType: m.Happened, MessageID: m.ID, Repeat: repeat,
			Smartcar: m.SmartcarCheck, Standard: m.StandardCheck, Body: m.Body}, "")
		return
	}
	p := e.s.page()
	colour := green
	if !good {
		colour = red
	}
	text := p.paint(colour, strconv.Itoa(m.Status)) + "  " + clean(kind)
	if m.Happened != "" {
		text += " " + clean(m.Happened)
	}
	if m.Vehicle != "" {
		text += "  vehicle " + clean(m.Vehicle)
	}
	text += "  webhook " + clean(m.Webhook)
	signed := fmt.Sprintf("SC-Signature %s, webhook-signature %s", m.SmartcarCheck, m.StandardCheck)
	if wrong {
		signed = p.paint(red, signed)
	}
	p.line("%s  %s", m.At.Format("15:04:05"), text)
	p.line("          %s", signed)
	switch {
	case m.OddChallenge():
		p.line("          %s", p.paint(red, "refused: a challenge has 16 to 64 hex digits and hyphens, nothing else"))
	case repeat:
		p.line("          %s", p.paint(yellow, "came before, as "+clean(m.ID)))
	}
	var pretty bytes.Buffer
	if !e.brief && m.Event != "verify" && json.Indent(&pretty, m.Body, "          ", "  ") == nil {
		p.line("          %s", cleanLines(pretty.String()))
	}
	e.put(nil, p.b.String())
}

// put writes an object as a line of JSON, or a text. Once nobody reads any more,
// listening ends. The caller holds mu.
func (e *ears) put(v any, text string) {
	var err error
	if v != nil {
		enc := json.NewEncoder(e.s.out)
		enc.SetEscapeHTML(false)
		err = enc.Encode(v)
	} else {
		_, err = io.WriteString(e.s.out, text)
	}
	if err != nil && e.broken == nil {
		e.broken = err
		e.end()
	}
}

func (e *ears) started(callback string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.json {
		e.put(map[string]string{"kind": "listening", "callback": callback}, "")
		return
	}
	p := e.s.page()
	p.line("listening on %s until Ctrl-C", callback)
	p.line("add it and verify it, in another terminal:")
	p.line("  plugbeat webhook add --name dev --callback %s --allow-private", callback)
	p.line("  plugbeat webhook verify dev")
	e.put(nil, p.b.String())
}

// listened is the summary in JSON.
type listened struct {
	Kind       string `json:"kind"` // "summary"
	Taken      int    `json:"taken"`
	Repeated   int    `json:"repeated"`
	Refused    int    `json:"refused"`
	Wrong      int    `json:"wrong_signatures"`
	Challenges int    `json:"challenges_answered"`
}

// summary says what came. A wrong signature makes it an error.
func (e *ears) summary() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return &silent{e.broken} // as with: plugbeat listen | head
	}
	sum := listened{Kind: "summary", Taken: e.taken, Repeated: e.repeated, Refused: e.refused, Wrong: e.wrong, Challenges: e.ok}
	if e.json {
		e.put(sum, "")
	} else {
		e.put(nil, fmt.Sprintf("\n%s taken, %d of them again; %d not taken; %s answered; %s\n", count(e.taken, "delivery"), e.repeated, e.refused,
			count(e.ok, "challenge"), count(e.wrong, "wrong signature")))
	}
	if e.wrong > 0 {
		return hint(fmt.Errorf("%s without a right signature", count(e.wrong, "request")), "look at the management token and the keys: plugbeat doctor")
	}
	return nil
}
