package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// prompter asks a person questions, on standard error so that standard output
// stays the command's result.
type prompter struct {
	in  *bufio.Reader
	out io.Writer
}

func (s *shell) prompter() *prompter {
	return &prompter{in: bufio.NewReader(s.in), out: s.err}
}

var errNoAnswer = errors.New("input ended before the question was answered; nothing was changed")

// ask puts a question until check accepts the answer; an empty answer takes
// fallback.
func (p *prompter) ask(question, fallback string, check func(string) error) (string, error) {
	for {
		if fallback != "" {
			_, _ = fmt.Fprintf(p.out, "%s [%s]: ", question, clean(fallback))
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
		_, _ = fmt.Fprintf(p.out, "  %s\n", cleanLines(bad.Error()))
		if err != nil {
			return "", errNoAnswer
		}
	}
}

// say tells the person something between two questions.
func (p *prompter) say(text string) { _, _ = fmt.Fprintf(p.out, "  %s\n", text) }

// confirm asks for yes or no; an empty answer takes fallback.
func (p *prompter) confirm(question string, fallback bool) (bool, error) {
	choice := "y/N"
	if fallback {
		choice = "Y/n"
	}
	var yes bool
	_, err := p.ask(question+" ("+choice+")", "", func(s string) error {
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
