package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"plugbeat/words"

	ucli "github.com/urfave/cli/v2"
)

// Prompter asks a person questions, on standard error so that standard output
// stays the command's result.
type Prompter struct {
	in  *bufio.Reader
	out io.Writer
}

// Prompter asks whoever sits at this session.
func (s *Session) Prompter() *Prompter {
	return &Prompter{in: bufio.NewReader(s.In), out: s.Err}
}

var (
	errNoAnswer    = errors.New("input ended before the question was answered; nothing was changed")
	errInterrupted = errors.New("interrupted; nothing was changed")
)

// Ask puts a question until check accepts the answer; an empty answer takes fallback. It
// returns at once when ctx ends.
func (p *Prompter) Ask(ctx context.Context, question, fallback string, check func(string) error) (string, error) {
	for {
		if fallback != "" {
			_, _ = fmt.Fprintf(p.out, "%s [%s]: ", question, words.Clean(fallback))
		} else {
			_, _ = fmt.Fprintf(p.out, "%s: ", question)
		}
		text, err := p.read(ctx)
		if ctx.Err() != nil {
			_, _ = fmt.Fprintln(p.out)
			return "", errInterrupted
		}
		if err != nil && text == "" {
			_, _ = fmt.Fprintln(p.out)
			return "", errNoAnswer
		}
		if text == "" {
			text = fallback
		}
		bad := check(text)
		if bad == nil {
			return text, nil
		}
		_, _ = fmt.Fprintf(p.out, "  %s\n", CleanLines(bad.Error()))
		if err != nil {
			return "", errNoAnswer
		}
	}
}

// read reads a line. A read from a terminal cannot be called off: when ctx ends it is left
// to itself, and ends with the process.
func (p *Prompter) read(ctx context.Context) (string, error) {
	type line struct {
		text string
		err  error
	}
	lines := make(chan line, 1)
	go func() {
		text, err := p.in.ReadString('\n')
		lines <- line{strings.TrimSpace(text), err}
	}()
	select {
	case l := <-lines:
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Say tells the person something between two questions.
func (p *Prompter) Say(text string) { _, _ = fmt.Fprintf(p.out, "  %s\n", text) }

// Confirm asks for yes or no; an empty answer takes fallback.
func (p *Prompter) Confirm(ctx context.Context, question string, fallback bool) (bool, error) {
	choice := "y/N"
	if fallback {
		choice = "Y/n"
	}
	var yes bool
	_, err := p.Ask(ctx, question+" ("+choice+")", "", func(s string) error {
		switch strings.ToLower(s) {
		case "":
			yes = fallback
		case "y", "yes":
			yes = true
		case "n", "no":
			yes = false
		default:
			return errors.New("please answer y or n")
		}
		return nil
	})
	return yes, err
}

// Sure asks before something that cannot be undone; not on a terminal, --yes is
// needed instead.
func (s *Session) Sure(c *ucli.Context, question string) error {
	if c.Bool("yes") {
		return nil
	}
	if !s.InTTY || c.Bool("json") {
		return &UsageError{Text: c.Command.HelpName + " cannot be undone", Hint: "confirm it with --yes"}
	}
	yes, err := s.Prompter().Confirm(c.Context, question, false)
	if err == nil && !yes {
		err = errors.New("not confirmed; nothing was changed")
	}
	return err
}
