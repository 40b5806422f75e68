// Package receive is the commands that receive webhooks here: listen, for a first try, and
// bridge, in front of a receiver that cannot answer challenges.
//
// Change here what these two print and pass on. How a request is checked is package receiver's.
package receive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/receiver"
	"plugbeat/words"
)

// secretsText says where both commands have their secrets from.
const secretsText = `The management token comes from --token-file, else from the config of the daemon. Without a webhook's own key,
which --key-file holds as ` + "`plugbeat webhook add`" + ` printed it, one key a line, Standard Webhooks signatures are
not checked. It ends with Ctrl-C and says what came. Exit code 1 if a signature was wrong.`

// flags are the flags of both commands, after a command's own.
func flags(address string, own ...ucli.Flag) []ucli.Flag {
	return append(own,
		&ucli.StringFlag{Name: "listen", Usage: "`ADDRESS` to listen on, host:port", Value: address},
		terminal.ConfigFlag(),
		&ucli.StringFlag{Name: "token-file", Usage: "`FILE` with the application management token"},
		&ucli.StringFlag{Name: "key-file", Usage: "`FILE` with signing keys of webhooks, whsec_..., one a line"},
	)
}

// receiving is one of the commands at work: how it prints, and what came.
type receiving struct {
	*terminal.Session
	json  bool
	brief bool // a line each and no payload

	mu     sync.Mutex
	broken error // standard output takes nothing more
	end    context.CancelFunc
	seen   map[string]bool // the webhook-ids that were taken
	sum    summary
}

// summary is what came, in JSON.
type summary struct {
	Kind       string `json:"kind"` // "summary"
	Taken      int    `json:"taken"`
	Repeated   int    `json:"repeated"`
	Refused    int    `json:"refused"`
	Wrong      int    `json:"wrong_signatures"`
	Challenges int    `json:"challenges_answered"`
}

// run receives until the command ends. Rule says how a message is answered.
func (r *receiving) run(ctx context.Context, c *ucli.Context, rule func(receiver.Message) receiver.Answer) error {
	from, err := newReceiver(r.Session, c)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	r.end, r.seen, r.sum.Kind = end, map[string]bool{}, "summary"
	from.Rule(rule)
	from.Heard(r.heard)
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", c.String("listen"))
	if err != nil {
		return terminal.Hint(fmt.Errorf("listen on %s: %w", c.String("listen"), err), "choose another: %s --listen 127.0.0.1:0",
			c.Command.HelpName)
	}
	srv := &http.Server{Handler: from, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	r.started("http://" + ln.Addr().String() + "/")
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	// What is being answered may finish.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if srv.Shutdown(last) != nil {
		_ = srv.Close()
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listen: %w", err)
	}
	return r.summarise()
}

// maxKeys is the largest file of a token or of keys that is read, in bytes.
const maxKeys = 1 << 20

// newReceiver makes a receiver that knows the token and the keys.
func newReceiver(s *terminal.Session, c *ucli.Context) (*receiver.Receiver, error) {
	token, err := managementToken(s, c)
	if err != nil {
		return nil, err
	}
	r := receiver.New(token)
	r.AcceptEither()
	file := c.String("key-file")
	if file == "" {
		return r, nil
	}
	b, err := config.ReadFile(file, maxKeys)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	for i, l := range strings.Split(config.SecretText(b), "\n") {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		if !strings.HasPrefix(l, "whsec_") || r.KnowAny(l) != nil {
			return nil, fmt.Errorf("signing keys of %s: line %d is no key; want whsec_ and base64, as plugbeat webhook add prints it", file, i+1)
		}
	}
	return r, nil
}

