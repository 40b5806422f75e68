package vehicle

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/vehicle"
	"plugbeat/words"
)

// maxToken bounds what is read as a refresh token.
const maxToken = 16 << 10

func (s commands) connectCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "connect",
		Usage: "let the owner of vehicles connect them in a browser",
		Description: `It prints an address for the owner to open, waits, and lists what was connected. Where the source is a
vendor the owner signs in there. Else the page asks for the one-time code that is printed too, and
then lists the vehicles; the same code opens the page that an application sends its users to.

--now connects all that a source without accounts has, without a browser. --refresh-token-stdin
takes over a connection at the vendor: the token is read from standard input, never from the
command line, where others could see it, and is sealed as it is stored.`,
		Flags: terminal.ClientFlags(
			&ucli.StringFlag{Name: "source", Usage: "the source's `NAME` in the config"},
			terminal.Switch("now", "connect all vehicles of a source without accounts, here and now"),
			terminal.Switch("refresh-token-stdin", "read the account's refresh token from standard input"),
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle connect --source smartcar
plugbeat vehicle connect --source smartcar --refresh-token-stdin < token.txt
plugbeat vehicle connect --source fleet --now`),
		Action: s.WithClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			source := c.String("source")
			switch {
			case source == "":
				return &terminal.UsageError{Text: "vehicle connect needs --source NAME", Hint: "sources are listed by: plugbeat status"}
			case c.Bool("now") && c.Bool("refresh-token-stdin"):
				return &terminal.UsageError{Text: "--now and --refresh-token-stdin do not go together", Hint: "--now is for sources without accounts"}
			case c.Bool("now"):
				return s.connectNow(ctx, c, a, source, "")
			case c.Bool("refresh-token-stdin"):
				token, err := s.readToken()
				if err != nil {
					return err
				}
				return s.connectNow(ctx, c, a, source, token)
			}
			return s.connectInBrowser(ctx, c, a, source)
		}),
	}
}

// connectNow connects without a browser.
func (s commands) connectNow(ctx context.Context, c *ucli.Context, a *adminapi.Client, source, token string) error {
	done, err := a.ConnectVehicles(ctx, source, token)
	if e, ok := errors.AsType[*adminapi.Error](err); ok && e.Field == "refresh_token" {
		if token != "" {
			return terminal.Hint(fmt.Errorf("source %s has no accounts and needs no token", source), "plugbeat vehicle connect --source %s --now",
				words.Shell(source))
		}
		return terminal.Hint(fmt.Errorf("source %s has accounts, whose owners sign in", source),
			"leave out --now, or take over a connection with --refresh-token-stdin")
	}
	return s.Show(c, done, err, func(p *terminal.Page) { showConnected(p, source, done.Vehicles) })
}

// showConnected lists vehicles that were connected.
func showConnected(p *terminal.Page, source string, vs []vehicle.Vehicle) {
	var rows []terminal.Row
	for _, v := range vs {
		rows = append(rows, terminal.Texts(v.ID.String(), v.Name, phrase.Model(v), strings.Join(v.Permissions, " ")))
	}
	if len(rows) == 0 {
		p.Line("the account at %s has no vehicles", words.Clean(source))
		return
	}
	p.Table(terminal.Columns("ID", "NAME", "MODEL", "PERMISSIONS"), rows)
	p.Line("\nnext: plugbeat subscribe WEBHOOK --all")
}

// connectInBrowser prints where the owner goes, and waits for what comes of it. A
// command that is interrupted ends the connect.
func (s commands) connectInBrowser(ctx context.Context, c *ucli.Context, a *adminapi.Client, source string) error {
	begun, err := a.BeginConnect(ctx, source)
	if err != nil {
		return err
	}
	// On standard error, so that --json prints one thing.
	_, _ = fmt.Fprintf(s.Err, "open this in a browser:\n\n  %s\n", begun.URL)
	if begun.Code != "" {
		_, _ = fmt.Fprintf(s.Err, "\nthe one-time code that the page asks for:\n\n  %s\n\n", begun.Code)
		_, _ = fmt.Fprintln(s.Err, "(all of the source's vehicles here and now, without a browser: --now)")
	}
	_, _ = fmt.Fprintf(s.Err, "\nwaiting until %s; Ctrl-C ends it ...\n\n", begun.ExpiresAt.Local().Format("15:04"))
	v, err := s.awaitConnect(ctx, a, begun.ID)
	if err != nil {
		return err
	}
	switch v.State {
	case adminapi.ConnectDone:
	case adminapi.ConnectExpired:
		return terminal.Hint(errors.New("nobody came in time"), "begin again: plugbeat vehicle connect --source %s", words.Shell(source))
	default:
		return terminal.Hint(fmt.Errorf("nothing was connected: %s", words.Clean(v.Reason)),
			"begin again: plugbeat vehicle connect --source %s", words.Shell(source))
	}
	return s.Print(c, v, func(p *terminal.Page) {
		if v.Application {
			p.Line("the application reaches them now\n")
		}
		showConnected(p, source, v.Vehicles)
	})
}

// awaitConnect returns the outcome of a connect.
func (s commands) awaitConnect(ctx context.Context, a *adminapi.Client, id uuid.UUID) (adminapi.ConnectView, error) {
	for {
		v, err := a.Connect(ctx, id, adminapi.MaxWait)
		switch e, ok := errors.AsType[*adminapi.Error](err); {
		case ctx.Err() != nil:
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := a.EndConnect(ending, id); err != nil && !ok {
				return v, errors.Join(ctx.Err(), err)
			}
			return v, ctx.Err()
		case ok && e.Code == adminapi.CodeNotFound:
			return v, errors.New("the daemon was started anew meanwhile, and knows nothing of this connect: begin again")
		case err != nil && !ok:
			return v, terminal.Hint(err, "the connect ended with the daemon: begin again once it runs")
		case err != nil:
			return v, err
		case v.State != adminapi.ConnectWaiting:
			return v, nil
		}
	}
}

// readToken reads one line from standard input.
func (s commands) readToken() (string, error) {
	if s.InTTY {
		_, _ = fmt.Fprintln(s.Err, "refresh token, then Enter:")
	}
	text, err := bufio.NewReader(io.LimitReader(s.In, maxToken+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read refresh token from standard input: %w", err)
	}
	token := config.SecretText([]byte(text))
	switch {
	case token == "":
		return "", &terminal.UsageError{Text: "no refresh token on standard input",
			Hint: "plugbeat vehicle connect --source NAME --refresh-token-stdin < token.txt"}
	case len(token) > maxToken || strings.ContainsAny(token, " \t"):
		return "", &terminal.UsageError{Text: "what is on standard input is not a refresh token: one word, at most 16 KiB"}
	}
	return token, nil
}
