package receive

import (
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/terminal"
	"plugbeat/receiver"
)

// ListenCommand is the command listen.
func ListenCommand(s *terminal.Session) *ucli.Command {
	return &ucli.Command{
		Name:  "listen",
		Usage: "receive webhooks here: a receiver for a first try",
		Description: `Answers challenges, checks both signatures strictly, and prints what arrives. It can be told to fail.
Challenges are refused that are not made of 16 to 64 hex digits and hyphens: answering them could sign
somebody's payload. To have deliveries passed on to a program of yours, see plugbeat bridge.

` + secretsText,
		Flags: flags("127.0.0.1:8099",
			&ucli.IntFlag{Name: "fail", Usage: "answer deliveries with this `STATUS`, 300 to 599, such as 500, 410 or 413", DefaultText: "200"},
			terminal.Switch("brief", "print a line each and no payload")),
		CustomHelpTemplate: terminal.Example(`
plugbeat listen
plugbeat listen --brief --fail 500`),
		Action: terminal.Args(0, 0, func(c *ucli.Context) error {
			fail := c.Int("fail")
			if c.IsSet("fail") && (fail < 300 || fail > 599) {
				return &terminal.UsageError{Text: fmt.Sprintf("--fail %d: want a status from 300 to 599", fail), Hint: "see: plugbeat listen --help"}
			}
			r := &receiving{Session: s, json: c.Bool("json"), brief: c.Bool("brief")}
			return r.run(c.Context, c, func(m receiver.Message) receiver.Answer {
				if m.Event == "verify" {
					return receiver.Answer{}
				}
				return receiver.Answer{Status: fail}
			})
		}),
	}
}
