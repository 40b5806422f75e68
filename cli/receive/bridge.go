package receive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/terminal"
	"plugbeat/receiver"
)

// The bounds of the answer that is passed on.
const (
	forwardTime  = 30 * time.Second
	forwardBytes = 1 << 20
)

// BridgeCommand is the command bridge.
func BridgeCommand(s *terminal.Session) *ucli.Command {
	return &ucli.Command{
		Name:      "bridge",
		Usage:     "stand in front of a receiver that cannot answer challenges, and pass deliveries on to it",
		ArgsUsage: "URL",
		Description: `For a receiver that takes a POST and cannot answer plugbeat's challenge: Home Assistant's webhook trigger,
Node-RED, n8n, a script of your own. bridge is the webhook's callback. It answers challenges itself, refuses
what is not rightly signed, and POSTs every other delivery to URL as it came, body and headers. The status
that URL answers is bridge's answer, so plugbeat retries what URL refuses; 502 says that URL gave no answer.
Only who reaches URL past bridge can send it something unsigned: keep URL to this machine or its network.

` + secretsText,
		Flags: flags("127.0.0.1:8098"),
		CustomHelpTemplate: terminal.Example(`
# Home Assistant's webhook trigger with the id plugbeat
plugbeat bridge http://127.0.0.1:8123/api/webhook/plugbeat
plugbeat webhook add --name home --callback http://127.0.0.1:8098/ --allow-private --verify`),
		Action: terminal.Args(1, 1, func(c *ucli.Context) error {
			to := c.Args().First()
			if u, err := url.Parse(to); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				return &terminal.UsageError{Text: fmt.Sprintf("%q: want an absolute http or https URL", to), Hint: "see: plugbeat bridge --help"}
			}
			asItIs := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			client := &http.Client{Timeout: forwardTime, CheckRedirect: asItIs}
			r := &receiving{Session: s, json: c.Bool("json"), brief: true}
			return r.run(c.Context, c, func(m receiver.Message) receiver.Answer {
				if m.Event == "verify" || !signed(m) {
					return receiver.Answer{} // the receiver answers or refuses it by itself
				}
				return pass(context.WithoutCancel(c.Context), client, to, m)
			})
		}),
	}
}

// pass hands a delivery on as it came and returns the answer; 502 when there was none, with
// the reason as the body.
func pass(ctx context.Context, client *http.Client, to string, m receiver.Message) receiver.Answer {
	none := func(reason string) receiver.Answer {
		return receiver.Answer{Status: http.StatusBadGateway, Body: []byte(reason)}
	}
	ctx, cancel := context.WithTimeout(ctx, forwardTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(m.Body))
	if err != nil {
		return none(err.Error())
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
	resp, err := client.Do(req)
	if err != nil {
		return none(err.Error())
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, forwardBytes))
	if err != nil {
		return none("the answer broke off: " + err.Error())
	}
	kept := http.Header{}
	for _, name := range []string{"Retry-After", "Location"} {
		if v := resp.Header.Get(name); v != "" {
			kept.Set(name, v)
		}
	}
	return receiver.Answer{Status: resp.StatusCode, Body: body, Header: kept}
}
