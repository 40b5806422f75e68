package terminal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

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

var errNoAnswer = errors.New("input ended before the question was answered; nothing was changed")

// Ask puts a question until check accepts the answer; an empty answer takes
// fallback.
func (p *Prompter) Ask(question, fallback string, check func(string) error) (string, error) {
	for {
		if fallback != "" {
			_, _ = fmt.Fprintf(p.out, "%s [%s]: ", question, Clean(fallback))
		} else {
			_, _ = fmt.Fprintf(p.out, "%s: ", question)
		}
		text, err := p.in.ReadString('\n')
		text = strings.TrimSpace(text)
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

// Say tells the person something between two questions.
func (p *Prompter) Say(text string) { _, _ = fmt.Fprintf(p.out, "  %s\n", text) }

// Confirm asks for yes or no; an empty answer takes fallback.
func (p *Prompter) Confirm(question string, fallback bool) (bool, error) {
	choice := "y/N"
	if fallback {
		choice = "Y/n"
	}
	var yes bool
	_, err := p.Ask(question+" ("+choice+")", "", func(s string) error {
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
	yes, err := s.Prompter().Confirm(question, false)
	if err == nil && !yes {
		err = errors.New("not confirmed; nothing was changed")
	}
	return err
}
