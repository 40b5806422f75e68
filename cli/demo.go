package cli

import (
	"errors"
	"fmt"
	"io"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/terminal"
	show "plugbeat/demo"
	"plugbeat/webhook"
)

func demoCommand(s *terminal.Session) *ucli.Command {
	return &ucli.Command{
		Name:  "demo",
		Usage: "watch it work: a simulated fleet, a real receiver, an hour in seconds",
		Description: `Needs no configuration. The fleet is a real HTTP server that speaks Smartcar v2.0, the receiver
checks every signature, the daemon is the true one with its delays shortened. It shows a payload in
full, vehicles being plugged in and out, a receiver's outage and a restart. Exit code 0 only if every
delivery is accounted for on all sides.`,
		Flags: []ucli.Flag{
			&ucli.Int64Flag{Name: "seed", Usage: "the fleet's `SEED`; the same one drives the same trips", Value: 1},
			&ucli.IntFlag{Name: "vehicles", Usage: "`N` vehicles, 3 or more", Value: 6},
			&ucli.StringFlag{Name: "source", Usage: "show a vehicle of which recorded messages in `FILE` tell, in place of the fleet"},
			&ucli.DurationFlag{Name: "for", Usage: "how long to run, a `TIME` of 20s or more", Value: time.Minute},
			terminal.Switch("verbose", "print every delivery, where otherwise those that came as expected are counted"),
			&ucli.StringFlag{Name: "keep", Usage: "leave config, keys and data in `DIR`"},
		},
		CustomHelpTemplate: terminal.Example(`
plugbeat demo
plugbeat demo --for 2m --vehicles 20 --json
mosquitto_sub -t 'teslamate/#' -F '%I retain=%r qos=%q %t %p' > day.log
plugbeat demo --source day.log`),
		Action: terminal.Args(0, 0, func(c *ucli.Context) error { return demo(s, c) }),
	}
}

func demo(s *terminal.Session, c *ucli.Context) error {
	// A closed pipe is a failed write, after which the demo clears up and ends.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	out := &listener{w: s.Out}
	balanced, err := show.Run(c.Context, show.Options{
		Seed: c.Int64("seed"), Source: c.String("source"), Vehicles: c.Int("vehicles"), For: c.Duration("for"), Keep: c.String("keep"),
		JSON: c.Bool("json"), Verbose: c.Bool("verbose"), Out: out, Color: s.Colours(),
	})
	if bad, ok := errors.AsType[*webhook.Invalid](err); ok {
		return &terminal.UsageError{Text: bad.Error(), Hint: "see: plugbeat demo --help"}
	}
	if err != nil && out.left.Load() {
		return &terminal.Silent{Err: err} // as with: plugbeat demo | head
	}
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if !balanced {
		return terminal.Hint(errors.New("demo: the accounts do not balance; the summary above says which"),
			"run it again with --keep DIR and look at the data: plugbeat check DIR/data/plugbeat.db")
	}
	return nil
}

// listener passes the demo's output on and knows once nobody reads it any more.
type listener struct {
	w    io.Writer
	left atomic.Bool
}

func (l *listener) Write(b []byte) (int, error) {
	n, err := l.w.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		l.left.Store(true)
	}
	return n, err
}