func managementToken(s *terminal.Session, c *ucli.Context) (string, error) {
	if file := c.String("token-file"); file != "" {
		b, err := config.ReadFile(file, maxKeys)
		if err != nil {
			return "", fmt.Errorf("read management token: %w", err)
		}
		if token := config.SecretText(b); token != "" {
			return token, nil
		}
		return "", fmt.Errorf("read management token: %s is empty", file)
	}
	cfg, _, err := s.Config(c, "the management token, by --token-file FILE")
	if err != nil {
		return "", err
	}
	token, err := cfg.ManagementToken()
	if err != nil {
		return "", terminal.Hint(err, "%s --token-file FILE", c.Command.HelpName)
	}
	return string(token), nil
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

// signed reports whether a message is rightly signed.
func signed(m receiver.Message) bool {
	return m.SmartcarCheck != receiver.Wrong && m.StandardCheck != receiver.Wrong && (m.Smartcar || m.Standard)
}

// heard counts a message and prints it.
func (r *receiving) heard(m receiver.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	repeat := r.count(m)
	kind := m.Event
	if m.Event == "verify" {
		kind = "challenge"
	}
	if r.json {
		r.putJSON(heardMessage{
			At: m.At.UTC(), Kind: kind, Status: m.Status, Webhook: m.Webhook, Vehicle: m.Vehicle, EventType: m.Happened, MessageID: m.ID,
			Repeat: repeat, Smartcar: m.SmartcarCheck, Standard: m.StandardCheck, Body: m.Body,
		})
		return
	}
	const indent = "          "
	p := r.Page()
	colour := terminal.Green
	if m.Status < 200 || m.Status > 299 {
		colour = terminal.Red
	}
	parts := []string{kind}
	for _, part := range [][2]string{{"", m.Happened}, {" vehicle ", m.Vehicle}, {" webhook ", m.Webhook}} {
		if part[1] != "" {
			parts = append(parts, part[0]+part[1])
		}
	}
	text := strings.Join(parts, " ")
	p.Line("%s  %s  %s", m.At.Format(time.TimeOnly), p.Paint(colour, strconv.Itoa(m.Status)), words.Clean(text))
	checks := fmt.Sprintf("SC-Signature %s, webhook-signature %s", m.SmartcarCheck, m.StandardCheck)
	if !signed(m) {
		checks = p.Paint(terminal.Red, checks)
	}
	p.Line("%s%s", indent, checks)
	switch {
	case m.OddChallenge():
		p.Line("%s%s", indent, p.Paint(terminal.Red, "refused: a challenge has 16 to 64 hex digits and hyphens, nothing else"))
	case repeat:
		p.Line("%s%s", indent, p.Paint(terminal.Yellow, "came before, as "+words.Clean(m.ID)))
	}
	var pretty bytes.Buffer
	if !r.brief && m.Event != "verify" && json.Indent(&pretty, m.Body, indent, "  ") == nil {
		p.Line("%s%s", indent, terminal.CleanLines(pretty.String()))
	}
	r.put(p.String())
}

// count adds a message to the summary and reports whether it was taken before.
func (r *receiving) count(m receiver.Message) (repeat bool) {
	good := m.Status >= 200 && m.Status < 300
	switch {
	case !signed(m):
		r.sum.Wrong++
		return false
	case m.Event == "verify" && good:
		r.sum.Challenges++
		return false
	case m.Event == "verify":
		r.sum.Refused++
		return false
	}
	if repeat = r.seen[m.ID]; repeat {
		r.sum.Repeated++
	}
	if good {
		r.seen[m.ID] = true
		r.sum.Taken++
	} else {
		r.sum.Refused++
	}
	return repeat
}

// put prints a text. Once nobody reads any more, the command ends. The caller holds mu.
func (r *receiving) put(text string) {
	if err := r.Write(text); err != nil && r.broken == nil {
		r.broken = err
		r.end()
	}
}

// putJSON prints an object as a line. The caller holds mu.
func (r *receiving) putJSON(v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // texts, numbers, and a body that is JSON
	r.put(b.String())
}

func (r *receiving) started(callback string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.json {
		r.putJSON(map[string]string{"kind": "listening", "callback": callback})
		return
	}
	r.put(fmt.Sprintf(`listening on %[1]s until Ctrl-C
add it and verify it, in another terminal:
  plugbeat webhook add --name dev --callback %[1]s --allow-private
  plugbeat webhook verify dev
`, callback))
}

// summarise says what came. A wrong signature makes it an error.
func (r *receiving) summarise() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return &terminal.Silent{Err: r.broken} // as with: plugbeat listen | head
	}
	s, wrong := r.sum, words.Count(r.sum.Wrong, "wrong signature")
	if r.json {
		r.putJSON(s)
	} else {
		r.put(fmt.Sprintf("\n%s taken, %d of them again; %d not taken; %s answered; %s\n", words.Count(s.Taken, "delivery"),
			s.Repeated, s.Refused, words.Count(s.Challenges, "challenge"), wrong))
	}
	if s.Wrong > 0 {
		return terminal.Hint(fmt.Errorf("%s without a right signature", words.Count(s.Wrong, "request")),
			"the sender has another management token or key than this receiver; give it the daemon's: --config or --token-file, and --key-file")
	}
	return nil
}
